"""Mosaics: photos dealt out evenly, cells that cover a picture once, inputs put side by side."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from seewhy.api.given.mosaics import Tile, cells, composed, dealt
from seewhy.errors import UsageError
from seewhy.runs.sources import Entry


@pytest.mark.parametrize(("photos", "classes", "side", "count"), [(78, 61, 2, 100), (9, 9, 3, 1), (40, 5, 2, 30)])
def test_photos_are_dealt_evenly_and_mosaics_differ(photos: int, classes: int, side: int, count: int) -> None:
    tiles = [Tile(Entry(str(n)), n % classes) for n in range(photos)]
    found = dealt(tiles, side, count, seed=4)
    assert len(found) == count
    assert len({frozenset(tile.entry.name for tile in mosaic) for mosaic in found}) == count
    assert all(len({tile.shows for tile in mosaic}) == side**2 for mosaic in found)
    turns = Counter(tile.entry.name for mosaic in found for tile in mosaic)
    assert max(turns.values()) - min(turns[tile.entry.name] for tile in tiles) <= 3
    assert dealt(tiles, side, count, seed=4) == found
    if count > 1:
        assert dealt(tiles, side, count, seed=5) != found


@pytest.mark.parametrize("size", [(8, 8), (7, 11), (224, 224), (5, 3)])
@pytest.mark.parametrize("side", [2, 3])
def test_cells_cover_every_pixel_once(size: tuple[int, int], side: int) -> None:
    covered = np.zeros(size, dtype=int)
    shapes = set()
    for place in cells(size, side):
        covered[place] += 1
        shapes.add(covered[place].shape)
    assert (covered == 1).all()
    assert max(high for high, _ in shapes) - min(high for high, _ in shapes) <= 1


def test_inputs_are_put_side_by_side_as_they_are() -> None:
    inputs = [torch.rand(3, 5, 7) for _ in range(9)]
    whole = composed(inputs, 3, shrink=False)
    assert whole.shape == (3, 15, 21)
    for each, (rows, columns) in zip(inputs, cells((15, 21), 3), strict=True):
        assert torch.equal(whole[:, rows, columns], each)
    small = composed(inputs, 3, shrink=True)
    assert small.shape == (3, 5, 7)
    assert composed([torch.full((1, 6, 6), float(n)) for n in range(4)], 2, shrink=True).unique().tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_tiles_of_several_sizes_make_no_mosaic() -> None:
    with pytest.raises(UsageError, match=r"pictures of one size; got \(3, 4, 4\), \(3, 5, 5\)"):
        composed([torch.rand(3, 4, 4)] * 3 + [torch.rand(3, 5, 5)], 2, shrink=False)
