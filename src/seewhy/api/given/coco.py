"""Objects in a COCO file: takes its path, gives what is in each photo by the photo's name: polygons, run lengths,
boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seewhy.api.given.objects import ODD, Meant, Objects, box_around, check_size, in_words, joined, stated_size, stem
from seewhy.api.given.outlines import Inside, box, polygon, runs
from seewhy.errors import UsageError, reason
from seewhy.runs.sources.json_lists import BEGINS, items_of

__all__ = ["Coco"]


@dataclass(frozen=True, eq=False)
class _Photo:
    """What a COCO file has of one photo: its ``sizes`` and full ``names``, one of each unless several photos would be
    called alike, and annotations, each with its category."""

    names: set[str] = field(default_factory=set)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    annotations: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Coco:
    """What is in photos, by their names."""

    spec: str
    found: Mapping[str, _Photo]

    @property
    def names(self) -> Iterable[str]:
        """See `_Kept`."""
        return [name for name, photo in self.found.items() if photo.annotations]

    @classmethod
    def read(cls, path: Path) -> Coco:
        """All annotations of a file; raises `UsageError` for one that is none."""
        pictures, names = dict[Any, str](), dict[Any, str]()
        found: dict[str, _Photo] = {}
        seen: dict[Any, list[Mapping[str, Any]]] = {}
        try:
            with path.open("rb") as file:
                for key, item in items_of(file, ("images", "annotations", "categories")):
                    if item is BEGINS:
                        continue
                    if key == "images":
                        pictures[item["id"]] = name = stem(str(item["file_name"]))
                        photo = found.setdefault(name, _Photo())
                        photo.names.add(str(item["file_name"]))
                        if (size := stated_size(item.get("height"), item.get("width"))) is not None:
                            photo.sizes.add(size)
                    elif key == "categories":
                        names[item["id"]] = str(item["name"])
                    elif item.get("bbox") or item.get("segmentation"):
                        seen.setdefault(item["image_id"], []).append(item)
        except ODD as error:
            raise UsageError(
                f"cannot read masks of {str(path)!r}: no COCO JSON of objects ({reason(error)})"
            ) from error
        if not seen:
            raise UsageError(
                f"{str(path)!r} has no annotation with an outline or a box: PNG masks, VOC or COCO files do"
            )
        if not seen.keys() & pictures.keys():
            own = f"its images have {next(iter(pictures))!r}" if pictures else "it lists no images"
            raise UsageError(f"annotations of {str(path)!r} are of image_id {next(iter(seen))!r}..., and {own}...")
        for number, name in pictures.items():
            found[name].annotations.extend(
                (names.get(each.get("category_id"), ""), each) for each in seen.get(number, ())
            )
        return cls(str(path), found)

    def objects(self, name: str, size: tuple[int, int], meant: Meant) -> Objects:
        """See `_Kept`."""
        photo = self.found[name]
        if len(photo.names) > 1:
            several = " and ".join(map(repr, sorted(photo.names)[:2]))
            raise UsageError(f"{self.spec!r} has {several}, which differ by their suffix alone: rename one")
        for stated in photo.sizes:
            check_size(f"{name!r} in {self.spec!r}", stated, size)
        inside, boxes = [], []
        for category, each in photo.annotations:
            if not meant(category):
                continue
            try:
                around = _box(each["bbox"], size) if each.get("bbox") else None
                outline = _outline(each.get("segmentation"), size)
                if outline is None:
                    outline = around
            except ODD as error:
                raise UsageError(f"an annotation of {name!r} in {self.spec!r}: {in_words(error)}") from error
            assert outline is not None  # `read` kept what has one of both
            inside.append(outline)
            boxes.append(box_around(outline) if around is None else around)
        return joined(inside, boxes, size)


def _box(edges: Any, size: tuple[int, int]) -> Inside:
    if not isinstance(edges, list) or len(edges) != 4:
        raise UsageError(f"a bbox is [left, top, width, height] in pixels; got {edges!r:.60}")
    left, top, wide, high = map(float, edges)
    return box(left, top, left + wide, top + high, size)


def _outline(given: Any, size: tuple[int, int]) -> Inside | None:
    """Polygons or run lengths; None where there are none."""
    if isinstance(given, Mapping):
        own, counts = given.get("size"), given.get("counts")
        if not isinstance(own, list) or len(own) != 2 or not isinstance(counts, list | str):
            raise UsageError(f"run lengths are {{size: [height, width], counts: ...}}; got {given!r:.60}")
        check_size("its mask", (int(own[0]), int(own[1])), size)
        return runs(counts, size)
    if not given:
        return None
    if not isinstance(given, list):
        raise UsageError(f"a segmentation is a list of polygons, or run lengths; got {given!r:.60}")
    return np.asarray(np.any([polygon(points, size) for points in given], axis=0))
