"""Results that are held: takes explanations and galleries, gives each by a number, as JSON, as numbers and as files,
with the lines that make it again; computes no map."""

from __future__ import annotations

import secrets
import shlex
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seewhy.api.reporting.making import report
from seewhy.api.reporting.wording import spec_or_name
from seewhy.explanation import Explanation, Explanations, Gallery
from seewhy.explanation.picture import look, scale
from seewhy.explanation.plain import describe
from seewhy.models import Model
from seewhy.render import DIVERGING, SEQUENTIAL, colormap, png
from seewhy.web.problems import Problem

__all__ = ["KINDS", "Asked", "Kept", "Results", "colours", "map_of", "told_of", "values_of"]

#: files that a result can be had as, and of what kind they are
KINDS = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "npz": "application/octet-stream",
    "html": "text/html; charset=utf-8",
}
#: bytes of values and pictures that are held
_HELD = 512 * 2**20


@dataclass(frozen=True)
class Asked:
    """What was asked for, as far as the lines that ask it again need it."""

    photo: str
    name: str
    call: str
    method: str
    target: str | None = None
    layer: str | None = None
    trust: bool = False
    parameters: tuple[tuple[str, Any], ...] = ()

    def code(self, model: Model) -> dict[str, str]:
        """Lines of Python and of a shell that do the same."""
        spec, path = spec_or_name(model.spec or model.name), self.name
        more = [f"{name}={value!r}" for name, value in self.parameters]
        named = [f"{name}={value!r}" for name, value in (("target", self.target), ("layer", self.layer)) if value]
        shell = ["seewhy", self.call, path]
        if self.call == "explain":
            words = [spec, repr(path), repr(self.method), *named, *(["trust=True"] if self.trust else []), *more]
            python = f"explanation = seewhy.explain({', '.join(words)})\nexplanation.save('why.png')"
            shell += ["-M", self.method, *(["--trust"] if self.trust else [])]
        else:
            words = [spec, repr(path), *named, *more]
            python = f"gallery = seewhy.feature_maps({', '.join(words)})\ngallery.save('channels.png')"
        shell += ["-t", self.target] if self.target else []
        shell += ["-l", self.layer] if self.layer else []
        shell += ["-m", model.spec] if model.spec not in ("", "builtin") else []
        for name, value in self.parameters:
            shell += ["--top", str(value)] if name == "top" else ["--set", f"{name}={value}"]
        return {"python": f"import seewhy\n\n{python}", "shell": shlex.join(shell)}


@dataclass(frozen=True, eq=False)
class Kept:
    """A result under its number."""

    id: str
    asked: Asked
    found: Explanation | Gallery

    @property
    def size(self) -> int:
        """Bytes that it holds, about."""
        if isinstance(self.found, Gallery):
            return int(self.found.values.nbytes) + sum(tile.pixels.nbytes for tile in self.found.tiles)
        arrays = (self.found.values, self.found.image, self.found.photo, self.found.colours, self.found.input)
        return sum(0 if array is None else int(array.nbytes) for array in arrays)


class Results:
    """The last so many results."""

    def __init__(self, model: Model, most: int) -> None:
        self._model, self._most, self._lock = model, most, threading.Lock()
        self._held: OrderedDict[str, Kept] = OrderedDict()

    def add(self, found: Explanation | Gallery, asked: Asked) -> dict[str, Any]:
        """Hold one; gives what a client is told of it."""
        kept = Kept(secrets.token_hex(12), asked, found)
        with self._lock:
            self._held[kept.id] = kept
            while len(self._held) > self._most or (
                len(self._held) > 1 and sum(each.size for each in self._held.values()) > _HELD
            ):
                self._held.popitem(last=False)
        return self.document(kept)

    def get(self, number: str) -> Kept:
        """The one of that id. Raises `Problem` for none."""
        with self._lock:
            if number not in self._held:
                raise Problem(404, "no such result: the oldest are forgotten; ask again")
            return self._held[number]

    def document(self, kept: Kept) -> dict[str, Any]:
        """What a client is told of a result."""
        base = {
            "id": kept.id, "photo": kept.asked.photo, "code": kept.asked.code(self._model), "map": None, "figure": None,
            "trust": None, "contrast": None,
        }  # fmt: skip
        url = f"/api/v1/explanations/{kept.id}"
        if isinstance(kept.found, Gallery):
            gallery, told = kept.found, kept.found.to_dict()
            return base | {
                "method": kept.asked.method, "target": gallery.parameters.get("target"), "target_index": None,
                "layer": kept.asked.layer, "score": None, "unit": "", "map_unit": "activation", "positive": False,
                "status": {"code": told["status"], "cause": told["cause"]}, "notes": told["notes"],
                "window": [0, 0, 1, 1], "figure": f"{url}/export?as=png", "title": gallery.title,
                "cost": {"forwards": gallery.cost.forwards, "backwards": gallery.cost.backwards,
                         "seconds": gallery.cost.seconds},
            }  # fmt: skip
        told = told_of(kept.found, f"{url}/values")
        return base | told | {"figure": None if told["map"] else f"{url}/export?as=png"}

    def file(self, numbers: Sequence[str], kind: str) -> tuple[bytes, str]:
        """Results as a file, and what it is called. Raises `Problem` for a kind that they do not have."""
        some = [self.get(number) for number in numbers]
        if not some:
            raise Problem(422, "no results: name some by their ids")
        if kind not in KINDS:
            raise Problem(422, f"no kind {kind!r}: {', '.join(KINDS)}")
        first, single = some[0].found, len(some) == 1
        name = f"{Path(some[0].asked.name).stem or 'photo'}-{some[0].asked.method if single else 'maps'}.{kind}"
        maps = [each.found for each in some if isinstance(each.found, Explanation)]
        if single and isinstance(first, Gallery):
            if kind not in ("png", "svg"):
                raise Problem(422, f"a sheet of channels is a picture: png or svg, not {kind}")
            return png(first.figure()) if kind == "png" else first.figure_svg().encode(), name
        if len(maps) < len(some):
            raise Problem(422, "maps and sheets of channels do not go into one file: choose the maps alone")
        if kind == "html":
            return str(report(maps)).encode(), name
        if kind == "npz":
            if not single:
                raise Problem(422, "a NPZ file holds one map: choose one")
            return _npz(maps[0]), name
        if single:
            return png(maps[0].figure()) if kind == "png" else maps[0].figure_svg().encode(), name
        every = Explanations(maps)
        return png(every.grid()) if kind == "png" else every.grid_svg().encode(), name


def told_of(one: Explanation, values: str) -> dict[str, Any]:
    """What a viewer has to know of an explanation, whose numbers are at the address ``values``."""
    told = describe(one)
    return {
        "method": one.method, "target": one.target, "target_index": one.target_index, "contrast": one.contrast,
        "layer": one.layer, "score": one.score, "unit": one.unit, "map_unit": one.map_unit, "status": told["status"],
        "positive": one.positive, "notes": list(one.notes), "window": list(one.window or (0, 0, 1, 1)),
        "map": map_of(one, values), "cost": told["cost"], "trust": None if one.trust is None else one.trust.to_dict(),
    }  # fmt: skip


def colours() -> dict[str, Any]:
    """The colours of maps of one sign and of both."""
    maps = {"sequential": SEQUENTIAL, "diverging": DIVERGING}
    return {kind: {"name": name, "table": colormap(name)} for kind, name in maps.items()}


def map_of(one: Explanation, url: str) -> dict[str, Any] | None:
    """What a viewer has to know of a map of a picture; None for what is no such map."""
    if len(one.size) != 2 or one.values.ndim - one.channels != 2 or one.inputs:
        return None
    seen = look(one, most=64)
    values = one.values.sum(axis=0) if one.channels else one.values
    finite = values[np.isfinite(values)]
    return {
        "url": url, "width": one.size[1], "height": one.size[0], "own": list(values.shape),
        "min": float(finite.min()) if finite.size else None, "max": float(finite.max()) if finite.size else None,
        "scale": scale([seen]) if seen.map is not None else 0.0, "signed": seen.signed, "note": seen.note,
    }  # fmt: skip


def _npz(one: Explanation) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return one.save(Path(folder) / "map.npz").read_bytes()


def values_of(one: Explanation) -> bytes:
    """The map at the input's size, float32, little endian, row by row."""
    return np.ascontiguousarray(one.map, dtype="<f4").tobytes()
