"""Sobol indices: takes the input and what hides it, asks for scores under quasi-random masks, gives each cell's share
of the score's variance; has no sign."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from seewhy.core.asks import Attribution, Score
from seewhy.core.perturb.estimators import student
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError
from seewhy.methods._exceptions import ENLARGED
from seewhy.methods._hidden_pieces import Draws, KeptScores, cell_map, cell_masks, grid_of, told, unknown
from seewhy.methods._sampling import sampled
from seewhy.registry import Card, Need, method

__all__ = ["sobol"]

#: points of the sequence in one replicate of the design
_POINTS = 4


@method(
    Card(
        name="sobol",
        family="perturbation",
        paper="Fel et al. 2021, Look at the Variance!, arXiv:2111.04138, section 3; Jansen 1999, CPC 117, p. 35",
        formula="E[(S(A) - S(A with cell j of B))^2] / (2 Var S(A)), A and B independent masks",
        unit="share of the variance",
        excepts={"blindness": ENLARGED},
        cost="1 forward, and up to n: designs of 4 (cells^2 + 2), 264 for 8 cells a side",
        needs=frozenset({Need.STREAM}),
        at="input",
        use="how much of the score's variance involves each cell, interactions counted in full",
        caveats=(
            "a share of variance: no sign, no score units; interactions count for every cell that takes part",
            "no detail finer than a cell; n counts forwards",
        ),
    )
)
def sobol(
    input: Tensor,
    score: Tensor,
    fill: Fill,
    *,
    n: int = 4224,
    cells: int | Sequence[int] | None = None,
    tolerance: float = 0.1,
    seed: int = 0,
) -> Generator[Any, Any, Attribution]:
    """Each cell's total Sobol index: the share of the score's variance that would stay if only that cell varied.

    ``input`` [B, C, *size] with one to three axes, ``score`` [B]; values [B, *size], from 0, in shares of the variance
    (they add up to more than 1 where cells interact). Masks give every cell of a grid of ``cells`` along each axis (one
    number or one for each; left out, 8, or as many as a shorter axis has) a visibility in [0, 1]; a pixel has its
    cell's. They come from scrambled Sobol sequences in replicates of 4 points, randomised anew for each: numerators
    (Jansen's) and the variance (of A and B) are averaged over all, and the standard error of their quotient, which is
    returned, comes from the replicates. The grid of indices is enlarged linearly. ``n`` counts forwards, of which whole
    replicates are used (2112 are the 32 points for 8 cells of the paper); fewer are made once the standard error is
    under ``tolerance`` of the map's range. Raises `UsageError` for a budget under 2 replicates, and for cells that do
    not fit.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 4, 4), method="sobol", cells=2, n=96)
    >>> e.values.shape, e.cost.forwards, bool(e.values.min() >= 0)
    ((4, 4), 97, True)
    """
    size = tuple(input.shape[2:])
    grid = grid_of(cells, 8, size)
    places = math.prod(grid)
    replicate = _POINTS * (places + 2)
    count = ChangedInput(n).count // replicate * replicate
    if count < 2 * replicate:
        raise UsageError(
            f"n={n}: a replicate takes {replicate} forwards with cells={told(grid)['cells']}, and two are needed; "
            f"n={2 * replicate} or more, or fewer cells"
        )
    design = _Design(Draws(input, "sobol", seed), places)

    def hidden(samples: Tensor, indices: Tensor) -> Tensor:
        rows = [design(s, i) for s, i in zip(samples.tolist(), indices.tolist(), strict=True)]
        visible = torch.stack(rows).to(input.dtype).reshape(-1, *grid)
        return fill(input, samples, cell_masks(visible, size))

    fold = _Jansen(score, size, grid, tolerance)
    source = ChangedInput(count, hidden, ("sobol", grid, seed, fill.key))
    return replace((yield from sampled(source, (Score(),), fold, "forwards", 4 * replicate)), taken=told(grid))


class _Design:
    """Masks by index: of each replicate the 4 points of A, those of B, and for each cell those of A with B's cell."""

    def __init__(self, draws: Draws, places: int) -> None:
        self._draws, self._places = draws, places
        self._points: dict[tuple[int, int], Tensor] = {}

    def __call__(self, sample: int, index: int) -> Tensor:
        """Visibilities [cells] in [0, 1], float64."""
        which, index = divmod(index, _POINTS * (self._places + 2))
        block, point = divmod(index, _POINTS)
        if (sample, which) not in self._points:
            engine: Any = SobolEngine(  # type: ignore[no-untyped-call]
                2 * self._places, scramble=True, seed=self._draws.state(sample, which)
            )
            self._points[sample, which] = engine.draw(_POINTS, dtype=torch.float64)
        row = self._points[sample, which][point]
        a, b = row[: self._places], row[self._places :]
        if block < 2:
            return b if block else a
        mixed = a.clone()
        mixed[block - 2] = b[block - 2]
        return mixed


class _Jansen(KeptScores):
    """Jansen's quotient over all replicates, its error from their residuals (the delta method)."""

    def __init__(self, score: Tensor, size: Sequence[int], grid: Sequence[int], tolerance: float) -> None:
        super().__init__(score, size, tolerance)
        self._grid = tuple(grid)
        self._replicate = _POINTS * (math.prod(grid) + 2)

    def least(self, sample: int) -> int:
        """One replicate."""
        return self._replicate

    def count(self, sample: int) -> int:
        """Only whole replicates count."""
        return super().count(sample) // self._replicate * self._replicate

    def estimate(self, sample: int, drops: Tensor) -> tuple[Tensor, Tensor]:
        """Indices and their errors, enlarged."""
        replicates = drops.reshape(-1, self._replicate // _POINTS, _POINTS)
        number, a, mixed = len(replicates), replicates[:, 0], replicates[:, 2:]
        tops = (a[:, None] - mixed).square().mean(2) / 2
        both = replicates[:, :2].flatten(1)
        below = (both - both.mean()).square().mean(1) * (both.numel() / (both.numel() - 1))
        mean = below.mean()
        if not bool(mean > 0):
            nothing = torch.zeros(self.size, dtype=torch.float64)
            return nothing + 0 * mean, nothing
        indices = tops.mean(0) / mean
        values = cell_map(indices[None], self._grid, self.size)[0]
        if number < 2:
            return values, unknown(values.detach())
        residuals = ((tops - indices * below[:, None]) / mean).detach()
        maps = cell_map(residuals, self._grid, self.size)
        error = (maps.square().sum(0) / (number * (number - 1))).sqrt()
        return values, error * student(torch.tensor(float(number - 1)))
