"""Photos and their true classes: takes a folder, or images with classes, gives inputs a few at a time, with names and
truths; runs no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from seewhy.api.given.folders import labelled
from seewhy.api.given.images import Item, read_items
from seewhy.errors import ImageError, UnfitImage, UsageError
from seewhy.models import Model
from seewhy.runs.reading import in_order

__all__ = ["Known", "known_truths"]

#: photos read before they are answered: pictures are large, numbers are not; and threads that read them
_AT_ONCE, _READERS = 64, 2


@dataclass
class Known:
    """Images and their true classes, read as `batches` are asked for; ``failed`` says which could not be read, and
    why."""

    model: Model
    source: Sequence[Any]
    truths: Sequence[int]
    progress: Callable[[str, int, int], None] | None = None
    failed: list[str] = field(default_factory=list)

    def batches(self) -> Iterator[tuple[list[Item], list[str], list[int]]]:
        """Inputs with their names and classes, a few at a time. Raises `UsageError` at the end if there were none."""
        some = 0
        with closing(in_order(self.source, self._read, threads=_READERS, ahead=_AT_ONCE)) as read:
            for start in range(0, len(self.source), _AT_ONCE):
                items, names, true = list[Item](), list[str](), list[int]()
                for number, item in enumerate(islice(read, _AT_ONCE), start):
                    if isinstance(item, ImageError | UnfitImage):
                        self.failed.append(str(item))
                        continue
                    one = self.source[number]
                    items.append(item)
                    names.append(str(one) if isinstance(one, str | Path) else item.name or f"image {number}")
                    true.append(self.truths[number])
                if items:
                    yield items, names, true
                some += len(items)
                if self.progress is not None:
                    self.progress("photos", min(start + _AT_ONCE, len(self.source)), len(self.source))
        if not some:
            raise UsageError(f"none of the {len(self.source)} photos can be read")

    def _read(self, one: Any) -> Item | ImageError | UnfitImage:
        """One image, or why it cannot be read."""
        try:
            (item,), _ = read_items(self.model, one)
        except (ImageError, UnfitImage) as error:
            return error
        return item


def known_truths(
    model: Model,
    images: Any,
    truths: Sequence[int | str] | None,
    table: str | Path | None,
    call: str,
    progress: Callable[[str, int, int], None] | None = None,
) -> Known:
    """A folder, whose sub-folders name the classes or which has a ``table``, or ``images`` with ``truths``, numbers or
    labels; ``call`` is who asks. Raises `UsageError` for photos without a class."""
    if truths is None:
        if not isinstance(images, str | Path):
            raise UsageError(f"{call} needs the true classes: truths=[...], or a folder with one for each class")
        known, source = _folder(model, images, table)
    else:
        source = list(images) if not isinstance(images, str | Path) else [images]
        known = [model.find_label(label) if isinstance(label, str) else int(label) for label in truths]
        if len(known) != len(source):
            raise UsageError(f"{len(known)} truths for {len(source)} images: one for each")
    return Known(model, source, known, progress)


def _folder(model: Model, folder: str | Path, table: str | Path | None) -> tuple[list[int], list[Any]]:
    photos = labelled(model, folder, table)
    known = [photo.truth for photo in photos if photo.truth is not None]
    if len(known) != len(photos):
        raise UsageError(
            f"{len(photos) - len(known)} of {len(photos)} photos in {folder} have no class: sort them into a "
            "sub-folder for each class, or write labels.csv with a line file,label for each"
        )
    return known, [photo.path for photo in photos]
