"""Resampling of maps in torch: takes [B, ...] maps, gives them at another size; never normalises."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.errors import CapabilityError

__all__ = ["upsample", "upsample_sum"]

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def upsample(maps: Tensor, size: Sequence[int]) -> Tensor:
    """``maps`` [B, C, *positions] at ``size``: linear in every axis, corners not aligned. Raises `CapabilityError` for
    maps of another number of axes.

    >>> upsample(torch.ones(1, 1, 2, 2), (4, 4)).shape
    torch.Size([1, 1, 4, 4])
    """
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    if maps.ndim - 2 != len(size):
        raise CapabilityError(
            f"a map of {maps.ndim - 2} axes {tuple(maps.shape[2:])} cannot be laid over {len(size)} axes "
            f"{tuple(size)}: choose a layer whose positions are the image's, or a reshape= that gives as many"
        )
    return F.interpolate(maps, tuple(size), mode=_MODES[len(size)], align_corners=False)


def upsample_sum(maps: Tensor, size: Sequence[int]) -> Tensor:
    """``maps`` [B, *positions] spread over ``size`` so that every map keeps its sum (bilinear, each cell's mass kept).

    A cell's value is divided by the area its bilinear kernel covers before interpolation; without that,
    cells at the border would count for less and a complete attribution would no longer be.
    """
    if maps.ndim == 1:  # no positions: every pixel owns an equal part
        area = 1
        for n in size:
            area *= n
        return (maps / area).reshape(-1, *(1 for _ in size)).expand(-1, *size)
    spread = maps[:, None]
    for axis, (n, m) in enumerate(zip(maps.shape[1:], size, strict=True)):
        covered = _coverage(n, m).to(spread)
        spread = spread / covered.reshape(-1, *(1 for _ in range(maps.ndim - 2 - axis)))
    return upsample(spread, size)[:, 0]


def _coverage(n: int, m: int) -> Tensor:
    """How much of an axis of ``m`` the linear kernels of ``n`` cells cover, each."""
    eye = torch.eye(n, dtype=torch.float64)[:, None]
    return F.interpolate(eye, m, mode="linear", align_corners=False).sum((1, 2)).clamp(min=1e-12)
