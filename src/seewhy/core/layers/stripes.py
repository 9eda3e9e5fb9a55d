"""Stripes: takes the size of an input, gives it changed in coded stripes, and what is expected of a cell; runs nothing.

For each axis of the input and each of its coarsest binary digits two pictures get noise: where the digit is 1, and
where it is 0. A layer's positions answer to the places that they look at (`answers`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["DIGITS", "Stripes", "code"]

#: digits of each axis that are asked for: halves, quarters, eighths
DIGITS = 3


@dataclass(frozen=True)
class Stripes:
    """The pictures for inputs of ``size``: ``digits`` of each axis, the coarsest first, in noise drawn from ``seed``.

    ``plain`` ones change the picture's mean colour instead of the picture, whose own content answers, too: where a
    network has found an object, noise anywhere takes that away, and the object's positions change most whichever half
    is changed.
    """

    size: tuple[int, ...]
    digits: int = DIGITS
    seed: int = 0
    plain: bool = False

    @property
    def codes(self) -> list[tuple[int, int]]:
        """(axis, digit from 1, the coarsest) of each pair of pictures."""
        return [(axis, digit) for axis in range(len(self.size)) for digit in range(1, self.digits + 1)]

    def side(self, axis: int, digit: int) -> Tensor:
        """The digit of each row of the input along ``axis``, 0 or 1, [size]."""
        n = self.size[axis]
        digits: Tensor = (torch.arange(n) * 2**digit // n) % 2
        return digits

    def expected(self, axis: int, digit: int, cells: int, extent: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        """-1 to 1 for each of ``cells`` along ``axis``: by how much more of it the first picture of a pair changes.

        ``extent`` is the part of the axis that the cells lie over, as shares of it; NaN for cells beside the picture.
        """
        return self._expected(axis, digit, cells, torch.tensor([extent]))[0]

    def all_expected(self, axis: int, cells: int, extents: Sequence[tuple[float, float]]) -> Tensor:
        """`expected` for every digit and each of ``extents``, [extents, digits, cells]."""
        parts = torch.tensor(extents)
        digits = range(1, self.digits + 1)
        return torch.stack([self._expected(axis, digit, cells, parts) for digit in digits], 1)

    def _expected(self, axis: int, digit: int, cells: int, extents: Tensor) -> Tensor:
        n, (low, high) = self.size[axis], extents[:, :, None].unbind(1)
        edges = torch.cat([torch.zeros(1), (2.0 * self.side(axis, digit) - 1).cumsum(0)])
        bounds = ((low + (high - low) * torch.arange(cells + 1) / cells) * n).clamp(0, n)
        whole = bounds.floor().long()
        at = edges[whole] + (bounds - whole) * (edges[(whole + 1).clamp(max=n)] - edges[whole])
        inside = bounds.diff()
        return torch.where(inside > 1e-6 * n, at.diff() / inside.clamp(min=1e-6), math.nan)

    def pictures(self, x: Tensor) -> Tensor:
        """``x`` [1, C, *size] itself, or its mean colour, and its changed pairs, [1 + 2 n, C, *size]."""
        draw = torch.Generator().manual_seed(self.seed)
        spread = float(x.detach().double().std()) if x.numel() > 1 else 0.0
        spread = spread if math.isfinite(spread) and spread > 0 else 1.0
        base = x[0].mean(tuple(range(1, x.ndim - 1)), keepdim=True).expand_as(x[0]) if self.plain else x[0]
        pictures = [base]
        for axis, digit in self.codes:
            noise = torch.randn(x.shape[1:], generator=draw, dtype=torch.float32).to(x) * spread
            mask = self.side(axis, digit).to(x).reshape(-1, *(1 for _ in self.size[axis + 1 :]))
            pictures += [base + noise * mask, base + noise * (1 - mask)]
        return torch.stack(pictures)


def code(stripes: Stripes, axis: int, digit: int, cells: int) -> Tensor:
    """What is expected of ``cells`` along ``axis`` that lie over all of it, whatever the noise."""
    return _code(replace(stripes, seed=0, plain=False), axis, digit, cells)


@functools.lru_cache(512)
def _code(stripes: Stripes, axis: int, digit: int, cells: int) -> Tensor:
    """What is expected of cells along ``axis`` over all of it."""
    return stripes.expected(axis, digit, cells)
