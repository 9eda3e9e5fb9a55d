"""Windows where they matter: takes a grid of windows and a way to score them, scores every second one and then those
between which the score moves, gives all drops with an estimate of their error; never scores a window twice."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Score, Source, Stream
from seewhy.core.perturb.folds import Collect

__all__ = ["Drops", "adaptive_drops"]

#: a round scores this share of the windows that are left
_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class Drops:
    """What hiding each window costs, [B, *grid]; its expected error, 0 where it was scored; windows scored [B]."""

    values: Tensor
    error: Tensor
    scored: Tensor


def adaptive_drops(source: Source, score: Tensor, grid: Sequence[int], tolerance: float) -> Generator[Any, Any, Drops]:
    """Drops of all windows of ``grid``, those that were not scored interpolated, as a part of a generator method.

    Every second window along each axis comes first, and the last ones. A window between them is expected to differ
    from the interpolation in proportion to how much its scored neighbours differ among each other; by how much is
    learned from the windows scored in each round, in which those with the largest expected error come first. An image
    is done when the root mean square of what is left is under ``tolerance`` of the range of its drops.
    """
    batch, count = len(score), torch.Size(grid).numel()
    known = torch.zeros(batch, count, dtype=torch.bool)
    drops = torch.zeros(batch, count, dtype=torch.float64)
    known[:] = _coarse(grid).reshape(-1)
    wanted = known.clone()
    ratio = torch.ones(batch, dtype=torch.float64)
    while True:
        scores = yield Stream(source, (Score(),), Collect(batch, count), wanted.nonzero())
        fresh = score.detach().cpu().double()[:, None] - scores.detach().cpu().double()
        guess, spread = _interpolated(drops, known & ~wanted, grid)
        drops = torch.where(wanted, fresh, drops)
        if bool((known & ~wanted).any()):
            missed = ((fresh - guess).square() * wanted).sum(1)
            ratio = (missed / (spread.square() * wanted).sum(1).clamp(min=1e-300)).sqrt().nan_to_num(0.0)
        guess, spread = _interpolated(drops, known, grid)
        error = torch.where(known, 0.0, ratio[:, None] * spread)
        filled = torch.where(known, drops, guess)
        range_ = filled.amax(1) - filled.amin(1)
        open_ = (error.square().mean(1).sqrt() > tolerance * range_) & ~known.all(1)
        if not bool(open_.any()):
            values, error = (part.to(score).reshape(batch, *grid) for part in (filled, error))
            return Drops(values, error, known.sum(1))
        wanted = _next(spread, known, open_)
        known = known | wanted


def _coarse(grid: Sequence[int]) -> Tensor:
    """Every second window along each axis, and the last."""
    chosen = torch.ones(1, dtype=torch.bool)
    for n in grid:
        along = torch.arange(n) % 2 == 0
        along[-1] = True
        chosen = chosen[..., None] & along
    return chosen[0]


def _next(spread: Tensor, known: Tensor, open_: Tensor) -> Tensor:
    """The windows to score next: of every image that is not done, those whose neighbours differ most."""
    wanted = torch.zeros_like(known)
    for image in open_.nonzero()[:, 0].tolist():
        left = (~known[image]).nonzero()[:, 0]
        most = max(1, round(_SHARE * len(left)))
        order = spread[image, left].argsort(descending=True, stable=True)
        wanted[image, left[order[:most]]] = True
    return wanted


def _interpolated(drops: Tensor, known: Tensor, grid: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Every window's drop as the mean of the known ones beside it, and how far those are apart, [B, windows] each."""
    shape = (len(drops), *grid)
    value, there = drops.reshape(shape), known.reshape(shape).double()
    high = torch.where(there > 0, value, torch.full_like(value, -torch.inf))
    low = torch.where(there > 0, value, torch.full_like(value, torch.inf))
    total, weight = value * there, there
    for axis in range(1, len(shape)):
        total, weight = _around(total, axis, torch.add), _around(weight, axis, torch.add)
        high, low = _around(high, axis, torch.maximum), _around(low, axis, torch.minimum)
    spread = (high - low).clamp(min=0).nan_to_num(0.0, 0.0, 0.0)
    return (total / weight.clamp(min=1)).reshape(len(drops), -1), spread.reshape(len(drops), -1)


def _around(values: Tensor, axis: int, join: Any) -> Tensor:
    """Every place with its two neighbours along an axis."""
    joined = values.clone()
    n = values.shape[axis]
    inner, outer = (values.narrow(axis, *span) for span in ((1, n - 1), (0, n - 1)))
    joined.narrow(axis, 0, n - 1).copy_(join(joined.narrow(axis, 0, n - 1), inner))
    joined.narrow(axis, 1, n - 1).copy_(join(joined.narrow(axis, 1, n - 1), outer))
    return joined
