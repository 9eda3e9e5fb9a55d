"""Where evidence lies: takes maps and masks, gives them checked; what the metrics of localisation share."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.errors import UsageError

__all__ = ["checked", "positive_share"]


def checked(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Maps and masks, flat [B, N]. Raises `UsageError` for a mask with nothing inside."""
    inside = mask.flatten(1).bool()
    if not bool(inside.any(1).all()):
        raise UsageError("the mask is empty: no pixel of it is inside")
    return values.flatten(1).double(), inside


def positive_share(values: Tensor, inside: Tensor) -> Tensor:
    """The share of the positive part of maps [B, N] that is inside [B, N]; NaN where there is none."""
    positive = values.clamp(min=0)
    total = positive.sum(1)
    share = (positive * inside).sum(1) / total.clamp(min=1e-300)
    return torch.where(total > 0, share, torch.full_like(share, torch.nan))
