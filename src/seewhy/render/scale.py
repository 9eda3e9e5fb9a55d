"""Takes maps, gives the range they are drawn in and their full-size version; never colours anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ENLARGEMENTS", "PERCENTILE", "limits", "resize", "stretch"]

#: how the few cells of a map can become the many pixels of a picture
ENLARGEMENTS = ("bicubic", "bilinear", "gaussian")
#: the width of the Gaussian, in the map's cells
_SIGMA = 0.5

#: the percentile of the magnitudes at which the colours end
PERCENTILE = 99.5


def limits(maps: Sequence[NDArray[Any]], *, signed: bool, percentile: float = PERCENTILE) -> tuple[float, float]:
    """One range ``(lo, hi)``, in the maps' own units, for drawing all ``maps`` (any shapes) alike.

    Unsigned maps get ``(0, p)``, where p is the ``percentile`` of all their values with negative ones
    counted as zero; signed maps get ``(-p, p)``, where p is the percentile of their magnitudes. A single
    outlier thus cannot darken the rest. In maps so sparse that p would be zero it is the maximum. Values
    that are not finite do not count; maps without anything to show get ``(0, 0)``. Raises `UsageError` for
    a percentile outside (0, 100].

    >>> limits([np.array([[0.0, 1.0], [2.0, -4.0]])], signed=True, percentile=100)
    (-4.0, 4.0)
    >>> limits([np.array([[0.0, 1.0], [2.0, -4.0]])], signed=False, percentile=100)
    (0.0, 2.0)
    """
    if not 0 < percentile <= 100:
        raise UsageError(f"percentile {percentile:g} is outside (0, 100]; 99.5 is the default, 100 the maximum")
    pooled = [np.asarray(map_, dtype=np.float64).ravel() for map_ in maps]
    values = np.concatenate(pooled) if pooled else np.zeros(0)
    values = values[np.isfinite(values)]
    sizes = np.abs(values) if signed else np.maximum(values, 0)
    if not sizes.size or sizes.max() == 0:
        return 0.0, 0.0
    top = float(np.percentile(sizes, percentile)) or float(sizes.max())
    return (-top if signed else 0.0), top


def resize(
    map: NDArray[Any], size: tuple[int, int], how: str = "bilinear", part: tuple[slice, slice] | None = None
) -> NDArray[Any]:
    """``map`` ``[h, w]`` at ``size`` ``(H, W)``, pixel centres aligned; only the rows and columns of ``part``, if that
    is given.

    ``how`` is ``"bilinear"``, that is ``align_corners=False`` without antialiasing, whose kinks show as crosses where a
    map of a few cells is enlarged a lot; ``"bicubic"``: smooth, through the same values (Catmull-Rom, cut off where it
    would overshoot); or ``"gaussian"``: smoother still, with lower peaks. All of them where the map is enlarged: it is
    made smaller, and a map that is not finite everywhere is drawn, by bilinear interpolation. Values never leave the
    map's own range. Gives float32, or float64 for a float64 map, always a new array. A value that is not finite makes
    the pixels it takes part in NaN. Raises `UsageError` unless the map has two axes and nothing is empty, and for
    another word.

    >>> resize(np.array([[0.0, 1.0]]), (1, 4)).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    >>> resize(np.array([[0.0, 1.0]]), (1, 4), "bicubic").round(3).tolist()
    [[0.0, 0.203, 0.797, 1.0]]
    """
    source = np.asarray(map)
    if how not in ENLARGEMENTS:
        raise UsageError(f"no way to enlarge {how!r}; use one of {', '.join(ENLARGEMENTS)}")
    if source.ndim != 2 or 0 in source.shape:
        raise UsageError(f"a map to draw has shape (h, w); this one has {source.shape}")
    if len(size) != 2 or min(size) < 1:
        raise UsageError(f"a size is (height, width), both at least 1; got {tuple(size)}")
    values = source.astype(np.float64 if source.dtype == np.float64 else np.float32)
    kept = part or (slice(None), slice(None))
    if values.shape == tuple(size):
        return values[kept]
    smooth = how != "bilinear" and bool(np.isfinite(values).all())
    with np.errstate(invalid="ignore"):  # infinity times a weight of zero
        for axis, length in enumerate(size):
            have, rows = values.shape[axis], np.arange(length)[kept[axis]]
            if smooth and length > have > 1:
                weights = _weights(have, length, rows, how).astype(values.dtype)
                values = weights @ values if axis == 0 else values @ weights.T
            else:
                values = _stretch(values, length, rows, axis)
    return np.clip(values, source.min(), source.max()) if smooth else values


def stretch(map: NDArray[Any], size: Sequence[int]) -> NDArray[Any]:
    """``map`` with any number of axes at ``size``, one length for each: linear between the centres of its cells, one
    axis after the other, as `resize` does by ``"bilinear"``; of three axes trilinear.

    Gives float32, or float64 for a float64 map, always a new array; a value that is not finite makes those NaN that it
    takes part in. Raises `UsageError` for another number of axes, and where nothing would be left.

    >>> stretch(np.array([[[0.0, 1.0]]]), (1, 1, 4)).tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """
    source = np.asarray(map)
    if source.ndim != len(size) or 0 in source.shape or min(size, default=0) < 1:
        raise UsageError(f"a map of shape {source.shape} at size {tuple(size)}: as many axes, none of them empty")
    values = source.astype(np.float64 if source.dtype == np.float64 else np.float32)
    with np.errstate(invalid="ignore"):  # infinity times a weight of zero
        for axis, length in enumerate(size):
            values = _stretch(values, length, np.arange(length), axis)
    return values


def _weights(have: int, length: int, rows: NDArray[np.intp], how: str) -> NDArray[np.float64]:
    """How much each of ``have`` cells is in each of ``rows`` of ``length`` pixels, [rows, have]; the outer cells go on
    beyond the edge."""
    centre = (rows + 0.5) * (have / length) - 0.5
    reach = 2
    first = np.floor(centre).astype(np.intp)
    taps = first[:, None] + np.arange(1 - reach, reach + 1)
    away = np.abs(centre[:, None] - taps)
    if how == "gaussian":
        share = np.exp(-0.5 * (away / _SIGMA) ** 2)
    else:
        near = 1.5 * away**3 - 2.5 * away**2 + 1
        far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
        share = np.where(away <= 1, near, np.where(away < 2, far, 0.0))
    share /= share.sum(1, keepdims=True)
    weights = np.zeros((len(rows), have))
    np.add.at(weights, (np.arange(len(rows))[:, None], np.clip(taps, 0, have - 1)), share)
    return weights


def _stretch(values: NDArray[Any], length: int, rows: NDArray[np.intp], axis: int) -> NDArray[Any]:
    have = values.shape[axis]
    if have == length:
        return values.take(rows, axis)
    centre = np.clip((rows + 0.5) * (have / length) - 0.5, 0, have - 1)
    below = np.floor(centre).astype(np.intp)
    above = np.minimum(below + 1, have - 1)
    weight = (centre - below).astype(values.dtype).reshape(-1, *(1,) * (values.ndim - axis - 1))
    return np.asarray(values.take(below, axis) * (1 - weight) + values.take(above, axis) * weight)
