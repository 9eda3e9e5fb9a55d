"""Pictures of a source once more: takes which of them are wanted, by their places in it, gives inputs; keeps none that
it was not told to keep."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from seewhy.api.given.images import Item, read_one
from seewhy.api.given.truths import Known
from seewhy.errors import ImageError, UsageError
from seewhy.models import Model
from seewhy.runs.reading import in_order
from seewhy.runs.sources import Entry

__all__ = ["Again", "stacked"]

T = TypeVar("T")

#: threads that read, and pictures that they read ahead
_READERS, _AHEAD = 2, 16


class Again:
    """The pictures of ``known`` at the places ``wanted``, as inputs of ``model``; ``lost`` says of which ones, by their
    names, why they could not be read this time."""

    def __init__(self, model: Model, known: Known, wanted: Collection[int]) -> None:
        self.model, self.known = model, known
        self.entries: dict[int, Entry] = {
            number: entry for number, entry in enumerate(known.source.entries()) if number in wanted
        }
        self.lost: dict[str, str] = {}

    def item(self, row: int) -> Item:
        """One picture, without the photo's own pixels, which are for drawings of it. Raises what reading does."""
        entry = self.entries[row]
        return replace(read_one(self.model, self.known.source.read(entry), entry.name), photo=None, window=None)

    def each(self, rows: Sequence[int], make: Callable[[int, Item], T]) -> Iterator[tuple[int, T]]:
        """What ``make`` makes of each picture and its place, in the order of ``rows``; those that have gone are told as
        ``lost`` and left out."""

        def tried(row: int) -> tuple[int, T] | None:
            try:
                return row, make(row, self.item(row))
            except (ImageError, UsageError) as error:
                self.lost[self.entries[row].name] = str(error)
                return None

        yield from (found for found in in_order(rows, tried, threads=_READERS, ahead=_AHEAD) if found is not None)


def stacked(inputs: Sequence[Tensor], why: str) -> Tensor:
    """Inputs [N, C, H, W] in float32. Raises `UsageError`, which says ``why`` they have to be, where they are not of
    one size.

    >>> stacked([torch.zeros(3, 2, 2), torch.ones(3, 2, 2)], "an audit exchanges places").shape
    torch.Size([2, 3, 2, 2])
    """
    sizes = {tuple(each.shape) for each in inputs}
    if len(sizes) > 1:
        raise UsageError(f"inputs of {len(sizes)} sizes: {why}, which takes inputs of one size")
    return torch.stack(list(inputs)).float()
