"""Integrated gradients: takes input and baseline, asks for gradients on the straight path between them, gives their
integral."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Gradient, Score, Stream
from seewhy.core.percentages import missed, percent
from seewhy.core.perturb.folds import Collect, WeightedSum, per_image
from seewhy.core.perturb.sources import PlacesOnPath, StraightPath
from seewhy.errors import UsageError
from seewhy.methods._exceptions import FIXED_REFERENCE, NO_GRADIENT
from seewhy.methods._path_nodes import Cells, cell_edges
from seewhy.methods._paths import quadrature
from seewhy.registry import Card, Need, method

__all__ = ["integrated_gradients"]

#: cells that the path is cut into
_CELLS = 8


@method(
    Card(
        name="integrated-gradients",
        family="gradient",
        paper="Sundararajan, Taly & Yan 2017, Axiomatic Attribution for Deep Networks, arXiv:1703.01365, eq. 1",
        formula="(x - x') * integral_0^1 dS/dx(x' + a (x - x')) da",
        unit="{score}",
        excepts={**NO_GRADIENT, **FIXED_REFERENCE},
        cost="up to max_steps + 2 forwards and backwards; where that is not enough, max_steps more",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="input",
        reduce="sum",
        sums="the score's difference from the baseline's",
        use="signed evidence in score units that adds up to the score difference",
        caveats=(
            "depends on the baseline: pixels that equal it get nothing",
            "few steps leave a residual; it is returned",
        ),
    )
)
def integrated_gradients(
    input: Tensor,
    baseline: Tensor,
    score: Tensor,
    *,
    rule: str = "adaptive",
    steps: int | None = None,
    max_steps: int = 128,
    tolerance: float = 0.01,
    multiply_by_inputs: bool = True,
) -> Generator[Any, Any, Attribution]:
    """The path integral of the gradient from a baseline to the input, times their difference.

    ``input`` and ``baseline`` [B, C, *size]; values of that shape, in score units; they sum to score minus the
    baseline's score up to the residual, which is returned per image as ``error``. With ``rule="adaptive"`` the path is
    cut into 8 cells, narrower near the baseline, and trapezoid steps are halved in those cells where the gradient
    moves most and the cell's own completeness is worst, a few at a time, each image its own. That ends when the
    residual, and the root of the cells' squared residuals, is under ``tolerance`` of the score difference, or when
    ``max_steps`` is reached. An image whose residual is above it then is integrated once more, by midpoints of as many
    equal steps, and keeps what misses less (status ``not-converged`` if that is still above). The textbook form is
    ``rule="gauss-legendre", steps=50``; also ``trapezoid``, ``riemann-left``, ``riemann-middle``, ``riemann-right``.
    ``multiply_by_inputs=False`` leaves the factor x - x' out: slopes, in score units per unit of the input.
    Baselines: ``black``, ``white``, ``grey``, ``mean``, ``blur``, ``noise``, a number or a tensor.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2), torch.nn.Tanh())
    >>> seewhy.explain(net, torch.rand(1, 3, 4, 4), method="integrated-gradients").status.code
    'ok'
    """
    if max_steps < 1 or not tolerance > 0:
        raise UsageError(f"max_steps={max_steps}, tolerance={tolerance}: both must be positive, e.g. 128 and 0.01")
    if rule == "adaptive" and steps is not None:
        raise UsageError(
            f"steps={steps} is for a fixed rule, e.g. rule='gauss-legendre'; adaptive takes max_steps and tolerance"
        )
    steps = 50 if steps is None else steps
    batch = input.shape[0]
    if rule == "adaptive":
        mean, start, used = yield from _adaptive(input, baseline, score, max_steps, tolerance)
    else:
        nodes, weights = quadrature(rule, steps)
        path = StraightPath(len(nodes), nodes, baseline)
        origin = StraightPath(1, (0.0,), baseline)
        mean, start = yield (
            Stream(path, (Gradient(),), WeightedSum(batch, weights)),
            Stream(origin, (Score(),), Collect(batch, 1)),
        )
        start, used = start[:, 0], torch.full_like(score, steps)
    values = (input - baseline) * mean
    residual = values.flatten(1).sum(1) - (score - start)
    relative = missed(residual, score - start, values, score)
    converged = relative <= tolerance
    advice = "raise max_steps" if rule == "adaptive" else "raise steps"
    notes = tuple(
        f"completeness residual {percent(share)} of the score difference after {count:.0f} steps"
        + ("" if good else f"; {advice}")
        for share, count, good in zip(relative.tolist(), used.tolist(), converged.tolist(), strict=True)
    )
    if not multiply_by_inputs:
        return Attribution(mean, converged=converged, notes=notes)
    return Attribution(values, error=residual, total=score - start, converged=converged, notes=notes)


def _adaptive(
    input: Tensor, baseline: Tensor, score: Tensor, most: int, tolerance: float
) -> Generator[Any, Any, tuple[Tensor, Tensor, Tensor]]:
    """The mean gradient by trapezoids, halved where that helps most until complete: (mean [B, ...], the baseline's
    score [B], steps used [B])."""
    cells = Cells(cell_edges(min(_CELLS, most)), input - baseline)
    path = StraightPath(len(cells.edges), cells.edges, baseline)
    start = yield Stream(path, (Gradient(), Score()), cells.first())
    allowed = (tolerance * (score - start).detach().abs()).to("cpu", torch.float64)
    while True:
        # a total can be small by luck; the root of the cells' squared residuals is small only if they are
        residuals, used = cells.residuals(), cells.steps.sum(1)
        open_ = (residuals.sum(1).abs() > allowed) | (residuals.square().sum(1).sqrt() > allowed)
        picked = [cells.pick(sample, most) if open_[sample] else [] for sample in range(len(used))]
        if not any(picked):
            mean = cells.mean()
            missed = residuals.sum(1).abs() > allowed
            return (yield from _not_worse(input, baseline, mean, score - start, missed, used)), start, used
        places, items = cells.halve(picked)
        fresh = PlacesOnPath(places.shape[1], places, baseline)
        yield Stream(fresh, (Gradient(),), cells, items)


def _not_worse(
    input: Tensor, baseline: Tensor, mean: Tensor, rise: Tensor, missed: Tensor, steps: Tensor
) -> Generator[Any, Any, Tensor]:
    """``mean`` [B, ...], or for images that it ``missed`` [B] the mean by midpoints of as many equal ``steps`` [B],
    where that comes closer to the ``rise`` of the score [B].

    Refining goes by what it has seen: a path with a singular end, or a jump between two nodes, can lead it astray.
    """
    whose = missed.nonzero()[:, 0]
    if not len(whose):
        return mean
    counts = steps[whose]
    table = torch.zeros(len(steps), int(counts.max()), dtype=torch.float64)
    for sample, count in zip(whose.tolist(), counts.tolist(), strict=True):
        table[sample, :count] = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    items = torch.cat(
        [torch.cartesian_prod(image[None], torch.arange(n)) for image, n in zip(whose, counts, strict=True)]
    )
    fold = WeightedSum(len(steps), (1.0,) * table.shape[1])
    total = yield Stream(PlacesOnPath(table.shape[1], table, baseline), (Gradient(),), fold, items)
    uniform = total / per_image(steps, total)

    def misses(gradient: Tensor) -> Tensor:
        return (((input - baseline) * gradient).flatten(1).sum(1) - rise).detach().abs()

    better = missed.to(mean.device) & (misses(uniform) < misses(mean))
    return torch.where(better.reshape(-1, *(1 for _ in mean.shape[1:])), uniform, mean)
