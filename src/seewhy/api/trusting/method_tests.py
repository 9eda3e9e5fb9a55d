"""Tests of a method on a model: takes a plan and an explanation that it gave, gives whether its maps depend on what the
model has learnt and on the class; once for model, method and layer, on photos that come along."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from seewhy.api.answered.predictions import predict_items
from seewhy.api.asked.plan import Plan
from seewhy.api.given.images import Item
from seewhy.api.sample_inputs import probes
from seewhy.api.trusting import kept
from seewhy.api.trusting.references import Comparing, at_input, one
from seewhy.core.targets import Logit, Target
from seewhy.errors import CapabilityError, SeewhyError
from seewhy.explanation import Cost, Evidence, Explanation
from seewhy.metrics import controls
from seewhy.metrics._likeness import rank_correlation
from seewhy.registry import methods

__all__ = ["method_tests"]

#: shares of parameters that stay, from the input on, as more and more is drawn anew from the output on
_CASCADE = (0.75, 0.5, 0.0)
#: random maps with a map's spectrum: how alike two maps of its kind are by chance
_CHANCE = 20
#: rank correlations from which a map does not depend on what was learnt, and under which it surely does
_SAME, _OTHER = 0.6, 0.35
#: rank correlation of the maps of two classes from which they are one map
_ONE_MAP = 0.95
#: forwards of one map from which the tests are not worth it
_DEAR = 600
#: changes when the tests do: results that were kept by other ones are not read
_VERSION = 1


@dataclass(frozen=True)
class Tested:
    """What a method's maps on a model were found to be like: rank correlations with those of the cascade, the largest
    of which counts, and between classes, and what either is by chance."""

    learnt: float
    chance: float
    classes: float
    reason: str = ""


def method_tests(plan: Plan, comparing: Comparing, made: Explanation, *, cache: bool) -> tuple[list[Evidence], Cost]:
    """The evidence of both tests, and what they cost now: nothing where they were done before."""
    key = _key(plan, made)
    found = kept.read(key) if cache and key is not None else None
    if found is None:
        tested, cost = _tested(comparing, made)
        found = {"learnt": tested.learnt, "chance": tested.chance, "classes": tested.classes, "reason": tested.reason}
        if cache and key is not None and not tested.reason:
            kept.write(key, found)
    else:
        cost = Cost()
    return _evidence(found, made), cost


def _key(plan: Plan, made: Explanation) -> Mapping[str, Any] | None:
    """What the result depends on; None for a model of which nothing says whether it is still the same."""
    print_ = plan.model.fingerprint()
    if not print_:
        return None
    asked = {name: repr(value) for name, value in sorted(made.parameters.items())}
    return {"tests": _VERSION, "model": print_, "method": made.method, "layer": made.layer or "", "parameters": asked}


def _tested(comparing: Comparing, made: Explanation) -> tuple[Tested, Cost]:
    nan = math.nan
    if made.cost.forwards > _DEAR:
        return Tested(
            nan, nan, nan, f"not tested: {made.cost.forwards} forwards a map, {len(_CASCADE) + 2} maps"
        ), Cost()
    cost = Cost()
    learnt, chance, classes = [], [], []
    try:
        models = [comparing.drawn(share) for share in _CASCADE]
        for item in probes(comparing.model)[:2]:
            (said,) = predict_items(comparing.model, [item])
            if said.prediction is None:
                raise CapabilityError("the model's output is no row of class scores")
            first, *rest = (guess.index for guess in said.prediction.top)
            own, spent = _map(comparing, made, item, Logit(first))
            cost += spent
            for model in models:
                other, spent = _map(replace(comparing, model=model), made, item, Logit(first))
                cost += spent
                learnt.append(_alike(own, other))
            chance += [_alike(own, each) for each in controls.spectrum_maps(own, _CHANCE)]
            for k in rest[-1:]:
                other, spent = _map(comparing, made, item, Logit(k))
                cost += spent
                classes.append(float(rank_correlation(own[None], other[None])))
    except SeewhyError as error:
        return Tested(nan, nan, nan, f"not tested: {error}"), cost
    return Tested(_largest(learnt), _largest(chance), _mean(classes)), cost


def _map(comparing: Comparing, made: Explanation, item: Item, target: Target) -> tuple[Tensor, Cost]:
    own = set(methods[made.method].parameters) - {"reduce", "layers", "backward_rule"}
    known = {name: value for name, value in made.parameters.items() if name in own}
    explained = one(comparing.model, item, made.method, target, comparing.settings, known, made.layer)
    return at_input(explained), explained.cost


def _alike(a: Tensor, b: Tensor) -> float:
    """The rank correlation of two maps, with their signs or without, whichever is more."""
    signed = float(rank_correlation(a[None], b[None]))
    bare = float(rank_correlation(a.abs()[None], b.abs()[None]))
    known = [each for each in (abs(signed), bare) if not math.isnan(each)]
    return max(known, default=math.nan)


def _largest(numbers: Sequence[float]) -> float:
    known = [each for each in numbers if not math.isnan(each)]
    return max(known, default=math.nan)


def _mean(numbers: Sequence[float]) -> float:
    known = torch.tensor([each for each in numbers if not math.isnan(each)], dtype=torch.float64)
    return float(known.mean()) if len(known) else math.nan


def _evidence(found: Mapping[str, Any], made: Explanation) -> list[Evidence]:
    if found["reason"]:
        return [Evidence(name, math.nan, found["reason"]) for name in ("randomisation", "random-logit")]
    learnt, chance, classes = found["learnt"], found["chance"], found["classes"]
    same = max(_SAME, chance)
    level = "red" if learnt >= same else "amber" if learnt >= max(_OTHER, chance) else "green"
    if math.isnan(learnt):
        level = ""
    does = {"green": "depend", "amber": "hardly depend", "red": "do not depend", "": "could not be told to depend"}
    randomisation = Evidence(
        "randomisation",
        learnt,
        f"maps of {made.method} on this model {does[level]} on what it has learnt: with weights drawn anew they are "
        f"alike by {learnt:.2f} at most, by chance {chance:.2f}",
        level,
        controls={"chance": chance},
        thresholds=f"green under {max(_OTHER, chance):.2g}, red from {same:.2g}" if level else "",
    )
    one_map = "" if math.isnan(classes) else "red" if classes >= _ONE_MAP else "green"
    differ = {"green": "differ", "red": "do not differ", "": "could not be compared"}
    logit = Evidence(
        "random-logit",
        classes,
        f"maps of {made.method} on this model {differ[one_map]} between classes: alike by {classes:.2f}",
        one_map,
        thresholds=f"green under {_ONE_MAP:g}",
    )
    return [randomisation, logit]
