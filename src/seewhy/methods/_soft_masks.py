"""RISE's masks: takes a size, a grid and draws, gives random soft masks, their coarse features and exact covariances;
never sees a score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.core.perturb.resampling import upsample
from seewhy.methods._hidden_pieces import Draws

__all__ = ["SoftMasks"]


class SoftMasks:
    """Grids of ``cells`` along each axis, visible with probability ``p``, enlarged linearly to cells + 1 cells and cut
    out at a random place (Petsiuk et al. 2018, section 3.2). ``paired`` masks 2k and 2k + 1 are each other's
    complement.

    A feature is the mean of mask - p over one of (cells + 1) bins of each axis.
    """

    def __init__(self, draws: Draws, size: Sequence[int], cells: Sequence[int], p: float, paired: bool) -> None:
        self._draws, self._size, self._cells, self._p, self._paired = draws, tuple(size), tuple(cells), p, paired
        self._sides = [-(-n // k) for n, k in zip(size, cells, strict=True)]
        #: how each axis is enlarged, [(cells + 1) * side, cells]
        self._large = [_enlarging(k, (k + 1) * side) for k, side in zip(cells, self._sides, strict=True)]
        self._bins = [_binning(n, min(k + 1, n)) for n, k in zip(size, cells, strict=True)]

    def __call__(self, samples: Tensor, indices: Tensor) -> Tensor:
        """Masks [m, 1, *size] in [0, 1], float64."""
        axes, shape = len(self._size), (math.prod(self._cells) + len(self._size),)
        drawn = torch.stack(
            [
                self._draws.uniform(sample, index // 2 if self._paired else index, *shape)
                for sample, index in zip(samples.tolist(), indices.tolist(), strict=True)
            ]
        )
        masks = (drawn[:, :-axes] < self._p).to(torch.float64)
        if self._paired:
            masks = torch.where(indices.cpu()[:, None] % 2 == 1, 1 - masks, masks)
        masks = masks.reshape(-1, *self._cells)
        for axis, (large, side, n) in enumerate(zip(self._large, self._sides, self._size, strict=True)):
            first = (drawn[:, axis - axes] * side).long()
            cut = large[first[:, None] + torch.arange(n)]  # [m, n, cells]
            masks = torch.einsum("mk...,mnk->m...n", masks, cut)  # the next axis comes first
        return masks[:, None]

    def features(self, masks: Tensor) -> Tensor:
        """What a linear model of the score is fitted on, [m, features], from ``masks`` [m, 1, *size]."""
        features = masks[:, 0] - self._p
        for bins in self._bins:
            features = torch.tensordot(features, bins, dims=([1], [1]))
        return features.flatten(1)

    def expected(self, weights: Tensor) -> Tensor:
        """E[(weights . features) (M - p)] at every pixel, exact, [*size]: over all visibilities and all shifts."""
        expected = weights.reshape([len(bins) for bins in self._bins])
        for bins, large, side, n in zip(self._bins, self._large, self._sides, self._size, strict=True):
            together = sum(large[at : at + n] @ large[at : at + n].T for at in range(side)) / side
            expected = torch.tensordot(expected, bins @ together, dims=([0], [0]))
        return self._p * (1 - self._p) * expected

    def spread(self) -> float:
        """The mean variance of the features."""
        total = self._p * (1 - self._p)
        for bins, large, side, n in zip(self._bins, self._large, self._sides, self._size, strict=True):
            pooled = [bins @ large[at : at + n] for at in range(side)]
            total *= float(sum(matrix.square().sum(1) for matrix in pooled).mean()) / side  # type: ignore[union-attr]
        return total


def _enlarging(cells: int, length: int) -> Tensor:
    """[length, cells]: linear interpolation, ends repeated."""
    return upsample(torch.eye(cells, dtype=torch.float64)[:, None], (length,))[:, 0].T.contiguous()


def _binning(n: int, bins: int) -> Tensor:
    """[bins, n]: the mean of each of ``bins`` stretches of an axis."""
    return F.adaptive_avg_pool1d(torch.eye(n, dtype=torch.float64)[:, None], bins)[:, 0].T.contiguous()
