"""Noise over any method: takes a plan and images, runs the plan at noisy copies of each, gives statistics of the maps
with their standard errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.api.asked.noise import Noise
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.asked.settled import Settled
from seewhy.api.asked.supplies import spread_in
from seewhy.api.given.images import Item, own_layout
from seewhy.core.perturb.estimators import Means, Variances, rounds
from seewhy.core.perturb.sources import GaussianNoise
from seewhy.errors import CapabilityError, UsageError
from seewhy.explanation import Cost, Explanation, Explanations, Status
from seewhy.models import Model

__all__ = ["over_noise"]

Run = Callable[[Plan, Sequence[Item]], Explanations]


def over_noise(plan: Plan, items: Sequence[Item], noise: Noise, run: Run) -> Explanations:
    """The maps of ``items`` as planned, each a statistic over noisy copies of its image; targets and predictions are
    those of the image itself. ``run`` runs a plan without noise."""
    if plan.settings.differentiable:
        raise CapabilityError("differentiable=True: a statistic of many maps has no graph; leave noise= out")
    settled = Settled(plan.wanted, [])
    alone = replace(plan, request=replace(plan.request, noise=None), wanted=settled)
    results: list[Explanation] = []
    cost, interrupted = Cost(), False
    for index, item in enumerate(items):
        settled.images = [index]
        own = replace(alone, request=_about(alone, item, index, len(items)))
        clean = run(own, [item])
        cost, interrupted = cost + clean.cost, clean.interrupted
        if interrupted:
            break
        done, spent, interrupted = _statistics(own, settled, item, index, clean, noise, run)
        cost += spent
        results += done
        if interrupted:
            break
    return Explanations(results, cost=cost, interrupted=interrupted)


def _about(plan: Plan, item: Item, index: int, count: int) -> Request:
    """What is asked of one image of so many."""
    x = item.tensor[None]
    own = plan.request.about([index], count, x.ndim, own_layout(plan.model, x).ndim)
    segments = own.segments
    if isinstance(segments, Tensor | np.ndarray) and segments.ndim == x.ndim - 1:  # of this image, so of each copy
        own = replace(own, segments=segments[0])
    return own


def _statistics(
    plan: Plan, settled: Settled, item: Item, index: int, clean: Explanations, noise: Noise, run: Run
) -> tuple[list[Explanation], Cost, bool]:
    """One image's maps as statistics, what they cost, and whether they were interrupted."""
    folds = [_fold(noise) for _ in clean]
    cost, count, interrupted = Cost(), 0, False
    for upto in rounds(noise.n):
        settled.images = [index] * (upto - count)
        try:
            maps = run(plan, _copies(plan.model, item, noise, range(count, upto)))
        except KeyboardInterrupt:
            if not all(fold.ready for fold in folds):
                raise
            interrupted = True
            break
        cost, interrupted = cost + maps.cost, maps.interrupted
        if interrupted:
            break
        for n, (fold, first) in enumerate(zip(folds, clean, strict=True)):
            values = np.stack([one.values for one in maps[n :: len(clean)]])
            if values.shape[1:] != first.values.shape:
                raise UsageError(
                    f"{first.method} gives {values.shape[1:]} at a noisy copy and {first.values.shape} at the image: "
                    "no statistic is made of maps of several shapes; name a layer"
                )
            # a batch of one image; its positions come last, and what is before them is added up by nobody
            fold.add(torch.zeros(len(values), dtype=torch.long), torch.arange(count, upto), torch.from_numpy(values))
        count = upto
        if all(bool(fold.settled().all()) for fold in folds):
            break
    if not folds or not folds[0].ready:
        return [], cost, interrupted
    each = replace(cost, seconds=cost.seconds / len(folds))
    pairs = zip(clean, folds, strict=True)
    return [_finished(one, fold, noise, each, not interrupted) for one, fold in pairs], cost, interrupted


def _copies(model: Model, item: Item, noise: Noise, numbers: Sequence[int]) -> list[Item]:
    """The image with noise number 0, 1, 2..."""
    x = item.tensor[None]
    size = noise.sigma if noise.std is None else noise.std
    assert size is not None
    source = GaussianNoise(
        noise.n, size, noise.seed, absolute=noise.std is not None, spread=spread_in(model, x, [item])
    )
    drawn = source.inputs(x, torch.zeros(len(numbers), dtype=torch.long), torch.tensor(numbers))
    return [replace(item, tensor=tensor, photo=None) for tensor in drawn]


def _fold(noise: Noise) -> Means:
    def given(values: Tensor) -> Tensor:
        return values.abs() if noise.absolute else values

    if noise.statistic == "variance":
        return Variances(1, noise.tolerance, given)
    if noise.statistic == "squared":
        return Means(1, noise.tolerance, lambda values: values**2, skewed=True)
    return Means(1, noise.tolerance, given)


def _finished(clean: Explanation, fold: Means, noise: Noise, cost: Cost, finished: bool) -> Explanation:
    attribution = fold.attribution(noise.n, "noisy copies", finished=finished)
    assert isinstance(attribution.error, Tensor)
    values, error = attribution.values[0].numpy(), attribution.error[0].numpy()
    squares = noise.statistic != "smooth"
    note = attribution.notes[0]
    against = clean.positive and not squares and not noise.absolute
    return replace(
        clean,
        values=values,
        error=error,
        status=_status(values, note, attribution.converged, finished=finished, against=against),
        cost=clean.cost + cost,
        parameters={**clean.parameters, "noise": str(noise), "noise seed": noise.seed},
        notes=(*clean.notes, note),
        positive=clean.positive or squares or noise.absolute,
        map_unit=f"({clean.map_unit}) squared" if squares and clean.map_unit else clean.map_unit,
        colours=None,
        tensor=None,
    )


def _status(
    values: np.ndarray[Any, Any], note: str, converged: Tensor | None, *, finished: bool, against: bool
) -> Status:
    """Whether the statistic is an answer; ``against``: whether values below zero are none."""
    if not np.isfinite(values).all():
        return Status("non-finite", "the map of some noisy copy is not finite")
    if not finished:
        return Status("unfinished", note)
    if not values.any():
        return Status("zero-gradient", "the map is 0 everywhere, at every noisy copy")
    if converged is not None and not bool(converged.all()):
        return Status("not-converged", note)
    if against and values.max() <= 0:
        return Status("no-positive-evidence", f"all evidence speaks against the target, up to {values.max():.3g}")
    return Status()
