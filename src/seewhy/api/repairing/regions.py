"""Masks for a penalty of somebody's own training: takes training pictures with proved cues, gives a mask of where the
cue is for each picture that has one, and a table of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from seewhy.api.repairing.folders import as_csv, stem_of
from seewhy.api.repairing.proved import where
from seewhy.api.repairing.reading import Source
from seewhy.api.repairing.result import MASKS
from seewhy.api.repairing.training import Training
from seewhy.audits.background import Background
from seewhy.audits.cue import Cue
from seewhy.audits.patches import Patch
from seewhy.audits.places import Frame, Place
from seewhy.audits.subject import Half

__all__ = ["region", "written_masks"]


def region(cue: Cue, half: Half) -> Tensor | None:
    """Where pictures have a cue, [N, H, W], without what is known to be object; None where a cue has no place."""
    count, size = len(half), half.inputs.shape[2:]
    if isinstance(cue, Place | Frame):
        found = cue.mask.bool().expand(count, *size).clone()
    elif isinstance(cue, Patch):
        found = torch.zeros(count, *size, dtype=torch.bool)
        for mask, box in zip(found, cue.boxes(half), strict=True):
            left, top, right, bottom = box or (0, 0, 0, 0)
            mask[top:bottom, left:right] = True
    elif isinstance(cue, Background) and half.objects is not None:
        found = torch.ones(count, *size, dtype=torch.bool)
    else:
        return None
    return found if half.objects is None else found & ~half.objects


def written_masks(
    training: Training,
    source: Source,
    folder: Path,
    label: Callable[[int], str],
    progress: Callable[[str, int, int], None],
) -> bytes:
    """A PNG for each training picture of a class that has its cue, at the input's size: 255 where the cue is, 0
    elsewhere; gives a CSV of all."""
    lines: list[tuple[str, str, str, str]] = []
    for done, lot in enumerate(training.lots()):
        bits = lot.groups[: lot.plain] % (1 << len(training.cues))
        masks: dict[int, Tensor] = {}
        said: dict[int, list[str]] = {}
        for number, (index, cue) in enumerate(training.cues):
            rows = torch.nonzero((bits >> number & 1).bool() & (lot.half.truth == index))[:, 0]
            found = region(cue, lot.half.picked(rows)) if len(rows) else None
            for place, mask in zip(rows.tolist(), () if found is None else found, strict=found is not None):
                masks[place] = masks[place] | mask if place in masks else mask
                said.setdefault(place, []).append(where(cue))
        for place, mask in masks.items():
            row = source.rows[int(lot.pictures[place])]
            name = source.again.entries[row].name
            file = f"{stem_of(source.again, row)}.png"
            Image.fromarray((mask.byte() * 255).numpy()).save(folder / file)
            lines.append((name, label(int(lot.labels[place])), f"{MASKS}/{file}", "; ".join(said[place])))
        progress("lots of pictures", done + 1, training.count)
    return as_csv(("file", "class", "mask", "cue"), sorted(lines))
