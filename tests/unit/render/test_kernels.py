"""Kernels and tints as pixels: zero is neutral, the ends are where the limit is, colours do not lie."""

from __future__ import annotations

import numpy as np
import pytest

from seewhy.errors import UsageError
from seewhy.render import colormap, hues, kernel, lightness, tinted


def test_a_colour_kernel_is_one_pixel_a_weight() -> None:
    weights = np.zeros((3, 2, 4))
    weights[0, 0, 1], weights[1, 1, 2], weights[2, 0, 3] = 2.0, -2.0, 9.0
    pixels = kernel(weights, limit=2.0, colour=True)
    assert pixels.shape == (2, 4, 3)
    assert pixels[0, 1].tolist() == [255, 128, 128]
    assert pixels[1, 2].tolist() == [128, 0, 128]
    assert pixels[0, 3].tolist() == [128, 128, 255]
    assert (pixels[1, 0] == 128).all()
    assert pixels.flags["C_CONTIGUOUS"]


def test_a_limit_of_nothing_and_weights_that_are_no_numbers_are_grey() -> None:
    assert (kernel(np.zeros((3, 2, 2)), limit=0.0, colour=True) == 128).all()
    weights = np.full((3, 1, 1), np.nan)
    assert (kernel(weights, limit=1.0, colour=True) == 128).all()
    assert (kernel(weights, limit=1.0)[0, 0] == 128).all()


@pytest.mark.parametrize(("planes", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 2), (5, 2, 3)])
def test_planes_stand_in_a_square(planes: int, rows: int, columns: int) -> None:
    weights = np.stack([np.full((3, 3), 1.0 if n % 2 else -1.0) for n in range(planes)])
    pixels = kernel(weights, limit=1.0)
    side, gap = 24, 3
    assert pixels.shape == (rows * (side + gap) - gap, columns * (side + gap) - gap, 3)
    ends = colormap("blue-red")
    for n in range(planes):
        y, x = n // columns * (side + gap), n % columns * (side + gap)
        assert (pixels[y : y + side, x : x + side] == ends[255 if n % 2 else 0]).all()
    if columns > 1:
        assert (pixels[:side, side : side + gap] == 255).all()


def test_large_kernels_are_not_enlarged() -> None:
    assert kernel(np.zeros((1, 30, 40)), limit=1.0, cmap="gray").shape == (30, 40, 3)


@pytest.mark.parametrize(("shape", "colour"), [((3, 3), False), ((2, 3, 3), True), ((0, 3, 3), False)])
def test_what_is_no_kernel(shape: tuple[int, ...], colour: bool) -> None:
    with pytest.raises(UsageError, match="a kernel to draw is"):
        kernel(np.zeros(shape), limit=1.0, colour=colour)


def test_hues_are_equally_light_and_different() -> None:
    for count in (1, 2, 6, 12):
        colours = hues(count)
        assert np.ptp(lightness(colours)) < 0.03
        assert len({tuple(c) for c in colours.tolist()}) == count


def test_tints_say_which_map_is_ahead() -> None:
    colours = np.array([[200, 0, 0], [0, 0, 200]], dtype=np.uint8)
    left, right = np.array([[1.0, 0.0, 0.2]]), np.array([[0.0, 1.0, 0.8]])
    pixels = tinted(None, [left, right], colours, [1.0, 1.0])
    assert pixels[0, 0].tolist() == [200, 0, 0]
    assert pixels[0, 1].tolist() == [0, 0, 200]
    assert pixels[0, 2, 2] > pixels[0, 2, 0] + 50
    assert (tinted(None, [left], colours[:1], [0.0]) == 255).all()


def test_tints_on_a_photo_leave_it_grey_where_nothing_is() -> None:
    photo = np.zeros((4, 8, 3), dtype=np.uint8)
    photo[..., 0] = 250
    pixels = tinted(photo, [np.array([[0.0, 1.0]])], np.array([[0, 200, 0]], dtype=np.uint8), [1.0])
    assert pixels.shape == photo.shape
    assert np.ptp(pixels[0, 0].astype(int)) == 0
    assert pixels[0, -1, 1] > pixels[0, -1, 0] + 100
