"""Where objects are: takes a folder of masks or boxes, or a COCO file, gives for a photo which of its pixels are
inside; follows no photo into a network."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from seewhy.api.given.coco import Coco
from seewhy.api.given.objects import ODD, Meant, Objects, box_around, check_size, in_words, joined, stated_size, stem
from seewhy.api.given.outlines import box
from seewhy.errors import UsageError, reason

__all__ = ["Masks", "Objects", "open_masks"]

#: what palettes of segmentations have where nobody says what is there
_VOID = 255
#: axes of a mask of one value a pixel
_PLANE = 2


class _Kept(Protocol):
    """Objects of photos by the photos' names, without suffixes."""

    @property
    def names(self) -> Iterable[str]:
        """Of which there are any."""

    def objects(self, name: str, size: tuple[int, int], meant: Meant) -> Objects:
        """Those of one; raises `UsageError`."""


@dataclass(frozen=True, eq=False)
class Masks:
    """Where objects are: ``spec`` is what was typed, ``kind`` what it is, ``stamp`` tells it from what it becomes when
    a file is changed. Photos are known by the end of their paths."""

    spec: str
    kind: str
    kept: _Kept
    stamp: str
    #: names by each of their ends, the whole name among them
    _ends: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.kept.names:
            for end in _ends(name):
                self._ends.setdefault(end, []).append(name)

    def name_of(self, photo: str) -> str | None:
        """By which name objects of a photo are kept; None where there are none.

        One path is the end of the other: ``photos/cat/1.jpg`` is ``cat/1`` or ``1``, the longer one if there are both,
        or else ``train/photos/cat/1``. Raises `UsageError` where it may be several.
        """
        ends = _ends(stem(photo))
        if (own := next((end for end in ends if end in self._ends.get(end, ())), None)) is not None:
            return own
        longer = self._ends.get(ends[0], [])
        if len(longer) > 1:
            raise UsageError(
                f"{photo!r} may be {longer[0]!r} or {longer[1]!r} of {self.spec!r}: name a folder in which photos and "
                "masks have the same names"
            )
        return longer[0] if longer else None

    def check(self, photos: Iterable[str]) -> int:
        """How many of ``photos`` have objects. Raises `UsageError` if none has, or two have the same."""
        found: dict[str, str] = {}
        first, unclear = "", None
        for photo in photos:
            first = first or photo
            try:
                name = self.name_of(photo)
            except UsageError as error:
                unclear = unclear or error
                continue
            if name is None:
                continue
            if name in found:
                raise UsageError(
                    f"{name!r} of {self.spec!r} is of two photos, {found[name]!r} and {photo!r}: put masks into "
                    "folders of the same names as the photos'"
                )
            found[name] = photo
        if unclear is not None and not found:
            raise unclear
        if not found:
            own = next(iter(self.kept.names), None)
            has = f"it has {own!r}" if own is not None else "it has none"
            raise UsageError(f"no mask of {self.spec!r} is of a photo: {has}, photos are called as {first!r}")
        return len(found)

    def objects(self, photo: str, size: tuple[int, int], meant: Meant = lambda name: True) -> Objects:
        """What is in a photo of ``size`` (height, width), upright, of classes that are ``meant``, by their names; of
        masks without names, all. Raises `UsageError`, in words, where nothing is known, or it does not fit."""
        name = self.name_of(photo)
        if name is None:
            raise UsageError(f"no mask in {self.spec!r}")
        found = self.kept.objects(name, size, meant)
        if not found.inside.any():
            raise UsageError(f"the mask of {name!r} is empty: no pixel is inside, or none of the class explained")
        return found


def open_masks(given: str | Path) -> Masks:
    """The objects in a folder of PNG masks (0 is outside; of a palette 255 is nobody's), in one of Pascal VOC's XML
    files (boxes), each called as its photo, or in a COCO JSON (polygons, run lengths, boxes).

    Raises `UsageError` for what is none of these.
    """
    path, spec = Path(given), str(given)
    if path.is_file() and path.suffix.lower() in (".png", ".xml"):
        raise UsageError(f"{spec!r} is of one photo: name the folder that it is in, {str(path.parent)!r}")
    if path.is_file():
        return Masks(spec, "coco", Coco.read(path), _stamp({path.name: path}))
    if not path.is_dir():
        raise UsageError(f"no masks in {spec!r}: there is no such folder or file")
    for suffix, kind in ((".png", _Pictures), (".xml", _Voc)):
        files = {
            found.relative_to(path).with_suffix("").as_posix(): found
            for found in sorted(path.rglob("*"))
            if found.suffix.lower() == suffix and found.is_file() and not found.name.startswith(".")
        }
        if files:
            return Masks(spec, suffix[1:], kind(files), _stamp(files))
    raise UsageError(f"no masks in {spec!r}: PNG files, Pascal VOC's XML files, or name a COCO JSON")


def _ends(name: str) -> list[str]:
    """A path and what is left of it without its first folder, its first two..."""
    parts = name.split("/")
    return ["/".join(parts[n:]) for n in range(len(parts))]


def _stamp(files: Mapping[str, Path]) -> str:
    known = [(name, path.stat().st_size, path.stat().st_mtime_ns) for name, path in files.items()]
    return hashlib.sha256(repr(known).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class _Files:
    """A file for each photo, by its name."""

    files: Mapping[str, Path]

    @property
    def names(self) -> Iterable[str]:
        """See `_Kept`."""
        return self.files


class _Pictures(_Files):
    def objects(self, name: str, size: tuple[int, int], meant: Meant) -> Objects:
        """See `_Kept`."""
        path = self.files[name]
        try:
            with Image.open(path) as picture:
                void = picture.mode == "P"
                values = np.asarray(picture)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UsageError(f"cannot read the mask {name + path.suffix!r}: {reason(error)}") from error
        inside = values != 0
        if void:
            inside &= values != _VOID
        if inside.ndim > _PLANE:  # colours; the last of two or four says how opaque they are
            opaque = inside[..., -1] if inside.shape[2] in (2, 4) else np.ones(inside.shape[:2], dtype=bool)
            inside = inside[..., : 3 if inside.shape[2] > 2 else 1].any(2) & opaque
        check_size(f"the mask {name + path.suffix!r}", (inside.shape[0], inside.shape[1]), size)
        return Objects(inside, box_around(inside))


class _Voc(_Files):
    def objects(self, name: str, size: tuple[int, int], meant: Meant) -> Objects:
        """See `_Kept`."""
        path = self.files[name]
        try:
            root = ET.fromstring(path.read_bytes())  # entities of others are not read, and bombs refused, by expat
            stated = stated_size(root.findtext("size/height"), root.findtext("size/width"))
            if stated is not None:
                check_size(f"what {name + path.suffix!r} is about", stated, size)
            found = []
            for each in root.iter("object"):
                called = each.findtext("name", "")
                if meant(called):
                    edges = [each.findtext(f"bndbox/{edge}", "") for edge in ("xmin", "ymin", "xmax", "ymax")]
                    if not all(edges):
                        raise UsageError(f"an object {called!r} has no box of xmin, ymin, xmax and ymax")
                    left, top, right, bottom = map(float, edges)
                    # pixels are counted from 1, and the last is inside
                    found.append(box(left - 1, top - 1, right, bottom, size))
        except (*ODD, ET.ParseError) as error:
            raise UsageError(f"cannot read {name + path.suffix!r}: {in_words(error)}") from error
        return joined(found, found, size)
