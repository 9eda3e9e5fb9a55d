"""Percentages: takes what a sum misses and what it should have been, gives the share missed, and percentages that
can be read; computes no map."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["missed", "percent"]

#: of the sum of all magnitudes, or of the score, in units of the type's precision: less than this is rounding
_ROUNDING = 32
#: shares beyond this are no longer told apart
_MOST = 100.0


def missed(residual: Tensor, total: Tensor, values: Tensor, score: Tensor) -> Tensor:
    """The share of ``total`` [B] that ``residual`` [B] is, for ``values`` [B, ...] that were to sum to ``total``, which
    is ``score`` [B] or its difference from another.

    0 for a residual within the rounding of such sums and differences, infinite for any other where ``total`` is 0, NaN
    where one of them is not finite.
    """
    residual, total = residual.detach().abs().double(), total.detach().abs().double()
    sizes = values.detach().flatten(1).abs().sum(1).double()
    rounding = _ROUNDING * torch.finfo(values.dtype).eps * torch.maximum(sizes, score.detach().abs().double())
    share = residual / total
    share = torch.where((total == 0) & (residual > 0), torch.full_like(share, math.inf), share)
    return torch.where(residual <= rounding, torch.zeros_like(share), share)


def percent(share: float) -> str:
    """A share as a percentage; beyond 10000 % all are called that.

    >>> percent(0.0312), percent(7e37), percent(float("inf")), percent(float("nan"))
    ('3.1%', 'more than 10000%', 'more than 10000%', 'an unknown part')
    """
    if math.isnan(share):
        return "an unknown part"
    return f"{share:.1%}" if abs(share) <= _MOST else f"more than {_MOST:.0%}"
