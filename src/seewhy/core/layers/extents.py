"""Extents: takes what the cells along an axis answered to each digit, gives the part of the axis that they lie over, if
that is clearly not all of it.

A crop in the middle answers to halves as the whole picture does, and to quarters otherwise.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import torch
from torch import Tensor

from seewhy.core.layers.stripes import DIGITS, Stripes

__all__ = ["CELLS", "WHOLE", "extent_of"]

#: all of an axis
WHOLE = (0.0, 1.0)

#: where positions may lie instead of over the whole of an axis: parts of it, or more than it, in sixteenths;
#: the first is all of it
_EXTENTS = [
    WHOLE,
    *((low / 16, high / 16) for low in range(-8, 9) for high in range(8, 25) if high - low >= 4),
]
#: the correlation with all digits below which the whole axis is doubted, that from which a part of it is believed, by
#: how much that has to be the better one, and over how many cells at least
_WHOLE, _PART, _BETTER, CELLS = 0.45, 0.8, 0.4, 3

#: by how much more or less than the whole axis that part is at least, and the share that it may leave of what the whole
#: does not explain, where cells are finer than the finest digit; and over how few cells a smaller part is believed,
#: because what spreads answers, as convolutions do, looks like more than the axis, and hardly ever like less of it
_RESIZED, _LEFT, _FEWER, _SMALLER = 1 / 8, 0.35, 4, 0.75


def extent_of(lines: Tensor, weights: Tensor, stripes: Stripes, axis: int) -> tuple[float, float]:
    """The part of ``axis`` that cells lie over which answered ``lines`` [digits, cells], as shares of it; `WHOLE` where
    that fits as well."""
    cells = lines.shape[1]
    fits = _fits(lines, weights, stripes, axis)
    best = int(fits.argmax())
    clear = _sharp(float(fits[0]), float(fits[best]), _EXTENTS[best], cells) or (
        fits[0] < _WHOLE and fits[best] > max(_PART, float(fits[0]) + _BETTER)
    )
    return _EXTENTS[best] if clear else WHOLE


def _sharp(whole: float, part: float, extent: tuple[float, float], cells: int) -> bool:
    """Whether a part explains nearly all that the whole axis leaves unexplained, where cells are fine enough to tell:
    so small a part of the axis, or so much more than it, fits no network's that lies over all of it."""
    span = extent[1] - extent[0]
    fine = cells >= 2**DIGITS or (cells >= _FEWER and span <= _SMALLER)
    return fine and abs(span - 1) >= _RESIZED and part > _PART and 1 - part**2 < _LEFT * (1 - whole**2)


@functools.lru_cache(64)
def _codes(stripes: Stripes, axis: int, cells: int) -> Tensor:
    """What is expected of cells along ``axis`` over each of `_EXTENTS`, [extents, digits, cells]."""
    return stripes.all_expected(axis, cells, _EXTENTS)


def _fits(lines: Tensor, weights: Tensor, stripes: Stripes, axis: int) -> Tensor:
    """The correlation, over all digits, of the answers along ``axis`` [digits, cells] with those of cells that lie over
    each of `_EXTENTS`; each digit's about its own mean. 0 where less than half of the cells would be in the picture."""
    codes = _codes(replace(stripes, seed=0, plain=False), axis, lines.shape[1]).to(lines)
    inside = ~codes.isnan()
    weights = torch.where(inside, weights, 0.0)
    weights = weights / weights.sum(2, keepdim=True).clamp(min=1e-300)
    codes = codes.nan_to_num()
    a = lines - (lines * weights).sum(2, keepdim=True)
    b = codes - (codes * weights).sum(2, keepdim=True)
    both, ours, theirs = ((weights * product).sum((1, 2)) for product in (a * b, a * a, b * b))
    fits = both / (ours * theirs).sqrt().clamp(min=1e-300)
    return torch.where(inside[:, 0].double().mean(1) < 0.5, 0.0, fits)
