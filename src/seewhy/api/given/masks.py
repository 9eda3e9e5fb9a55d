"""Where objects are: takes a folder of masks or boxes, or a COCO file, gives for a photo which of its pixels are
inside; follows no photo into a network."""

from __future__ import annotations

import hashlib
import posixpath
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seewhy.api.given.outlines import Inside, box, polygon, runs
from seewhy.errors import UsageError, reason
from seewhy.runs.sources.json_lists import BEGINS, items_of

__all__ = ["Masks", "Objects", "open_masks"]

#: what palettes of segmentations have where nobody says what is there
_VOID = 255
#: axes of a mask of one value a pixel
_PLANE = 2


@dataclass(frozen=True, eq=False)
class Objects:
    """What is in a photo, of its own size: pixels ``inside`` objects, and inside their ``boxes``."""

    inside: Inside
    boxes: Inside


Meant = Callable[[str], bool]


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
    _known: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known.update({name: name for name in self.kept.names})

    def name_of(self, photo: str) -> str | None:
        """By which name objects of a photo are kept; None where there are none.

        The end of its path decides: ``photos/cat/1.jpg`` is ``cat/1`` or ``1``, the longer one if there are both.
        """
        parts = posixpath.splitext(photo.replace("\\", "/"))[0].split("/")
        ends = ("/".join(parts[n:]) for n in range(len(parts)))
        return next((end for end in ends if end in self._known), None)

    def check(self, photos: Iterable[str]) -> int:
        """How many of ``photos`` have objects. Raises `UsageError` if none has, or two have the same."""
        found: dict[str, str] = {}
        first = ""
        for photo in photos:
            first = first or photo
            name = self.name_of(photo)
            if name is None:
                continue
            if name in found:
                raise UsageError(
                    f"{name!r} of {self.spec!r} is of two photos, {found[name]!r} and {photo!r}: put masks into "
                    "folders of the same names as the photos'"
                )
            found[name] = photo
        if not found:
            own = next(iter(self._known), None)
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
    if path.is_file():
        return Masks(spec, "coco", _Coco.read(path), _stamp({path.name: path}))
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


def _stamp(files: Mapping[str, Path]) -> str:
    known = [(name, path.stat().st_size, path.stat().st_mtime_ns) for name, path in files.items()]
    return hashlib.sha256(repr(known).encode()).hexdigest()[:16]


def _fits(what: str, own: tuple[int, int], size: tuple[int, int]) -> None:
    if own != size:
        turned = "; the photo lies on its side, and its mask does not" if own == size[::-1] else ""
        raise UsageError(f"{what} is of {own[0]} x {own[1]} pixels, and the photo of {size[0]} x {size[1]}{turned}")


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
            raise UsageError(f"cannot read the mask {path.name!r}: {reason(error)}") from error
        inside = values != 0
        if void:
            inside &= values != _VOID
        if inside.ndim > _PLANE:  # colours; the last of two or four says how opaque they are
            opaque = inside[..., -1] if inside.shape[2] in (2, 4) else np.ones(inside.shape[:2], dtype=bool)
            inside = inside[..., : 3 if inside.shape[2] > 2 else 1].any(2) & opaque
        _fits(f"the mask {path.name!r}", (inside.shape[0], inside.shape[1]), size)
        return Objects(inside, _around(inside))


def _around(inside: Inside) -> Inside:
    """The box around all that is inside."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    around = np.zeros_like(inside)
    if len(rows):
        around[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return around


class _Voc(_Files):
    def objects(self, name: str, size: tuple[int, int], meant: Meant) -> Objects:
        """See `_Kept`."""
        path = self.files[name]
        try:
            root = ET.fromstring(path.read_bytes())  # entities of others are not read, and bombs refused, by expat
            own = root.find("size")
            if own is not None:
                stated = (int(own.findtext("height", "0")), int(own.findtext("width", "0")))
                if 0 not in stated:
                    _fits(f"what {path.name!r} is about", stated, size)
            found = []
            for each in root.iter("object"):
                if meant(each.findtext("name", "")):
                    edges = [float(each.findtext(f"bndbox/{edge}", "")) for edge in ("xmin", "ymin", "xmax", "ymax")]
                    # pixels are counted from 1, and the last is inside
                    found.append(box(edges[0] - 1, edges[1] - 1, edges[2], edges[3], size))
        except (OSError, ET.ParseError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"cannot read {path.name!r}: {reason(error)}") from error
        return _all(found, found, size)


def _all(inside: Iterable[Inside], boxes: Iterable[Inside], size: tuple[int, int]) -> Objects:
    none: NDArray[np.bool_] = np.zeros(size, dtype=bool)
    return Objects(np.any([none, *inside], axis=0), np.any([none, *boxes], axis=0))


@dataclass(frozen=True, eq=False)
class _Coco:
    """Annotations by their picture's name; each with its category."""

    spec: str
    found: Mapping[str, tuple[tuple[int, int] | None, list[tuple[str, Mapping[str, Any]]]]]

    @property
    def names(self) -> Iterable[str]:
        """See `_Kept`."""
        return [name for name, (_, annotations) in self.found.items() if annotations]

    @classmethod
    def read(cls, path: Path) -> _Coco:
        """All annotations of a file; raises `UsageError` for one that is none."""
        pictures, names = dict[Any, tuple[str, tuple[int, int] | None]](), dict[Any, str]()
        seen: dict[Any, list[Mapping[str, Any]]] = {}
        try:
            with path.open("rb") as file:
                for key, item in items_of(file, ("images", "annotations", "categories")):
                    if item is BEGINS:
                        continue
                    if key == "images":
                        size = (int(item["height"]), int(item["width"])) if "height" in item else None
                        pictures[item["id"]] = posixpath.splitext(str(item["file_name"]))[0], size
                    elif key == "categories":
                        names[item["id"]] = str(item["name"])
                    elif item.get("bbox") or item.get("segmentation"):
                        seen.setdefault(item["image_id"], []).append(item)
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"cannot read masks of {str(path)!r}: no COCO JSON of objects ({reason(error)})"
            ) from error
        if not seen:
            raise UsageError(
                f"{str(path)!r} has no annotation with an outline or a box: PNG masks, VOC or COCO files do"
            )
        found = {
            name: (size, [(names.get(each.get("category_id"), ""), each) for each in seen.get(number, [])])
            for number, (name, size) in pictures.items()
        }
        return cls(str(path), found)

    def objects(self, name: str, size: tuple[int, int], meant: Meant) -> Objects:
        """See `_Kept`."""
        stated, annotations = self.found[name]
        if stated is not None:
            _fits(f"{name!r} in {self.spec!r}", stated, size)
        inside, boxes = [], []
        for category, each in annotations:
            if not meant(category):
                continue
            try:
                outline = _outline(each, size)
                edges = each.get("bbox")
                left, top, wide, high = map(float, edges) if edges else (0.0, 0.0, 0.0, 0.0)
                inside.append(outline)
                boxes.append(box(left, top, left + wide, top + high, size) if edges else _around(outline))
            except (TypeError, ValueError, KeyError) as error:
                raise UsageError(f"an annotation of {name!r} in {self.spec!r}: {reason(error)}") from error
        return _all(inside, boxes, size)


def _outline(annotation: Mapping[str, Any], size: tuple[int, int]) -> Inside:
    """Polygons, run lengths, or else the box."""
    outline = annotation.get("segmentation")
    if isinstance(outline, Mapping):
        own = (int(outline["size"][0]), int(outline["size"][1]))
        _fits("its mask", own, size)
        return runs(outline["counts"], own)
    if outline:
        return np.asarray(np.any([polygon(points, size) for points in outline], axis=0))
    left, top, wide, high = map(float, annotation["bbox"])
    return box(left, top, left + wide, top + high, size)
