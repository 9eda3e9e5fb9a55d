"""COCO files: takes a JSON of pictures, annotations and categories, gives a row for each picture with the categories of
its annotations; keeps no outline of anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from seewhy.errors import UsageError, reason
from seewhy.runs.sources.listing import ListedFiles, Row

__all__ = ["Coco"]

#: what is kept of pictures, annotations and categories: outlines are most of such a file
_KEPT = frozenset(
    ("id", "file_name", "image_id", "category_id", "name", "images", "annotations", "categories")
)  # fmt: skip


class Coco(ListedFiles):
    """Pictures of a COCO JSON, in its order; their classes are the categories of their annotations, in the order of the
    file's categories, each once."""

    kind = "coco"
    unit = "picture"
    tells_unlisted = True
    hint = "images= names another folder"

    def rows(self) -> Iterator[Row]:
        """All pictures, numbered from 0. Raises `UsageError` for a file that is none."""
        return iter(self.once("rows", self._read))

    def _read(self) -> list[Row]:
        try:
            with self._file.open() as file:
                told = json.loads(file.read(), object_hook=_kept)
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"cannot read {self.spec!r}: no JSON ({reason(error)})") from error
        if not isinstance(told, dict) or not isinstance(told.get("images"), list):
            raise UsageError(f"{self.spec!r} has no list 'images', which COCO files have")
        try:
            names = {one["id"]: str(one["name"]) for one in told.get("categories") or ()}
            order = {number: n for n, number in enumerate(names)}
            seen: dict[Any, set[Any]] = {}
            for one in told.get("annotations") or ():
                if (category := one.get("category_id")) is not None:  # captions have none
                    seen.setdefault(one["image_id"], set()).add(category)
            return [
                Row(
                    n,
                    str(one["file_name"]),
                    tuple(names[c] for c in sorted(seen.get(one["id"], ()), key=order.__getitem__)),
                )
                for n, one in enumerate(told["images"])
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"cannot read {self.spec!r}: pictures have id and file_name, annotations image_id and category_id, "
                f"categories id and name; missing or unknown: {reason(error)}"
            ) from error


def _kept(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key in _KEPT}
