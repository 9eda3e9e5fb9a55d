"""Attacks: takes a model, images and a goal, gives pictures that fool it, and how many of a folder it still gets right;
draws nothing."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.api.answered.predictions import Scored, predict_items
from seewhy.api.asked.one_or_all import all_of, one, refuse_several
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.asked.supplies import bounds_of
from seewhy.api.given.images import Item, read_items
from seewhy.api.given.photos import asked_of
from seewhy.api.given.truths import Seen, known_truths
from seewhy.api.planned import run_plan
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings
from seewhy.core.layers.candidates import CUTS
from seewhy.core.targets import LogProbability, Target
from seewhy.errors import CapabilityError, TargetError, UsageError
from seewhy.explanation import Attack, Cost, Explanation, Status
from seewhy.models import Model, Preprocess
from seewhy.models.loader import taken
from seewhy.registry import methods as registry
from seewhy.runs.record import Record

__all__ = ["Curve", "Goal", "Point", "attack", "attack_all", "attack_items", "robustness"]

#: what may be the matter with an attack, whatever it reached
_SAID = ("unfinished", "zero-gradient", "non-finite")


@dataclasses.dataclass(frozen=True)
class Goal:
    """What an attack raises, in words, and which class that is about: one to leave, one to reach, or none."""

    target: Target
    words: str
    leave: int | None = None
    reach: int | None = None

    @property
    def sign(self) -> float:
        """What makes the number that is reported of the one that is raised: a class to leave, or a target to lower, is
        raised as minus it."""
        return 1.0 if self.reach is not None else -1.0

    def met(self, after: Scored) -> bool | None:
        """Whether ``after`` is what was wanted; None where there is no class."""
        if self.leave is None and self.reach is None:
            return None
        if not after.answered:  # NaN: the class is left, and none is reached
            return self.reach is None
        return after.index == self.reach if self.reach is not None else after.index != self.leave


@one(Attack)
def attack(
    model: Any,
    image: Any,
    *,
    method: str = "pgd",
    target: Any = None,
    towards: Any = None,
    maps: str | None = "auto",
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **parameters: Any,
) -> Callable[[bool], list[Attack]]:
    """The image, changed by a few levels of 255, so that the model no longer answers ``target``, or answers
    ``towards``.

    ``model`` and ``image`` as for `seewhy.explain`; `attack_all` takes several images. ``method`` is one of family
    ``adversarial`` (``fgsm``, ``i-fgsm``, ``pgd``), ``parameters`` are its own, most of all ``epsilon``, the levels
    that a pixel may move. ``target`` is the class to leave, each image's top class unless given (pass the true one
    where it is known), or any `Target`, whose score is then lowered; ``towards`` is a class to reach instead.
    Pictures are rounded to 8 bits within the ball and judged as they will be saved; ``maps`` explains both (None:
    neither). Raises `UsageError` and its kin for what is invalid, `CapabilityError` for models without
    gradients.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))
    >>> attacked = seewhy.attack(net, torch.rand(3, 4, 4), method="fgsm", epsilon=100, maps=None)
    >>> attacked.attacked_score < attacked.score
    True
    """

    def attacks(only: bool) -> list[Attack]:
        wrapped = taken(model)
        items, _ = read_items(wrapped, image)
        if only:
            refuse_several("attack", "attack", f"{len(items)} images were given" if len(items) > 1 else "")
        return attack_items(
            wrapped, items, method=method, target=target, towards=towards, maps=maps, memory=memory, progress=progress,
            partial=True, **parameters,
        )  # fmt: skip

    return attacks


attack_all = all_of(
    attack,
    list[Attack],
    """`attack` of several images: a list, in their order; ``target`` and ``towards`` may be lists, one for each.""",
)


def attack_items(
    model: Model,
    items: Sequence[Item],
    *,
    method: str,
    target: Any = None,
    towards: Any = None,
    maps: str | None = None,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    partial: bool = False,
    **parameters: Any,
) -> list[Attack]:
    """`attack` for images read already; ``target`` and ``towards`` may be lists, one for each. An interruption is
    raised, unless whoever asks takes ``partial`` ones, of which each says so, and there is one of every image."""
    began = time.perf_counter()
    _check_whole_levels(items, parameters)
    before = predict_items(model, items, memory=memory)
    goals = [
        _goal(model, one, asked, to)
        for one, asked, to in zip(before, _each(target, items), _each(towards, items), strict=True)
    ]
    settings = Settings(memory=memory, progress=watched(progress))
    wanted = [goal.target for goal in goals]
    request = Request(method=method, target=wanted, parameters=parameters, settings=settings)
    changes = run_plan(Plan.make(model, request, len(items), call="attack"), items, partial=partial)
    if len(changes) < len(items):  # of those that are there nobody could tell whose they are
        raise KeyboardInterrupt
    attacked = [_changed(model, item, change) for item, change in zip(items, changes, strict=True)]
    after = predict_items(model, [changed.item for changed in attacked], targets=wanted, memory=memory)
    pairs = _explained(model, items, attacked, before, after, maps, memory)
    count = max(len(items), 1)
    spent = Cost(
        changes.cost.forwards // count + 2, changes.cost.backwards // count, 0, (time.perf_counter() - began) / count
    )
    return [
        Attack(
            image=_picture(model, item.view, item.tensor),
            adversarial=now.pixels,
            perturbation=now.levels,
            goal=goal.words,
            success=goal.met(then) if first.answered else None,  # no answer, nothing to leave
            before=first.prediction,
            after=then.prediction,
            score=goal.sign * change.score,
            attacked_score=goal.sign * then.score,
            method=method,
            parameters=change.parameters,
            maps=pair,
            name=item.name,
            notes=(*change.notes, *now.notes),
            status=change.status if change.status.code in _SAID else Status(),
            cost=spent + (Cost() if pair is None else pair[0].cost + pair[1].cost),
            provenance=change.provenance,
        )
        for item, now, goal, first, then, change, pair in zip(
            items, attacked, goals, before, after, changes, pairs, strict=True
        )
    ]


def _each(asked: Any, items: Sequence[Item]) -> list[Any]:
    """One entry an image."""
    if not isinstance(asked, list | tuple):
        return [asked] * len(items)
    if len(asked) != len(items):
        raise UsageError(f"{len(asked)} targets for {len(items)} images: give one for each, or one for all")
    return list(asked)


def _check_whole_levels(items: Sequence[Item], parameters: dict[str, Any]) -> None:
    """A picture of 8 bits changes by whole levels."""
    epsilon = parameters.get("epsilon")
    if isinstance(epsilon, int | float) and 0 < epsilon < 1 and any(item.pictured for item in items):
        raise UsageError(
            f"epsilon={epsilon}: pictures have 8 bits, so a change of less than one level is rounded away; give "
            "epsilon=1 or more, or a float input"
        )


def _goal(model: Model, before: Scored, target: Any, towards: Any) -> Goal:
    if isinstance(target, Target):
        if towards is not None:
            raise UsageError("an attack lowers target= or reaches towards=; give one of them")
        return Goal(-1.0 * target, f"lower {target.describe(model.label)}")
    if before.prediction is None:
        raise TargetError(
            "this model's output is no row of class scores; say what the attack should lower, e.g. "
            "target=seewhy.targets.Output(0), or minus it to raise it"
        )
    count = len(before.probabilities) if before.probabilities is not None else 0
    if towards is not None:
        reach = _class(model, towards, count)
        return Goal(LogProbability(reach), f"towards {_name(model, reach)}", reach=reach)
    leave = before.index if target is None else _class(model, target, count)
    return Goal(-1.0 * LogProbability(leave), f"away from {_name(model, leave)}", leave=leave)


def _class(model: Model, asked: Any, count: int) -> int:
    index = model.find_label(asked) if isinstance(asked, str) else asked
    if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < count:
        raise UsageError(f"class {asked!r}: an index from 0 to {count - 1}, or a label")
    return int(index)


def _name(model: Model, index: int) -> str:
    return model.label(index) or f"class {index}"


@dataclasses.dataclass(frozen=True, eq=False)
class _Changed:
    """An attacked image: as the model's input, as a picture, and its change in levels."""

    item: Item
    pixels: np.ndarray[Any, Any]
    levels: np.ndarray[Any, Any]
    notes: tuple[str, ...] = ()


def _changed(model: Model, item: Item, change: Explanation) -> _Changed:
    """The attacked input; a picture rounded to 8 bits, inside the ball."""
    delta = torch.from_numpy(np.asarray(change.values)).to(item.tensor)
    ours = model.preprocess
    if item.pictured and isinstance(ours, Preprocess) and ours.channels in (1, 3) and item.view is not None:
        view = torch.from_numpy(item.view).permute(2, 0, 1)[: ours.channels].to(torch.float64)
        moved = ours.denormalise(item.tensor.double() + delta.double()) * 255
        reach = float(np.floor(change.parameters["epsilon"]))
        pixels = (view + (moved - view).round().clamp(-reach, reach)).clamp(0, 255)
        levels = (pixels - view).float().numpy()
        picture = pixels.to(torch.uint8).expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
        scaled = (pixels / 255).to(torch.float32)
        return _Changed(dataclasses.replace(item, tensor=ours.normalise(scaled), view=picture), picture, levels)
    low, high = (end.reshape(-1, *(1 for _ in delta.shape[1:])) for end in bounds_of(model, item.tensor[None]))
    tensor = item.tensor + delta
    levels = (delta / (high - low) * 255).float().numpy()
    note = ("the input is no picture of ours: nothing was rounded to 8 bits",)
    return _Changed(dataclasses.replace(item, tensor=tensor, view=None), _picture(model, None, tensor), levels, note)


def _picture(model: Model, view: np.ndarray[Any, Any] | None, tensor: Tensor) -> np.ndarray[Any, Any]:
    """Something to look at, uint8 [H, W, 3]: the picture, or the input between its extremes."""
    if view is None:
        view = model.to_image(tensor)
    if view is None:
        shown = tensor.detach().float().cpu()
        shown = shown.reshape(shown.shape[0], -1, shown.shape[-1])[:3]
        shown = (shown - shown.amin()) / (shown.amax() - shown.amin()).clamp(min=1e-12)
        shown = shown if len(shown) == 3 else shown[:1].expand(3, -1, -1)
        view = np.ascontiguousarray(shown.mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy())
    return view


def _explained(
    model: Model,
    items: Sequence[Item],
    attacked: Sequence[_Changed],
    before: Sequence[Scored],
    after: Sequence[Scored],
    method: str | None,
    memory: int | None,
) -> list[tuple[Explanation, Explanation] | None]:
    """The top class of each image before, and after."""
    if method is None or any(scored.prediction is None for scored in (*before, *after)):
        return [None] * len(items)
    pairs: list[tuple[Explanation, Explanation] | None] = []
    settings = Settings(memory=memory)
    for item, now, first, then in zip(items, attacked, before, after, strict=True):

        def both(name: str, rows: list[Item], classes: list[int]) -> tuple[Explanation, Explanation]:
            request = Request(method=name, target=classes, settings=settings)
            was, is_now = run_plan(Plan.make(model, request, 2), rows)
            return was, is_now

        rows, classes = [item, now.item], [first.index, then.index]
        try:
            pairs.append(both("grad-cam" if method == "auto" else method, rows, classes))
        except CapabilityError:
            if method != "auto":
                raise
            pairs.append(both("saliency", rows, classes))
    return pairs


#: photos attacked together
_BATCH = 16


@dataclass(frozen=True)
class Point:
    """How many of ``count`` photos are still answered right when pixels may move by ``epsilon`` levels of 255."""

    epsilon: float
    right: int
    count: int

    @property
    def accuracy(self) -> float:
        """The share, from 0 to 1."""
        return self.right / self.count


@dataclass(frozen=True)
class Curve:
    """Accuracy against epsilon: ``points`` in order, the first at 0. ``truth`` says what right means: ``"labels"``, or
    ``"own answers"`` where nobody said what the photos show; ``failed`` are photos that could not be read, ``notes``
    what ought to be known about the others."""

    method: str
    points: tuple[Point, ...]
    truth: str
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        points = [
            {"epsilon": p.epsilon, "right": p.right, "count": p.count, "accuracy": p.accuracy} for p in self.points
        ]
        return {"method": self.method, "truth": self.truth, "points": points, "failed": list(self.failed)} | {
            "notes": list(self.notes)
        }


def robustness(
    model: Any,
    source: str | Path,
    epsilons: Sequence[float] = (1, 2, 4, 8),
    *,
    method: str = "pgd",
    columns: Mapping[str, str] | None = None,
    table: str | Path | None = None,
    images: str | Path | None = None,
    keep: str | Path | None = None,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **parameters: Any,
) -> Curve:
    """Accuracy on the photos of ``source`` against the size of an attack, judged on pictures of 8 bits.

    ``source``, ``columns``, ``table``, ``images`` and ``keep`` as for `seewhy.evaluate_model`; where nobody says what
    the photos show, right is the model's answer before the attack. A photo that falls at one epsilon counts as fallen
    at every larger one: the smaller ball lies in the larger. An answer of NaN is never right. ``method`` and
    ``parameters`` as for `seewhy.attack`. Raises `UsageError` for epsilons that are none and a source that mixes photos
    with and without a class, `CapabilityError` where no photo has a gradient to attack by: such a network stands still,
    and proves nothing.
    """
    sizes = sorted(set(epsilons))
    if not sizes or not all(isinstance(e, int | float) and 0 < e <= 255 for e in sizes):
        raise UsageError(f"epsilons={list(epsilons)}: levels above 0, at most 255, e.g. 1,2,4,8")
    wrapped = taken(model)
    told = {"columns": columns, "table": table, "images": images}
    known = known_truths(wrapped, source, None, told, "robustness", watched(progress), needed=False)
    record = None
    if keep is not None:
        asked = asked_of(wrapped, "robustness", method=method, epsilons=sizes, parameters=parameters)
        record = Record(Path(keep), asked)
    found = known.look(
        lambda seen: _stands(wrapped, seen, sizes, method, memory, parameters), at_once=_BATCH, record=record
    )
    each = [one.found for one in found]
    attacked = [one for one in each if one["stood"] is not None]
    unmoved = sum(one["unmoved"] for one in attacked)
    if attacked and unmoved == len(attacked):
        raise CapabilityError(
            f"{method} finds no gradient at the pixels of any photo: the network rounds, or cuts the graph "
            f"({CUTS}), so that it stands still says nothing; see seewhy doctor"
        )
    points = [
        Point(float(size), sum(one["stood"] >= number for one in attacked), len(each))
        for number, size in enumerate([0, *sizes])
    ]
    notes = (f"{unmoved} photos have no gradient at their pixels: they count as they answer",) if unmoved else ()
    truth = "labels" if known.told else "own answers"
    return Curve(method, tuple(points), truth, tuple(known.failed), (*known.notes, *notes))


def _stands(
    model: Model,
    seen: Sequence[Seen],
    sizes: Sequence[float],
    method: str,
    memory: int | None,
    parameters: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """How many of ``sizes`` each photo stood, in their order, None for one that is answered wrong without an attack;
    and whether one of those found no gradient."""
    said = predict_items(model, [each.item for each in seen], memory=memory)
    right = [scored.index if each.truth is None else each.truth for each, scored in zip(seen, said, strict=True)]
    found: list[dict[str, Any]] = [
        {"stood": 0 if scored.answered and scored.index == truth else None, "unmoved": False}
        for scored, truth in zip(said, right, strict=True)
    ]
    standing = [n for n, one in enumerate(found) if one["stood"] is not None]
    given = dict(parameters)
    if "stop" in registry[method].parameters and said[0].probabilities is not None:
        # a class with a smaller share than 1 / K leads no more; one unit further survives the rounding to 8 bits
        given.setdefault("stop", math.log(len(said[0].probabilities)) + 1)
    for size in sizes:
        if not standing:
            break
        items, classes = [seen[n].item for n in standing], [right[n] for n in standing]
        attacks = attack_items(model, items, method=method, target=classes, memory=memory, epsilon=size, **given)
        for n, outcome in zip(standing, attacks, strict=True):
            found[n]["unmoved"] |= outcome.status.code == "zero-gradient"
            found[n]["stood"] += not outcome.success
        standing = [n for n, outcome in zip(standing, attacks, strict=True) if not outcome.success]
    return found
