"""How alike maps are: takes pairs of maps, gives rank correlations; what the metrics of robustness and randomisation
share."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["pearson", "rank_correlation"]


def pearson(one: Tensor, other: Tensor) -> Tensor:
    """The correlation of rows [..., N] of two tensors; NaN where either is constant."""
    one, other = (rows.double() - rows.double().mean(-1, keepdim=True) for rows in (one, other))
    size = one.square().sum(-1).sqrt() * other.square().sum(-1).sqrt()
    tiny = torch.finfo(torch.float64).tiny
    return torch.where(size > 0, (one * other).sum(-1) / size.clamp(min=tiny), torch.full_like(size, torch.nan))


def rank_correlation(one: Tensor, other: Tensor) -> Tensor:
    """Spearman's correlation of maps [B, ..., *positions] flattened from axis 1 on, [B]; equal values share the mean of
    their ranks. NaN where either holds NaN, which has no rank, or is constant."""
    one, other = one.flatten(1), other.flatten(1)
    holes = (one.isnan().any(1) | other.isnan().any(1)).to(one.device)
    return pearson(_ranked(one), _ranked(other)).masked_fill(holes, torch.nan)


def _ranked(rows: Tensor) -> Tensor:
    ranked = torch.empty(rows.shape, dtype=torch.float64)
    for n, row in enumerate(rows.double().cpu()):
        _, group, counts = torch.unique(row, sorted=True, return_inverse=True, return_counts=True)
        last = counts.cumsum(0).double()
        ranked[n] = (last - (counts.double() - 1) / 2)[group]
    return ranked.to(rows.device)
