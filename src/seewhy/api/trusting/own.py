"""What only whoever made a map can measure: takes an explanation and the plan it was made by, gives completeness,
standard error, stability, and the tests that the method passes on this model; judges a bare map never."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from seewhy.api.asked.plan import Plan
from seewhy.api.asked.settled import Settled
from seewhy.api.given.images import Item
from seewhy.api.planned import run_plan
from seewhy.api.trusting.method_tests import method_tests
from seewhy.api.trusting.references import Comparing, as_planned, at_input
from seewhy.core.targets import Target
from seewhy.errors import SeewhyError
from seewhy.explanation import Cost, Evidence, Explanation
from seewhy.metrics import stability
from seewhy.registry import methods

__all__ = ["own_measures"]

#: the share of the map's own size that its standard error may have
_ERROR = 0.25
#: the share of the score that a sum may miss
_MISSED = 0.05
#: rank correlation with maps of photos that look the same
_STABLE = 0.3
#: forwards of a map from which three more of it would cost more than all the rest of a card
_DEAR = 150


def own_measures(
    plan: Plan, comparing: Comparing, item: Item, made: Explanation, target: Target, outline: int, *, cache: bool
) -> tuple[list[Evidence], Cost]:
    """The measures that a bare map does not have, of the map that was planned as number ``outline``, and what they
    cost."""
    found = [_status(made), _completeness(made), _error(made)]
    stable, cost = _stability(plan, item, made, target, outline)
    tested, more = method_tests(plan, comparing, item, made, target, outline, cache=cache)
    return [each for each in (*found, stable, *tested) if each is not None], cost + more


def _status(made: Explanation) -> Evidence:
    level = "green" if made.status.ok else "red" if made.status.code == "non-finite" else "amber"
    return Evidence("status", math.nan, str(made.status), level)


def _completeness(made: Explanation) -> Evidence | None:
    """How much of the score a map leaves out whose card promises to share all of it out."""
    if not methods[made.method].card.sums or not isinstance(made.error, float | int) or not made.score:
        return None
    missed = abs(float(made.error) / made.score)
    level = "green" if missed <= _MISSED else "amber"
    says = f"its sum misses {missed:.1%} of the score, which it promises to share out"
    return Evidence("completeness", missed, says, level, thresholds=f"green to {_MISSED:g}")


def _error(made: Explanation) -> Evidence | None:
    """The standard error of a map that was sampled, as a share of the map's own size."""
    if not isinstance(made.error, np.ndarray) or made.error.shape != made.values.shape:
        return None
    size = float(np.abs(made.values).max())
    share = float(np.nanmean(made.error)) / size if size > 0 else math.nan
    level = "green" if share <= _ERROR else "amber"
    says = f"its standard error is {share:.0%} of its largest value on average: more samples make it smaller"
    return Evidence("standard error", share, says, level, thresholds=f"green to {_ERROR:g}")


def _stability(plan: Plan, item: Item, made: Explanation, target: Target, outline: int) -> tuple[Evidence, Cost]:
    if made.cost.forwards > _DEAR:
        said = f"not measured: three more maps would take {3 * made.cost.forwards} forwards"
        return Evidence("stability", math.nan, said), Cost()
    explain, spent = again(plan, item, target, outline)
    try:
        # called by hand it would have to guess whether three axes are a picture or a batch of rows
        (measure,) = stability.judged({"explain": explain, "input": item.tensor[None]}, {})
    except SeewhyError as error:
        return Evidence("stability", math.nan, f"not measured: {error}"), spent[0]
    value = measure.value
    if math.isnan(value):
        return Evidence("stability", value, f"not measured: {measure.reason}"), spent[0]
    level = "green" if value >= _STABLE else "amber"
    says = f"the rank correlation with maps of the same photo with a little noise, and a pixel aside, is {value:.2f}"
    return Evidence("stability", value, says, level, thresholds=f"green from {_STABLE:g}"), spent[0]


def again(plan: Plan, item: Item, target: Target, outline: int) -> tuple[Callable[[Tensor], Tensor], list[Cost]]:
    """What makes the same map of other inputs [N, C, *size], and, in its one entry, what that has cost."""
    spent = [Cost()]
    planned = as_planned(plan, outline, plan.model, target)
    one = replace(planned, settings=replace(planned.settings, prepare=plan.settings.prepare))

    def explain(x: Tensor) -> Tensor:
        settled = Settled(plan.wanted, [0] * len(x), {0: (target,)})
        copies = [replace(item, tensor=row, photo=None) for row in x]
        maps = run_plan(replace(one, wanted=settled), copies)
        spent[0] += maps.cost
        return torch.stack([at_input(each) for each in maps])

    return explain, spent
