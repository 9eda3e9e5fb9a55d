"""Mosaics: takes photos that a model is sure of, gives pictures of several of them side by side, to be read like any
source's, and the cell that each fills; runs no network."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from seewhy.api.given.images import own_layout, read_one
from seewhy.errors import ImageError, UnfitImage, UsageError
from seewhy.models import Model
from seewhy.runs.sources import Entry, Source

__all__ = ["MosaicSource", "Tile", "cells", "composed", "dealt"]

#: how often photos are dealt anew for a mosaic that is none yet
_TRIES = 50
#: axes of an input of pictures
_PICTURE = 3


@dataclass(frozen=True)
class Tile:
    """A photo of a mosaic: its entry in its source, and the class that the model is sure of."""

    entry: Entry
    shows: int


def dealt(tiles: Sequence[Tile], side: int, count: int, *, seed: int = 0) -> list[tuple[Tile, ...]]:
    """``count`` mosaics of ``side`` x ``side`` tiles, row by row, each of as many classes, no two of the same photos;
    fewer where there are no more. Photos are shuffled and dealt out, and again once all have had their turn, so that
    each is in about as many mosaics as any other.

    Raises `UsageError` for too few classes, and a ``side`` or a ``count`` that is none.

    >>> tiles = [Tile(Entry(str(n)), n) for n in range(9)]
    >>> [len({tile.shows for tile in mosaic}) for mosaic in dealt(tiles, 2, 3)]
    [4, 4, 4]
    """
    if isinstance(side, bool) or not isinstance(side, int) or side < 2:
        raise UsageError(f"grid={side!r}: how many tiles a side of a mosaic has, 2 or 3")
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UsageError(f"mosaics={count!r}: how many, at least 1")
    classes = {tile.shows for tile in tiles}
    if len(classes) < side * side:
        raise UsageError(
            f"the model is sure of {len(tiles)} photos of {len(classes)} classes, and a mosaic of {side} x {side} "
            f"takes {side * side} classes: give more photos, or let less be sure (sure=0.5)"
        )
    draw, found, known = random.Random(seed), list[tuple[Tile, ...]](), set[frozenset[str]]()
    waiting: list[Tile] = []
    failed = 0
    while len(found) < count and failed < _TRIES:
        mosaic: list[Tile] = []
        while len(mosaic) < side * side:
            have = {tile.shows for tile in mosaic}
            at = next((n for n, tile in enumerate(waiting) if tile.shows not in have), None)
            if at is None:
                # who waits keeps the turn; those in the mosaic may come again, but not in it
                waiting += draw.sample(list(tiles), len(tiles))
                continue
            mosaic.append(waiting.pop(at))
        photos = frozenset(tile.entry.name for tile in mosaic)
        if photos in known:
            failed += 1
            continue
        failed = 0
        known.add(photos)
        found.append(tuple(mosaic))
    return found


def cells(size: tuple[int, ...], side: int) -> list[tuple[slice, slice]]:
    """Rows and columns of every cell of a picture of ``size``, row by row; as equal as whole pixels let them.

    >>> cells((4, 6), 2)[1]
    (slice(0, 2, None), slice(3, 6, None))
    """
    edges = [[round(n * length / side) for n in range(side + 1)] for length in size]
    rows, columns = ([slice(*ends) for ends in itertools.pairwise(axis)] for axis in edges)
    return [(row, column) for row in rows for column in columns]


def composed(inputs: Sequence[Tensor], side: int, *, shrink: bool) -> Tensor:
    """One input of several [C, H, W] of one shape, row by row: ``side`` times as high and wide, or, to ``shrink`` them,
    as large as each (bilinear, smoothed). Raises `UsageError` for inputs of several shapes or that are no pictures.

    >>> import torch
    >>> composed([torch.full((3, 4, 4), float(n)) for n in range(4)], 2, shrink=True)[0, :, 3].tolist()
    [1.0, 1.0, 3.0, 3.0]
    """
    shapes = {tuple(each.shape) for each in inputs}
    if len(shapes) != 1 or inputs[0].ndim != _PICTURE:
        raise UsageError(f"tiles of a mosaic are pictures of one size; got {', '.join(map(str, sorted(shapes)))}")
    channels, height, width = inputs[0].shape
    size = (height, width) if shrink else (side * height, side * width)
    whole = inputs[0].new_empty(channels, *size)
    for each, (rows, columns) in zip(inputs, cells(size, side), strict=True):
        room = (rows.stop - rows.start, columns.stop - columns.start)
        fits = room == (height, width)
        whole[:, rows, columns] = (
            each if fits else F.interpolate(each[None], room, mode="bilinear", antialias=True, align_corners=False)[0]
        )
    return whole


class MosaicSource:
    """Mosaics as a source of inputs, which are put together when it is their turn."""

    kind = "mosaics"
    notes: tuple[str, ...] = ()

    def __init__(self, model: Model, source: Source, mosaics: Sequence[Sequence[Tile]], *, shrink: bool) -> None:
        self.spec = f"mosaics of {source.spec}"
        self._model, self._source, self._shrink = model, source, shrink
        self.mosaics = {f"mosaic {n}": tuple(mosaic) for n, mosaic in enumerate(mosaics)}

    def entries(self) -> Iterator[Entry]:
        """See `Source`."""
        return (Entry(name) for name in self.mosaics)

    def read(self, entry: Entry) -> Any:
        """The input, in the model's own layout. Raises `ImageError`."""
        tiles = self.mosaics[entry.name]
        inputs = []
        for tile in tiles:
            try:
                inputs.append(read_one(self._model, self._source.read(tile.entry), tile.entry.name).tensor)
            except UnfitImage as error:
                raise ImageError(f"{entry.name}: {error}") from error
        side = round(len(tiles) ** 0.5)
        return own_layout(self._model, composed(inputs, side, shrink=self._shrink)[None])[0]
