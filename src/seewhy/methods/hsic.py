"""HSIC: takes the input and what hides it, asks for scores with random cells hidden, gives how much each cell's
visibility and the score depend on each other; has no sign."""

from __future__ import annotations

import math
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
from seewhy.methods._exceptions import ENLARGED, every
from seewhy.methods._hidden_pieces import Draws, KeptScores, cell_map, cell_masks, grid_of, told, unknown
from seewhy.methods._sampling import sampled
from seewhy.registry import Card, Need, method

__all__ = ["hsic"]

#: masks in one Latin hypercube: each cell is visible in half of them
_BLOCK = 20
#: groups of the jackknife, and how many of them an error takes
_GROUPS, _FEWEST = 20, 3


@method(
    Card(
        name="hsic",
        family="perturbation",
        paper="Novello, Fel & Vigouroux 2022, Making Sense of Dependence, arXiv:2206.06219, section 3; "
        "unbiased: Song et al. 2012, JMLR 13, eq. 5",
        formula="HSIC(z_j, S(x with cells z)), k(z, z') = 1[z = z'] - 1/2, l(s, s') = exp(-(s - s')^2 / (2 median^2))",
        excepts=every(("blindness", "class", "proportion"), ENLARGED),
        cost="1 forward, and up to n",
        needs=frozenset({Need.STREAM}),
        at="input",
        use="which cells the score depends on in any way, in few forwards",
        caveats=(
            "a dependence between 0 and 1/4: no sign, no score units",
            "unbiased, so larger budgets do not drift; cells without influence scatter around 0, some below",
            "no detail finer than a cell; n counts forwards",
        ),
    )
)
def hsic(
    input: Tensor,
    score: Tensor,
    fill: Fill,
    *,
    n: int = 1500,
    cells: int | Sequence[int] | None = None,
    tolerance: float = 0.1,
    seed: int = 0,
) -> Generator[Any, Any, Attribution]:
    """The Hilbert-Schmidt independence criterion between each cell's visibility and the score.

    ``input`` [B, C, *size] with one to three axes, ``score`` [B]; values [B, *size], 0 where nothing depends. Each cell
    of a grid of ``cells`` along each axis (one number or one for each; left out, 7, or as many as a shorter axis has)
    is visible or not, in Latin hypercubes of 20 masks that show it in 10. The kernel on the score is Gaussian, as wide
    as the median distance of two scores. The estimator is the unbiased one, and may fall below 0; the standard error,
    which is returned, is a jackknife over up to 20 groups of masks. The grid of values is enlarged linearly. ``n``
    counts forwards; fewer are made once the standard error is under ``tolerance`` of the map's range. Raises
    `UsageError` for a budget under 4, and for cells that do not fit.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 4, 4), method="hsic", cells=2, n=60)
    >>> e.values.shape, e.cost.forwards
    ((4, 4), 61)
    """
    size = tuple(input.shape[2:])
    grid = grid_of(cells, 7, size)
    if ChangedInput(n).count < 4:
        raise UsageError(f"n={n}: the unbiased estimator needs 4 forwards or more, e.g. n=500")
    design = _Hypercubes(Draws(input, "hsic", seed), math.prod(grid))

    def hidden(samples: Tensor, indices: Tensor) -> Tensor:
        rows = [design(s, i) for s, i in zip(samples.tolist(), indices.tolist(), strict=True)]
        visible = torch.stack(rows).to(input.dtype).reshape(-1, *grid)
        return fill(input, samples, cell_masks(visible, size))

    fold = _Dependence(score, size, design, grid, tolerance)
    source = ChangedInput(n, hidden, ("hsic", grid, seed, fill.key))
    return replace((yield from sampled(source, (Score(),), fold, "forwards", 5 * _BLOCK)), taken=told(grid))


class _Hypercubes:
    """Binary masks by index: in each block of 20 every cell is visible in 10, in an order of its own."""

    def __init__(self, draws: Draws, places: int) -> None:
        self._draws, self._places = draws, places
        self._blocks: dict[tuple[int, int], Tensor] = {}

    def __call__(self, sample: int, index: int) -> Tensor:
        """Which cells are visible [cells], float64."""
        which, row = divmod(index, _BLOCK)
        if (sample, which) not in self._blocks:
            order = self._draws.uniform(sample, which, _BLOCK, self._places).argsort(dim=0, stable=True)
            self._blocks[sample, which] = (order < _BLOCK // 2).to(torch.float64)
        return self._blocks[sample, which][row]


class _Dependence(KeptScores):
    """The unbiased HSIC of every cell, and its jackknife error."""

    def __init__(
        self, score: Tensor, size: Sequence[int], design: _Hypercubes, grid: Sequence[int], tolerance: float
    ) -> None:
        super().__init__(score, size, tolerance)
        self._design, self._grid = design, tuple(grid)

    def least(self, sample: int) -> int:
        """What the estimator's denominator takes."""
        return 4

    def estimate(self, sample: int, drops: Tensor) -> tuple[Tensor, Tensor]:
        """Values and errors, enlarged."""
        signs = 2 * torch.stack([self._design(sample, index) for index in range(len(drops))]) - 1
        blocks = -(-len(drops) // _BLOCK)
        groups = min(blocks, _GROUPS)
        whole, without = _unbiased(signs, drops, torch.arange(len(drops)) // _BLOCK * groups // blocks)
        values = cell_map(whole[None], self._grid, self.size)[0]
        if groups < _FEWEST:
            return values, unknown(values.detach())
        maps = cell_map((without - without.mean(0)).detach(), self._grid, self.size)
        error = (maps.square().sum(0) * ((groups - 1) / groups)).sqrt()
        return values, error * student(torch.tensor(float(groups - 1)))


def _unbiased(signs: Tensor, scores: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """HSIC [cells], and without each group of samples [groups, cells], from visibilities ``signs`` [n, cells] of -1
    and 1, ``scores`` [n], and the group of each sample [n], numbered in order (Song et al. 2012, eq. 5).

    K = z z^T / 2 off the diagonal, so that every product with it is one with z; no more than a group's rows of L are
    held.
    """
    if not bool(scores.isfinite().all()):  # no distance to another score
        unknown_ = torch.full_like(signs[0], torch.nan)
        return unknown_, unknown_.expand(int(groups[-1]) + 1, -1)
    if not bool((scores.detach() != scores.detach()[0]).any()):  # exactly 0, without rounding
        nothing = 0 * (signs * scores[:, None]).sum(0)
        return nothing, nothing.expand(int(groups[-1]) + 1, -1)
    width = _median_distance(scores)
    products, inside, sums, lost = [], [], [], []
    for group in range(int(groups[-1]) + 1):
        members = groups == group
        kernel = torch.exp(-(((scores[members, None] - scores) / width) ** 2) / 2) * (
            1 - torch.eye(len(scores))[members]
        )
        products.append((signs[members] * (kernel @ signs)).sum(0))
        inside.append((signs[members] * (kernel[:, members] @ signs[members])).sum(0))
        sums.append(kernel.sum(1))
        lost.append(kernel.sum(0))
    product, rows = torch.stack(products).sum(0), torch.cat(sums)
    whole = _song(product, signs.sum(0), rows @ signs, rows.sum(), len(scores))
    without = []
    for group, theirs in enumerate(lost):
        rest = groups != group
        if int(rest.sum()) < 4:
            return whole, whole[None]
        left = (rows - theirs)[rest]
        parts = product - 2 * products[group] + inside[group], signs[rest].sum(0), left @ signs[rest], left.sum()
        without.append(_song(*parts, int(rest.sum())))
    return whole, torch.stack(without)


def _song(product: Tensor, totals: Tensor, mixed: Tensor, all_: Tensor, n: int) -> Tensor:
    """The estimator from z^T L z, 1^T z, 1^T L z and 1^T L 1 of ``n`` samples, each per cell but the last."""
    ones = (totals**2 - n) / 2
    cross = (totals * mixed - all_) / 2
    return (product / 2 + ones * all_ / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)) / (n * (n - 3))


def _median_distance(scores: Tensor) -> Tensor:
    """Of two different samples; the smallest that is not 0 where most are equal."""
    apart = torch.pdist(scores[:, None])
    width = apart.median()
    return width if bool(width > 0) else apart[apart > 0].min()
