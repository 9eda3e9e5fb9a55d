"""COCO files: takes a JSON of pictures, annotations and categories, gives a row for each picture with the categories of
its annotations; never keeps an outline of anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seewhy.errors import UsageError, reason
from seewhy.runs.sources.json_lists import BEGINS, items_of
from seewhy.runs.sources.listed_files import ListedFiles, Row

__all__ = ["Coco"]

_LISTS = ("images", "annotations", "categories")


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
        pictures: list[tuple[Any, str]] | None = None
        seen, names = dict[Any, set[Any]](), dict[Any, str]()
        try:
            with self._file.open() as file:
                for key, item in items_of(file, _LISTS):
                    if item is BEGINS:
                        pictures = [] if key == "images" else pictures
                    elif key == "images" and pictures is not None:
                        pictures.append((item["id"], str(item["file_name"])))
                    elif key == "categories":
                        names[item["id"]] = str(item["name"])
                    elif (category := item.get("category_id")) is not None:  # captions have none
                        seen.setdefault(item["image_id"], set()).add(category)
            if pictures is None:
                raise UsageError(f"{self.spec!r} has no list 'images', which COCO files have")
            order = {number: n for n, number in enumerate(names)}
            return [
                Row(n, name, tuple(names[each] for each in sorted(seen.get(number, ()), key=order.__getitem__)))
                for n, (number, name) in enumerate(pictures)
            ]
        except UsageError:
            raise
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"cannot read {self.spec!r}: pictures have id and file_name, annotations image_id and category_id, "
                f"categories id and name; missing or unknown: {reason(error)}"
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"cannot read {self.spec!r}: no JSON ({reason(error)})") from error
