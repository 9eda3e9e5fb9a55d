"""RISE: takes the input and what hides it, asks for scores under random soft masks, gives each pixel's covariance with
the score; keeps no mask."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Score
from seewhy.core.perturb.estimators import student
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError
from seewhy.methods._hidden_pieces import Draws, KeptScores, check_cells
from seewhy.methods._sampling import sampled
from seewhy.methods._soft_masks import SoftMasks
from seewhy.registry import Card, Need, method

__all__ = ["rise"]

#: how many pairs of masks the ridge of the linear model counts for
_PRIOR = 10
#: masks held at once
_CHUNK = 64


@method(
    Card(
        name="rise",
        family="perturbation",
        paper="Petsiuk, Das & Saenko 2018, RISE, arXiv:1806.07421, eq. 6 and section 3.2; centred",
        formula="Cov(S(x with mask M), M_p) / E[M_p]: the paper's map minus the mean score",
        unit="{score}",
        cost="1 forward, and up to n",
        needs=frozenset({Need.STREAM}),
        at="input",
        fill="black",
        use="soft maps of any model that can be called, with a standard error for every pixel",
        caveats=(
            "no detail finer than a cell of the masks",
            "hundreds of forwards; n counts forwards",
        ),
    )
)
def rise(
    input: Tensor,
    score: Tensor,
    fill: Fill,
    *,
    n: int = 4000,
    cells: int = 7,
    p: float = 0.5,
    tolerance: float = 0.05,
    seed: int = 0,
) -> Generator[Any, Any, Attribution]:
    """How the score varies with the visibility of each pixel under random masks.

    ``input`` [B, C, *size] with one to three axes, ``score`` [B]; values [B, *size], signed, in score units. A mask
    is a grid of ``cells`` a side, each visible with probability ``p``, enlarged linearly to cells + 1 cells of the
    image's and cut out at a random place. The paper's map, sum_i S_i M_i / (n E[M]), is the mean score plus Cov(S, M)
    / E[M]: without the mean it ranks pixels alike and varies far less. What a linear model of the score explains is
    taken from the exact covariance of the masks, and only the rest is sampled (a control variate: the expectation
    stays the same). With p = 0.5 masks come in pairs, one the complement of the other. The standard error, which is
    returned, is that of the mean over pairs (over masks for other ``p``), each left out of the linear model that it
    is compared with. ``n`` counts forwards; fewer are made once the standard error is under ``tolerance`` of the
    map's range. Raises `UsageError` for a budget under 4, cells that do not fit, a ``p`` that is not between 0 and 1.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 8, 8), method="rise", n=64, cells=3)
    >>> e.values.shape, e.error.shape, e.cost.forwards
    ((8, 8), (8, 8), 65)
    """
    size = tuple(input.shape[2:])
    check_cells(cells, size)
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 < p < 1:
        raise UsageError(f"p={p!r}: the probability that a cell is visible lies between 0 and 1, e.g. p=0.5")
    count = ChangedInput(n).count  # refuses what is no positive whole number
    if count < 4:
        raise UsageError(f"n={n}: a covariance and its error need 4 forwards or more, e.g. n=1000")
    paired = p == 0.5
    masks = SoftMasks(Draws(input, "rise", seed), size, cells, p, paired)
    source = ChangedInput(
        count - count % 2 if paired else count,
        lambda samples, indices: fill(input, samples, masks(samples, indices)),
        ("rise", cells, p, seed, fill.key),
    )
    return (yield from sampled(source, (Score(),), _Covariance(score, size, masks, p, tolerance), "forwards", 64))


class _Covariance(KeptScores):
    """E[d m] with m = M - p and d the score, or half the difference of the scores of a pair: by a linear model of d
    whose share is known exactly, and the mean of what it leaves.

    Sample i's remainder is d_i - b_i g_i with b_i a ridge fitted to all samples but i, so that each term b_i E[g m] +
    (d_i - b_i g_i) m_i has expectation E[d m], however badly the model fits.
    """

    def __init__(self, score: Tensor, size: Sequence[int], masks: SoftMasks, p: float, tolerance: float) -> None:
        super().__init__(score, size, tolerance)
        self._masks, self._p, self._paired = masks, p, p == 0.5
        self._features: list[Tensor] = [torch.zeros(0)] * self.batch

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
        g = self._known_features(sample, n)
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

    def _known_features(self, sample: int, n: int) -> Tensor:
        """Features of the first ``n`` terms [n, features]; those made before are kept."""
        features = [self._features[sample]] if len(self._features[sample]) else []
        for start in range(len(self._features[sample]), n, _CHUNK):
            indices = self._indices(start, min(start + _CHUNK, n))
            features.append(self._masks.features(self._masks(torch.full_like(indices, sample), indices)))
        self._features[sample] = torch.cat(features)[:n]
        return self._features[sample]

    def _products(self, sample: int, left: Tensor) -> tuple[Tensor, Tensor]:
        """Means over the terms of left m, and of its square, [*size] each; the masks are made again, not kept."""
        mean, squares = torch.zeros(self.size, dtype=torch.float64), torch.zeros(self.size, dtype=torch.float64)
        for start in range(0, len(left), _CHUNK):
            chunk = left[start : start + _CHUNK]
            indices = self._indices(start, start + len(chunk))
            m = self._masks(torch.full_like(indices, sample), indices)[:, 0] - self._p
            mean = mean + torch.tensordot(chunk, m, dims=1) / len(left)
            squares = squares + torch.tensordot(chunk.detach() ** 2, m**2, dims=1) / len(left)
        return mean, squares
