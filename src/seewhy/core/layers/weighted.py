"""Weighted statistics: takes values and how much each of them counts, gives means, what sets have in common, and
correlations; knows no layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["about", "correlation", "many", "shared"]


def many(weights: Tensor) -> float:
    """How many positions there are, those that answer little counting for little."""
    squares = float(weights.square().sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def about(r: Tensor, weights: Tensor, axes: tuple[int, ...] | None = None) -> Tensor:
    """``r`` about its mean, over all positions or along ``axes``."""
    axes = tuple(range(r.ndim)) if axes is None else axes
    return r - (r * weights).sum(axes, keepdim=True) / weights.sum(axes, keepdim=True).clamp(min=1e-300)


def shared(sets: Sequence[Tensor], weights: Tensor) -> float:
    """The mean square of what ``sets`` have in common, which noise of one of them is not; of one set, its own."""
    pairs = [a * b for n, a in enumerate(sets) for b in sets[:n]] or [sets[0].square()]
    total = float(weights.sum())
    return float((torch.stack(pairs).mean(0) * weights).sum()) / total if total > 0 else 0.0


def correlation(a: Tensor, b: Tensor, weights: Tensor) -> float:
    """How far ``a`` goes with ``b``, -1 to 1; 0 where one of them is the same everywhere, or nothing counts."""
    total = float(weights.sum())
    if not total > 0:
        return 0.0
    weights = weights / total
    a, b = a - (a * weights).sum(), b - (b * weights).sum()
    size = float((weights * a.square()).sum() * (weights * b.square()).sum()) ** 0.5
    return float((weights * a * b).sum()) / size if size > 0 else 0.0
