"""Pieces of an image: superpixels, a grid, one's own; numbered from 0 without gaps, or refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from seewhy.api.given.images import Item
from seewhy.api.given.regions import regions, segments
from seewhy.errors import UnknownName, UsageError


def _items(x: torch.Tensor, views: list[np.ndarray] | None = None) -> list[Item]:
    return [
        Item(row, None if views is None else views[n], f"{n}", views is not None) for n, row in enumerate(x.unbind())
    ]


def _x(batch: int = 2, size: tuple[int, ...] = (24, 32), channels: int = 3) -> torch.Tensor:
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(0))


def _halves(view: np.ndarray) -> np.ndarray:
    return (np.arange(view.shape[1]) >= 10)[None].repeat(view.shape[0], 0) * 7


def _compact(labels: torch.Tensor) -> bool:
    return all(row.unique().tolist() == list(range(int(row.max()) + 1)) for row in labels)


@pytest.mark.parametrize("kind", [None, "slic", "grid", 12, np.int64(5)])
def test_every_kind_is_compact_and_of_the_images_size(kind: Any) -> None:
    x = _x()
    if kind != "grid":
        pytest.importorskip("skimage")
    labels = segments(kind, x, _items(x))
    assert labels.dtype == torch.long
    assert tuple(labels.shape) == (2, 24, 32)
    assert _compact(labels)


def test_superpixels_follow_the_picture() -> None:
    """What is seen, not the preprocessed input, is cut up; a border between two colours is a border of pieces."""
    pytest.importorskip("skimage")
    view = np.zeros((24, 32, 3), np.uint8)
    view[:, 13:] = 255
    x = _x(1)
    labels = segments(6, x, _items(x, [view]))[0]
    assert not set(labels[:, :12].unique().tolist()) & set(labels[:, 14:].unique().tolist())
    # without a picture, the input scaled to its own range is cut up in its place
    alone = torch.from_numpy(view).permute(2, 0, 1)[None].float() * 3 - 5
    labels = segments(6, alone, _items(alone))[0]
    assert not set(labels[:, :12].unique().tolist()) & set(labels[:, 14:].unique().tolist())


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_superpixels_of_any_number_of_channels(channels: int) -> None:
    pytest.importorskip("skimage")
    x = _x(1, channels=channels)
    assert _compact(segments(None, x, _items(x)))


@pytest.mark.parametrize(("size", "pieces"), [((24, 32), 49), ((50,), 50), ((8, 8, 8), 64), ((3, 40), 21)])
def test_a_grid_has_equal_blocks(size: tuple[int, ...], pieces: int) -> None:
    """About 50 pieces, none more than a row larger than another along an axis; no more than there are pixels."""
    x = _x(2, size)
    labels = segments("grid", x, _items(x))
    assert _compact(labels)
    assert int(labels.max()) + 1 == pieces
    assert torch.equal(labels[0], labels[1])
    areas = labels[0].flatten().bincount()
    assert int(areas.min()) >= 1
    for axis, n in enumerate(size):
        line = labels[0].movedim(axis, -1).reshape(-1, n)[0]
        widths = line.unique(return_counts=True)[1]
        assert int(widths.max() - widths.min()) <= 1


def test_inputs_without_a_plane_get_a_grid() -> None:
    x = _x(2, (40,))
    assert torch.equal(segments(None, x, _items(x)), segments("grid", x, _items(x)))


def test_ones_own_are_renumbered() -> None:
    """For all images, one for each, or a function of the picture; any integers, gaps and signs included."""
    x = _x()
    own = np.full((24, 32), -4)
    own[:, 20:] = 900
    for given in (own, torch.from_numpy(own), own.tolist(), np.stack([own, own])):
        labels = segments(given, x, _items(x))
        assert tuple(labels.shape) == (2, 24, 32)
        assert labels.unique().tolist() == [0, 1]
        assert (labels[1, :, 20:] == 1).all()
    by_function = segments(_halves, x, _items(x))
    assert by_function.unique().tolist() == [0, 1]
    assert (by_function[0, :, :10] == 0).all()
    each = np.stack([own, np.arange(24 * 32).reshape(24, 32) // 300])
    assert [int(row.max()) for row in segments(each, x, _items(x))] == [1, 2]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (np.zeros((24, 31), int), r"shape \(24, 31\) for inputs of size \(24, 32\)"),
        (np.zeros((3, 24, 32), int), r"shape \(3, 24, 32\)"),
        (np.zeros((24, 32)), "whole numbers"),
        (torch.zeros(24, 32, dtype=torch.complex64), "whole numbers"),
        (0, "segments=0: at least one piece"),
        (-3, "segments=-3"),
        (lambda view: np.zeros((2, 2), int), r"shape \(2, 2\)"),
    ],
)
def test_what_does_not_fit(kind: Any, words: str) -> None:
    x = _x()
    with pytest.raises(UsageError, match=words) as raised:
        segments(kind, x, _items(x))
    assert "\n" not in str(raised.value)


def test_an_unknown_kind_names_the_nearest() -> None:
    x = _x()
    with pytest.raises(UnknownName, match="nearest: 'slic'"):
        segments("slick", x, _items(x))


def test_regions_are_several_at_once() -> None:
    """Coarse and fine ones unless told otherwise; what is given counts alone."""
    pytest.importorskip("skimage")
    x = _x(2)
    many = regions(None, x, _items(x))
    assert many.shape[0] == 2
    assert many.shape[1] > 1
    assert tuple(many.shape[2:]) == (24, 32)
    assert torch.equal(regions("grid", x, _items(x)), segments("grid", x, _items(x))[:, None])
    line = _x(2, (40,))
    assert regions(None, line, _items(line)).shape == (2, 1, 40)
