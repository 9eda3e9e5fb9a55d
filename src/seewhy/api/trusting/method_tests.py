"""Tests of a method on a model: takes a plan and an explanation that it gave, gives whether its maps depend on what the
model has learnt and on the class; once for model, method and layer, on photos that come along."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.api.answered.predictions import predict_items
from seewhy.api.asked.plan import Plan
from seewhy.api.given.images import Item
from seewhy.api.planned import run_plan
from seewhy.api.sample_inputs import probes, takes_photos
from seewhy.api.trusting import kept
from seewhy.api.trusting.references import Comparing, as_planned, at_input
from seewhy.core.network.places import AUTO
from seewhy.core.targets import Box, Candidate, Likeness, Logit, Target
from seewhy.errors import SeewhyError
from seewhy.explanation import Cost, Evidence, Explanation, Prediction
from seewhy.metrics import controls
from seewhy.metrics._likeness import rank_correlation
from seewhy.models import Model

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
_VERSION = 3
#: what a person may give for each photo by itself
_OF_PHOTOS = ("baseline", "fill", "segments")
#: what else changes a map and is no parameter of its method
_WORDS = (*_OF_PHOTOS, "references", "bounds", "noise", "reduce", "backward_rule")


@dataclass(frozen=True)
class Tested:
    """What a method's maps on a model were found to be like: rank correlations with those of the cascade, the largest
    of which counts, and between classes, and what either is by chance."""

    learnt: float
    chance: float
    classes: float
    reason: str = ""


def method_tests(
    plan: Plan, comparing: Comparing, item: Item, made: Explanation, target: Target, outline: int, *, cache: bool
) -> tuple[list[Evidence], Cost]:
    """The evidence of both tests of the map of ``item`` that was planned as number ``outline``, and what they cost now:
    nothing where they were done before. Of a model that names no class ``target`` is asked about other photos, too;
    where photos are no inputs, noise of the size of ``item`` is."""
    asked = _Asked(plan, comparing, made, target, outline, tuple(item.tensor.shape))
    key = asked.key()
    found = kept.read(key) if cache and key is not None else None
    if found is None:
        tested, cost = _tested(asked)
        found = {"learnt": tested.learnt, "chance": tested.chance, "classes": tested.classes, "reason": tested.reason}
        if cache and key is not None and not tested.reason:
            kept.write(key, found)
    else:
        cost = Cost()
    return _evidence(found, made), cost


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is tested: a map as it was planned and made, whatever else was said about it."""

    plan: Plan
    comparing: Comparing
    made: Explanation
    target: Target
    outline: int
    shape: tuple[int, ...]

    def key(self) -> Mapping[str, Any] | None:
        """What the result depends on; None where nothing says whether that is still the same: a model without a
        fingerprint, arrays, functions."""
        model = self.plan.model.fingerprint()
        words = {word: getattr(self.plan.request, word) for word in _WORDS}
        about = None if self.made.prediction is not None else self.target
        if not model or not all(map(_plain, (about, *words.values(), *self.made.parameters.values()))):
            return None
        parameters = {name: repr(value) for name, value in sorted(self.made.parameters.items())}
        return {
            "tests": _VERSION, "model": model, "method": self.made.method, "layer": self.made.layer or "",
            "parameters": parameters, "words": {word: repr(value) for word, value in words.items()},
            "target": "" if about is None else repr(about),
            "noise": [] if takes_photos(self.plan.model) else [*self.shape],
        }  # fmt: skip

    def map(self, model: Model, item: Item, target: Target) -> tuple[Tensor, Cost]:
        """The same map of another photo, by ``model``."""
        plan = as_planned(self.plan, self.outline, model, target)
        (own,) = plan.parameters
        if {"n", "tolerance"} <= own.keys():  # it may never settle where nothing was learnt
            own = own | {"n": min(own["n"], _DEAR)}
        (one,) = plan.outlines
        named = replace(one, place=self.made.layer) if one.place == AUTO and self.made.layer else one
        explained = run_plan(replace(plan, outlines=(named,), parameters=(own,)), [item])[0]
        return at_input(explained), explained.cost


def _plain(value: Any) -> bool:
    """Whether what is written of a value says all about it."""
    if is_dataclass(value) and not isinstance(value, type):
        return all(map(_plain, astuple(value)))
    if isinstance(value, tuple | list):
        return all(map(_plain, value))
    return value is None or isinstance(value, str | bool | int | float)


def _tested(asked: _Asked) -> tuple[Tested, Cost]:
    nan = math.nan
    made, comparing = asked.made, asked.comparing
    if made.cost.forwards > _DEAR:
        return Tested(
            nan, nan, nan, f"not tested: {made.cost.forwards} forwards a map, {len(_CASCADE) + 2} maps"
        ), Cost()
    if made.prediction is None and isinstance(asked.target, Box | Candidate | Likeness):
        return Tested(nan, nan, nan, "not tested: what is explained is an object of this photo"), Cost()
    if own := [word for word in _OF_PHOTOS if isinstance(getattr(asked.plan.request, word), Tensor | np.ndarray)]:
        return Tested(nan, nan, nan, f"not tested: {own[0]}= is of this photo, and tests are on others"), Cost()
    cost = Cost()
    learnt, chance, classes = [], [], []
    try:
        models = [comparing.drawn(share) for share in _CASCADE]
        for item in probes(comparing.model, shape=asked.shape)[:2]:
            (said,) = predict_items(comparing.model, [item])
            first, *rest = _targets(said.prediction, asked.target)
            own_map, spent = asked.map(comparing.model, item, first)
            cost += spent
            for model in models:
                other, spent = asked.map(model, item, first)
                cost += spent
                learnt.append(_alike(own_map, other))
            chance += [_alike(own_map, each) for each in controls.spectrum_maps(own_map, _CHANCE, of=item.tensor)]
            for target in rest[-1:]:
                other, spent = asked.map(comparing.model, item, target)
                cost += spent
                classes.append(float(rank_correlation(own_map[None], other[None])))
    except SeewhyError as error:
        return Tested(nan, nan, nan, f"not tested: {error}"), cost
    return Tested(_largest(learnt), _largest(chance), _mean(classes)), cost


def _targets(prediction: Prediction | None, asked: Target) -> list[Target]:
    """What is asked about a photo that comes along: what the model says first, and the rest; of a model that names no
    class what is asked of any photo."""
    return [asked] if prediction is None else [Logit(guess.index) for guess in prediction.top]


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
