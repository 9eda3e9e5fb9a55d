"""RISE's masks: takes a size, a grid and draws, gives random soft masks, their coarse features and exact covariances;
never sees a score."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cached_property

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

    A feature is the mean of mask - p over one of (cells + 1) bins of each axis. A mask is a product of small matrices,
    of what is visible and of one cut for each axis: sums over masks are taken of those, and no mask is made for them.
    """

    def __init__(self, draws: Draws, size: Sequence[int], cells: Sequence[int], p: float, paired: bool) -> None:
        self._draws, self._size, self._cells, self._p, self._paired = draws, tuple(size), tuple(cells), p, paired
        self._sides = [-(-n // k) for n, k in zip(size, cells, strict=True)]
        large = [_enlarging(k, (k + 1) * side) for k, side in zip(cells, self._sides, strict=True)]
        #: how each axis is enlarged and cut, for each of the places where that may begin, [side, n, cells]
        self._cuts = [_cuts(each, side, n) for each, side, n in zip(large, self._sides, size, strict=True)]
        #: the same of products of two cells: a pixel lies between two that are next to each other, [side, n, products]
        self._squares = [cut[..., _first(k)] * cut[..., _second(k)] for cut, k in zip(self._cuts, cells, strict=True)]
        bins = [_binning(n, min(k + 1, n)) for n, k in zip(size, cells, strict=True)]
        #: the means of cuts over bins, [side, bins, cells]
        self._pooled = [each @ cut for each, cut in zip(bins, self._cuts, strict=True)]

    def __call__(self, samples: Tensor, indices: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
        """Masks [m, 1, *size] in [0, 1]."""
        masks, first = self._drawn(samples, indices)
        masks = masks.to(dtype)
        for axis, cuts in enumerate(self._cuts):
            cut = cuts.to(dtype)[first[:, axis]]
            masks = torch.einsum("mk...,mnk->m...n", masks, cut)  # the next axis comes first
        return masks[:, None].clamp_(0, 1)  # rounding may lead out of it

    def features(self, samples: Tensor, indices: Tensor) -> Tensor:
        """What a linear model of the score is fitted on, [m, features], float64."""
        features, first = self._drawn(samples, indices)
        for axis, pooled in enumerate(self._pooled):
            features = torch.einsum("mk...,mbk->m...b", features, pooled[first[:, axis]])
        return features.flatten(1) - self._p

    def sums(self, samples: Tensor, indices: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Sums over masks of weight x (mask - p), and of their squares, [*size] each; ``weights`` [m], float64, of
        which the first is differentiable."""
        visible, first = self._drawn(samples, indices)
        squared = weights.detach() ** 2
        both = torch.stack((weights, squared))
        once, of_squares = self._sum(visible, first, both, self._cuts)
        (twice,) = self._sum(self._products(visible), first, squared[None], self._squares)
        squares = twice - 2 * self._p * of_squares.detach() + self._p**2 * squared.sum()
        return once - self._p * weights.sum(), squares

    def expected(self, weights: Tensor) -> Tensor:
        """E[(weights . features) (M - p)] at every pixel, exact, [*size]: over all visibilities and all shifts."""
        expected = weights.reshape([pooled.shape[1] for pooled in self._pooled])
        for together in self._together:
            expected = torch.tensordot(expected, together, dims=([0], [0]))
        return self._p * (1 - self._p) * expected

    def spread(self) -> float:
        """The mean variance of the features."""
        total = self._p * (1 - self._p)
        for pooled in self._pooled:
            total *= float(pooled.square().sum(2).mean())
        return total

    @cached_property
    def _together(self) -> list[Tensor]:
        """For each axis what a feature and a pixel have in common, the mean over all shifts, [bins, n]."""
        return [
            torch.einsum("sbk,snk->bn", pooled, cuts) / len(cuts)
            for pooled, cuts in zip(self._pooled, self._cuts, strict=True)
        ]

    def _drawn(self, samples: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Which cells are visible [m, *cells], 0 or 1, float64, and where each axis is cut [m, axes]."""
        axes, shape = len(self._size), (math.prod(self._cells) + len(self._size),)
        drawn = torch.stack(
            [
                self._draws.uniform(sample, index // 2 if self._paired else index, *shape)
                for sample, index in zip(samples.tolist(), indices.tolist(), strict=True)
            ]
        )
        visible = (drawn[:, :-axes] < self._p).to(torch.float64)
        if self._paired:
            visible = torch.where(indices.cpu()[:, None] % 2 == 1, 1 - visible, visible)
        first = (drawn[:, -axes:] * torch.tensor(self._sides, dtype=drawn.dtype)).long()
        return visible.reshape(-1, *self._cells), first

    def _products(self, visible: Tensor) -> Tensor:
        """The coefficients of squared masks [m, *products]: for a product of two cells along each axis the products of
        both cells over all ways to tell which of the two is meant along which axis."""
        axes = range(len(self._cells))
        total = torch.zeros((), dtype=visible.dtype)
        for turned in itertools.product((False, True), repeat=len(self._cells)):
            one = other = visible
            for axis, k in zip(axes, self._cells, strict=True):
                chosen = (_second(k), _first(k)) if turned[axis] else (_first(k), _second(k))
                one, other = one.index_select(axis + 1, chosen[0]), other.index_select(axis + 1, chosen[1])
            total = total + one * other
        for axis, k in zip(axes, self._cells, strict=True):
            once = torch.where(_first(k) == _second(k), 0.5, 1.0).to(visible)  # of one cell both ways are the same
            total = total * once.reshape(-1, *(1 for _ in self._cells[axis + 1 :]))
        return total

    def _sum(self, coefficients: Tensor, first: Tensor, weights: Tensor, cuts: Sequence[Tensor]) -> Tensor:
        """Sums [w, *size] over masks, given by ``coefficients`` [m, *k] and where each axis is cut, times ``weights``
        [w, m]: along the first axis masks that are cut at one place are summed up before they are enlarged."""
        for axis in range(1, len(cuts)):
            coefficients = torch.einsum("mak...,mnk->ma...n", coefficients, cuts[axis][first[:, axis]])
        sums = []
        for each in weights:
            weighted = each.reshape(-1, *(1 for _ in coefficients.shape[1:])) * coefficients
            room = torch.zeros(len(cuts[0]), *coefficients.shape[1:], dtype=coefficients.dtype)
            sums.append(torch.einsum("snk,sk...->n...", cuts[0], room.index_add(0, first[:, 0], weighted)))
        return torch.stack(sums)


def _first(cells: int) -> Tensor:
    """Of all products of a cell with itself, and then with the next one, the first cell."""
    return torch.cat((torch.arange(cells), torch.arange(cells - 1)))


def _second(cells: int) -> Tensor:
    """The second cell of each."""
    return torch.cat((torch.arange(cells), torch.arange(1, cells)))


def _cuts(large: Tensor, side: int, n: int) -> Tensor:
    return torch.stack([large[at : at + n] for at in range(side)])


def _enlarging(cells: int, length: int) -> Tensor:
    """[length, cells]: linear interpolation, ends repeated."""
    return upsample(torch.eye(cells, dtype=torch.float64)[:, None], (length,))[:, 0].T.contiguous()


def _binning(n: int, bins: int) -> Tensor:
    """[bins, n]: the mean of each of ``bins`` stretches of an axis."""
    return F.adaptive_avg_pool1d(torch.eye(n, dtype=torch.float64)[:, None], bins)[:, 0].T.contiguous()
