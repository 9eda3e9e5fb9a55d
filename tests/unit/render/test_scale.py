"""Limits and resizing, against loops that are written out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seewhy.errors import UsageError
from seewhy.render import limits, resize

if TYPE_CHECKING:
    from numpy.typing import NDArray


def slow_resize(source: NDArray[Any], height: int, width: int) -> NDArray[np.float64]:
    """Bilinear with aligned pixel centres, one pixel at a time."""
    h, w = source.shape
    out = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            y = min(max((row + 0.5) * h / height - 0.5, 0), h - 1)
            x = min(max((column + 0.5) * w / width - 0.5, 0), w - 1)
            top, left = math.floor(y), math.floor(x)
            for i, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
                for j, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
                    if weight_x and weight_y:
                        out[row, column] += weight_x * weight_y * float(source[i, j])
    return out


@pytest.mark.parametrize(
    ("have", "want"),
    [((7, 7), (224, 224)), ((3, 5), (4, 11)), ((1, 1), (3, 2)), ((9, 4), (5, 3)), ((6, 2), (2, 6))],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resize_equals_the_loop(have: tuple[int, int], want: tuple[int, int], dtype: type) -> None:
    source = np.random.default_rng(1).normal(size=have).astype(dtype)
    result = resize(source, want)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, slow_resize(source, *want), rtol=0, atol=2e-6 if dtype == np.float32 else 1e-13)


def test_resize_equals_pillow_when_enlarging() -> None:
    source = np.random.default_rng(2).normal(size=(7, 5)).astype(np.float32)
    theirs = Image.fromarray(source, mode=None).resize((50, 63), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resize(source, (63, 50)), np.asarray(theirs), atol=3e-6)


def test_resize_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    source = np.random.default_rng(3).normal(size=(7, 9))
    for want in ((20, 31), (3, 4)):
        theirs = torch.nn.functional.interpolate(
            torch.from_numpy(source)[None, None], size=want, mode="bilinear", align_corners=False
        )
        np.testing.assert_allclose(resize(source, want), theirs[0, 0].numpy(), atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 30), st.integers(1, 30), st.integers(0, 999))
def test_resize_stays_within_the_map_s_range(h: int, w: int, height: int, width: int, seed: int) -> None:
    source = np.random.default_rng(seed).normal(size=(h, w))
    result = resize(source, (height, width))
    assert result.min() >= source.min() - 1e-12
    assert result.max() <= source.max() + 1e-12


def test_resize_keeps_float64_s_range_and_widens_halves() -> None:
    assert resize(np.array([[1e300, 1e-300]]), (1, 2)).tolist() == [[1e300, 1e-300]]
    assert resize(np.array([[1.0, 2.0]], dtype=np.float16), (1, 2)).dtype == np.float32
    assert resize(np.array([[0, 4]]), (1, 4)).tolist() == [[0, 1, 3, 4]]


def test_resize_to_the_same_size_is_a_copy() -> None:
    source = np.ones((2, 2), dtype=np.float32)
    resize(source, (2, 2))[0, 0] = 5
    assert source[0, 0] == 1


def test_resize_lets_nan_spread_only_to_its_neighbours() -> None:
    source = np.zeros((1, 4))
    source[0, 0] = np.nan
    result = resize(source, (1, 8))[0]
    assert np.isnan(result[:3]).all()
    assert (result[3:] == 0).all()
    assert not np.isfinite(resize(np.array([[np.inf, 0.0]]), (1, 4))).all()


@pytest.mark.parametrize(
    ("source", "size", "words"),
    [
        (np.zeros(4), (2, 2), r"shape \(h, w\); this one has \(4,\)"),
        (np.zeros((0, 3)), (2, 2), r"this one has \(0, 3\)"),
        (np.zeros((2, 2)), (0, 2), r"at least 1; got \(0, 2\)"),
    ],
)
def test_resize_refuses(source: NDArray[Any], size: tuple[int, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resize(source, size)


def test_limits_of_a_ramp() -> None:
    ramp = np.arange(-1000, 1001, dtype=np.float64)
    # of 2001 values, 1001 count as zero and the rest are 1..1000
    assert limits([ramp], signed=False) == (0.0, 990.0)
    assert limits([ramp], signed=False, percentile=100) == (0.0, 1000.0)
    assert limits([ramp], signed=True, percentile=100) == (-1000.0, 1000.0)
    low, high = limits([ramp], signed=True)
    assert low == -high
    assert high == pytest.approx(995, abs=0.5)


def test_limits_are_shared_by_all_maps() -> None:
    faint, strong = np.full((2, 2), 0.01), np.full((3, 3), 5.0)
    assert limits([faint, strong], signed=False) == (0.0, 5.0)
    assert limits([faint], signed=False) == (0.0, 0.01)


def test_an_outlier_does_not_darken_the_rest() -> None:
    values = np.ones((50, 50))
    values[3, 4] = 1e9
    assert limits([values], signed=False)[1] == 1.0


def test_sparse_maps_fall_back_to_their_maximum() -> None:
    values = np.zeros((100, 100))
    values[3, 4] = 2.0
    assert limits([values], signed=False) == (0.0, 2.0)
    assert limits([-values], signed=True) == (-2.0, 2.0)


@pytest.mark.parametrize("maps", [[], [np.zeros((3, 3))], [np.full((2, 2), np.nan)], [np.full((2, 2), np.inf)]])
@pytest.mark.parametrize("signed", [True, False])
def test_nothing_to_draw_has_limits_of_zero(maps: list[NDArray[Any]], signed: bool) -> None:
    assert limits(maps, signed=signed) == (0.0, 0.0)


def test_negative_values_have_no_unsigned_limit() -> None:
    assert limits([np.full((2, 2), -3.0)], signed=False) == (0.0, 0.0)


def test_what_is_not_finite_does_not_count() -> None:
    assert limits([np.array([[np.nan, 1.0], [np.inf, -np.inf]])], signed=True) == (-1.0, 1.0)


@pytest.mark.parametrize("percentile", [0, -1, 100.5, float("nan")])
def test_limits_refuse_other_percentiles(percentile: float) -> None:
    with pytest.raises(UsageError, match="outside"):
        limits([np.ones((2, 2))], signed=True, percentile=percentile)


def kink(how: str) -> float:
    """How sharply an enlarged single peak bends anywhere along the line through it: what is seen as a cross."""
    peak = np.zeros((7, 7))
    peak[3, 3] = 1
    return float(np.abs(np.diff(resize(peak, (224, 224), how)[111], 2)).max())


@pytest.mark.parametrize("how", ["bicubic", "gaussian"])
def test_smooth_enlargement_has_no_kinks(how: str) -> None:
    assert kink(how) < kink("bilinear") / 2


@pytest.mark.parametrize("how", ["bicubic", "gaussian"])
def test_smooth_enlargement_stays_within_the_map_s_values(how: str) -> None:
    values = np.random.default_rng(0).normal(size=(7, 9))
    large = resize(values, (70, 90), how)
    assert large.shape == (70, 90)
    assert large.min() >= values.min()
    assert large.max() <= values.max()
    assert resize(np.full((3, 3), 2.0), (30, 30), how) == pytest.approx(np.full((30, 30), 2.0))
    assert large.mean() == pytest.approx(values.mean(), abs=0.1)


def test_bicubic_goes_through_the_values() -> None:
    values = np.random.default_rng(0).normal(size=(5, 5))
    assert resize(values, (15, 15), "bicubic")[1::3, 1::3] == pytest.approx(values)


def test_smooth_enlargement_leaves_what_is_not_finite_where_bilinear_does() -> None:
    values = np.ones((4, 4))
    values[1, 1] = np.nan
    assert np.array_equal(resize(values, (16, 16), "bicubic"), resize(values, (16, 16)), equal_nan=True)


def test_smaller_maps_are_bilinear() -> None:
    values = np.random.default_rng(0).normal(size=(8, 8))
    assert (resize(values, (4, 4), "bicubic") == resize(values, (4, 4))).all()
    with pytest.raises(UsageError, match="no way to enlarge 'cubic'"):
        resize(values, (4, 4), "cubic")
