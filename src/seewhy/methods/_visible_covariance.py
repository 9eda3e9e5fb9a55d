"""Covariance of a score and what is visible, for RISE and D-RISE: takes the input, what hides it and a target's score,
asks for scores under random soft masks; keeps no mask."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Score
from seewhy.core.perturb.estimators import student
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError
from seewhy.methods._hidden_pieces import Draws, KeptScores, Rows, grid_of, told
from seewhy.methods._sampling import sampled
from seewhy.methods._soft_masks import SoftMasks

__all__ = ["covariance"]

#: how many pairs of masks the ridge of the linear model counts for
_PRIOR = 10
#: masks that are summed up at once
_CHUNK = 256


def covariance(
    input: Tensor,
    score: Tensor,
    fill: Fill,
    want: Score,
    *,
    n: int,
    cells: int | Sequence[int] | None,
    usual: int,
    p: float,
    tolerance: float,
    seed: int,
) -> Generator[Any, Any, Attribution]:
    """Cov(S, M) / E[M] of the score S that is asked for as ``want``, whose value on the image itself is ``score`` [B];
    values [B, *size]. ``usual`` is how many cells are cut of each axis where nothing is said. See
    `seewhy.methods.rise.rise`, which says what the numbers are and what is refused."""
    size = tuple(input.shape[2:])
    grid = grid_of(cells, usual, size)
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 < p < 1:
        raise UsageError(f"p={p!r}: the probability that a cell is visible lies between 0 and 1, e.g. p=0.5")
    count = ChangedInput(n).count  # refuses what is no positive whole number
    if count < 4:
        raise UsageError(f"n={n}: a covariance and its error need 4 forwards or more, e.g. n=1000")
    paired = p == 0.5
    masks = SoftMasks(Draws(input, "rise", seed), size, grid, p, paired)
    kind = torch.float64 if input.dtype == torch.float64 else torch.float32
    source = ChangedInput(
        count - count % 2 if paired else count,
        lambda samples, indices: fill(input, samples, masks(samples, indices, kind)),
        ("rise", grid, p, seed, fill.key),
    )
    found = yield from sampled(source, (want,), _Covariance(score, size, masks, p, tolerance), "forwards", 64)
    return replace(found, taken=told(grid))


class _Covariance(KeptScores):
    """E[d m] with m = M - p and d the score, or half the difference of the scores of a pair: by a linear model of d
    whose share is known exactly, and the mean of what it leaves.

    Sample i's remainder is d_i - b_i g_i with b_i a ridge fitted to all samples but i, so that each term b_i E[g m] +
    (d_i - b_i g_i) m_i has expectation E[d m], however badly the model fits.
    """

    def __init__(self, score: Tensor, size: Sequence[int], masks: SoftMasks, p: float, tolerance: float) -> None:
        super().__init__(score, size, tolerance)
        self._masks, self._p, self._paired = masks, p, p == 0.5
        self._features = Rows(self._made)

    def least(self, sample: int) -> int:
        """Two independent terms."""
        return 4 if self._paired else 2

    def count(self, sample: int) -> int:
        """Only whole pairs count."""
        counted = super().count(sample)
        return counted // 2 * 2 if self._paired else counted

    def estimate(self, sample: int, drops: Tensor) -> tuple[Tensor, Tensor]:
        """Covariance over p, and its standard error."""
        d = (drops[1::2] - drops[::2]) / 2 if self._paired else -drops
        n = len(d)
        g = self._features.first(sample, n)
        penalty = torch.full((g.shape[1],), _PRIOR * self._masks.spread(), dtype=torch.float64)
        if not self._paired:  # the mean score, which pairs cancel
            g = torch.cat([g, torch.ones(n, 1, dtype=torch.float64)], 1)
            penalty = torch.cat([penalty, torch.full((1,), 1e-9, dtype=torch.float64)])
        inverse = torch.linalg.inv(g.T @ g + penalty.diag())
        fit = inverse @ (g.T @ d)
        leverage = ((g @ inverse) * g).sum(1)
        left = (d - g @ fit) / (1 - leverage)
        mean_fit = fit - inverse @ (g.T @ left) / n
        known = self._masks.expected(mean_fit if self._paired else mean_fit[:-1])
        rest, squares = self._products(sample, left)
        variance = (squares - rest.detach() ** 2).clamp(min=0) * (n / (n - 1))
        error = (variance / n).sqrt() * student(torch.tensor(float(n - 1)))
        return (known + rest) / self._p, error / self._p

    def _indices(self, start: int, stop: int) -> Tensor:
        """The masks of terms ``start`` to ``stop``: of a pair, the first."""
        return torch.arange(start, stop) * (2 if self._paired else 1)

    def _made(self, sample: int, start: int, stop: int) -> Tensor:
        """Features of terms ``start`` to ``stop`` [stop - start, features]."""
        indices = self._indices(start, stop)
        return self._masks.features(torch.full_like(indices, sample), indices)

    def _products(self, sample: int, left: Tensor) -> tuple[Tensor, Tensor]:
        """Means over the terms of left m, and of its square, [*size] each; the masks are drawn again, not kept."""
        mean, squares = torch.zeros(self.size, dtype=torch.float64), torch.zeros(self.size, dtype=torch.float64)
        for start in range(0, len(left), _CHUNK):
            chunk = left[start : start + _CHUNK]
            indices = self._indices(start, start + len(chunk))
            sums = self._masks.sums(torch.full_like(indices, sample), indices, chunk)
            mean, squares = mean + sums[0] / len(left), squares + sums[1] / len(left)
        return mean, squares
