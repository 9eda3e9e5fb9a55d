"""Cues kept: takes cues, gives arrays and words that a file holds, and the same cues again; a file of somebody else's
is checked before it is believed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.audits.background import Background
from seewhy.audits.cast import Cast
from seewhy.audits.cue import Cue
from seewhy.audits.patches import Patch
from seewhy.audits.places import Frame, Place
from seewhy.audits.recurring import Stamp
from seewhy.audits.regions import Window
from seewhy.errors import UsageError

__all__ = ["packed", "unpacked"]

#: the version of what is written
_VERSION = 1
_WORDS = "cues.json"
#: pictures of 64 pixels and more are shrunk to that, and none is so large
_COARSEST = 1024


def packed(cues: Sequence[tuple[int, Cue]]) -> bytes:
    """Cues, each of a class, as an NPZ archive without pickles: ``cues.json`` says what they are, and for the n-th
    ``n.name`` are its arrays."""
    words: list[dict[str, Any]] = []
    arrays: dict[str, Any] = {}
    for number, (index, cue) in enumerate(cues):
        said, held = _parts(cue)
        words.append({"class": index, "kind": cue.kind, **said})
        arrays |= {f"{number}.{name}": value.numpy() for name, value in held.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(_WORDS, json.dumps({"version": _VERSION, "cues": words}))
    return buffer.getvalue()


def unpacked(data: bytes, name: str) -> list[tuple[int, Cue]]:
    """The cues of an archive called ``name``. Raises `UsageError` for what is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            said = json.loads(archive.read(_WORDS))
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            held = {key: file[key] for key in file.files if key != _WORDS.removesuffix(".npy")}
        if said["version"] != _VERSION:
            raise UsageError(f"{name!r} is of version {said['version']}: audit again with this seewhy")
        found = []
        for number, words in enumerate(said["cues"]):
            own = {
                key.partition(".")[2]: torch.from_numpy(value)
                for key, value in held.items()
                if key.startswith(f"{number}.")
            }
            if any(not bool(value.isfinite().all()) for value in own.values()):
                raise UsageError(f"{name!r}: a cue whose numbers are none")
            found.append((int(words["class"]), _cue(words, own)))
    except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise UsageError(
            f"{name!r} holds no cues of an audit ({type(error).__name__}); seewhy audit writes it"
        ) from error
    return found


def _parts(cue: Cue) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if isinstance(cue, Place):
        window = cue.window
        box = [window.top, window.left, window.height, window.width]
        return {"window": box, "size": list(cue.mask.shape)}, {"template": cue.template}
    if isinstance(cue, Frame):
        return {"name": cue.name}, {"mask": cue.mask, "template": cue.template}
    if isinstance(cue, Cast):
        return {}, {"shift": cue.shift, "inverse": cue.inverse, "middle": cue.middle}
    if isinstance(cue, Patch):
        seen = {"outside": None if np.isnan(cue.outside) else cue.outside, "rows": list(cue.rows)}
        if isinstance(cue, Stamp):
            return {**seen, "coarse": cue.coarse}, {"template": cue.exemplars[0], "piece": cue.piece}
        return {**seen, "tag": cue.tag}, {"exemplars": cue.exemplars}
    assert isinstance(cue, Background)
    return {}, {}


def _cue(words: dict[str, Any], held: dict[str, Tensor]) -> Cue:
    kind = words["kind"]
    if kind == "place":
        rows, columns = (int(side) for side in words["size"])
        window = Window(*(int(side) for side in words["window"]))
        inside = 0 <= window.top <= rows - window.height and 0 <= window.left <= columns - window.width
        if not inside or tuple(held["template"].shape[1:]) != (rows, columns):
            raise ValueError("a window outside its picture")
        return Place(window, (rows, columns), held["template"])
    if kind == "frame":
        if held["mask"].shape != held["template"].shape[1:]:
            raise ValueError("a frame of another size than its template")
        return Frame(str(words["name"]), held["mask"], held["template"])
    if kind == "cast":
        return Cast(held["shift"], held["inverse"], held["middle"])
    if kind == "patch":
        return Patch(held["exemplars"], *_seen(words), str(words["tag"]))
    if kind == "stamp":
        coarse = int(words["coarse"])
        if held["template"].shape[1:] != held["piece"].shape or not 1 <= coarse <= _COARSEST:
            raise ValueError("a stamp of no size")
        return Stamp(held["template"], held["piece"].bool(), coarse, *_seen(words))
    if kind == "background":
        return Background()
    raise ValueError(f"no kind of cue: {kind!r}")


def _seen(words: dict[str, Any]) -> tuple[float, list[int]]:
    """Which share of a patch is no object, NaN where nobody knows, and in which rows it was seen."""
    outside = float("nan") if words["outside"] is None else float(words["outside"])
    return outside, [int(row) for row in words["rows"]]
