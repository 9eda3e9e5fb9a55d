"""``python -m benchmarks.audit.repairs DATA``: networks with planted cues audited, repaired in each of the four ways,
and measured on pictures that neither training nor audit saw; beside training on unbiased data, re-weighting by groups
that somebody labelled, and BNNR where it is installed. A JSON line for each; ``--write`` makes a table of the lines."""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

import seewhy
from benchmarks.audit.cues import CUES
from benchmarks.audit.folders import by_class, masks_of
from benchmarks.audit.mended import Mended, reweighted, without_bias
from benchmarks.audit.peers import bnnr
from benchmarks.audit.planted import Design, Made, designs, made
from benchmarks.audit.repaired import WAYS, table
from benchmarks.audit.training import drop, preprocess, seeded, standing, trained
from benchmarks.lines import put, read
from seewhy.errors import SeewhyError

#: BNNR, whose maps take a hundred passes forth and back for each picture, gets every fourth design
_PEER = 4
_SHARES = (0.75, 0.9, 1.0)
_TURNED = ("watermark", "texture")
_BEGIN, _END = "<!-- repairs -->", "<!-- end of repairs -->"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit.repairs")
    parser.add_argument("data", type=Path, help="a folder with cifar10-6000.npz")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="names of designs, as in 'scenes-patch-*'")
    parser.add_argument("--out", type=Path, default=Path("repairs.jsonl"), metavar="FILE.jsonl")
    parser.add_argument("--work", type=Path, default=Path("audit-networks"), metavar="DIR", help="for trained weights")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="put the table of what is in --out into a page")
    parser.add_argument("--show", action="store_true", help="print the table of what is in --out")
    asked = parser.parse_args(argv)
    asked.work.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if not (asked.write or asked.show):
        for design in repaired_designs():
            known = any(row["design"] == design.name for row in read(asked.out))
            if known or not fnmatch(design.name, asked.only):
                continue
            row = row_of(design, asked.data, asked.work)
            with asked.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{design.name}: {row['chosen'] or 'none'} {row['why']}, {row['seconds']}", flush=True)
    if asked.show:
        print(table(read(asked.out)))
    if asked.write is not None:
        put(asked.write, table(read(asked.out)), _BEGIN, _END)


def repaired_designs() -> list[Design]:
    """Of the designs with 75, 90 and 100 %, every second one: each cue with each share once, in both kinds of data in
    turn; of the cues that can move two do and two stay."""
    some = [each for each in designs() if each.cue is not None and each.share in _SHARES]
    return [
        each
        for each in some
        if (CUES.index(each.cue) + (each.cue in _TURNED) + _SHARES.index(each.share)) % 2 == (each.data == "scenes")
    ]


def row_of(design: Design, data: Path, work: Path) -> dict[str, Any]:
    """Everything that the table is made of, as JSON holds it; networks as they were are kept in ``work``."""
    pictures, seconds = made(design, data), dict[str, float]()
    network = trained(pictures, work / f"{design.name}.pt")
    row: dict[str, Any] = {
        "design": design.name, "data": design.data, "cue": design.cue, "share": design.share, "moving": design.moving,
        "biased": pictures.biased,
    }  # fmt: skip
    networks = {"before": network}
    with TemporaryDirectory() as folder:
        row |= _repaired(pictures, network, networks, Path(folder), seconds)
    others: dict[str, Callable[[], nn.Module | None]] = {
        "unbiased": partial(without_bias, pictures, data), "re-weighted": partial(reweighted, pictures),
    }  # fmt: skip
    if design in repaired_designs()[::_PEER]:
        others["bnnr"] = partial(bnnr, pictures)
    for name, train in others.items():
        with _timed(seconds, name), seeded(design):
            found = train()
        if found is not None:
            networks[name] = found
    row["standing"] = {name: standing(each, pictures) for name, each in networks.items()}
    row["drop"] = {name: drop(each, pictures) for name, each in networks.items()}
    row["seconds"] = {name: round(took, 1) for name, took in seconds.items()}
    return row


def _repaired(
    pictures: Made, network: nn.Module, networks: dict[str, nn.Module], place: Path, seconds: dict[str, float]
) -> dict[str, Any]:
    """What the audit found, and, with the repairs added to ``networks``, which of them does best on held-out
    pictures."""
    model = seewhy.wrap(network, preprocess=preprocess(pictures), labels=[f"c{k}" for k in range(pictures.classes)])
    by_class(pictures.train, place / "train")
    held = by_class(pictures.audit, place / "held")
    masks = None if pictures.audit.objects is None else place / "masks"
    if masks is not None:
        masks_of(pictures.train, "train", masks)
        masks_of(pictures.audit, "held", masks)
    with _timed(seconds, "audit"):
        audit = seewhy.audit(model, str(held), masks=masks)
    found: dict[str, Any] = {
        "found": [f.candidate.tag for f in audit.shortcuts if f.candidate.index == pictures.biased],
        "elsewhere": sum(f.candidate.index != pictures.biased for f in audit.shortcuts),
        "chosen": "", "held": {}, "why": "" if audit.shortcuts else "the audit found no shortcut",
    }  # fmt: skip
    if not audit.shortcuts:
        return found
    mended = Mended(model, network, pictures, audit, place, masks)
    for how in WAYS:
        try:
            with _timed(seconds, how):
                networks[how] = getattr(mended, how)()
        except SeewhyError as error:
            found["why"] += f"{how}: {error}; "
    found["held"] = {how: mended.worst(each) for how, each in networks.items()}
    found["chosen"] = max(found["held"], key=found["held"].get)  # the cheapest of equals
    return found


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began
