"""Cards: takes a model, an image and anybody's map, or explanations as they were made, gives how far to believe each
of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seewhy.api.asked.plan import Plan
from seewhy.api.asked.settled import Settled
from seewhy.api.asked.targets import Wanted
from seewhy.api.given.images import Item, read_items
from seewhy.api.measuring import answered
from seewhy.api.planned import run_plan
from seewhy.api.trusting import judging
from seewhy.api.trusting.held import Held, held
from seewhy.api.trusting.own import own_measures
from seewhy.api.trusting.references import Comparing, at_input
from seewhy.api.waiting import watched
from seewhy.core.forward.sameness import DRAWS
from seewhy.core.forward.settings import Settings, when
from seewhy.core.network.borrowed import warning_once
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError, UsageError
from seewhy.explanation import Cost, Evidence, Explanation, Explanations, Prediction, Trust
from seewhy.metrics._metric import numbers
from seewhy.models import Model
from seewhy.models.loader import taken

__all__ = ["explained_with_trust", "trust"]


#: said of a map that was asked for with a card and has none
_CARDLESS = (
    "no card: one is about one map of one target, by places of the input; not of contrasts, of several layers in one "
    "map, of layers' means, of matrices and units"
)


@warning_once()
def trust(
    model: Model | nn.Module | Callable[[Tensor], Any] | str,
    image: Any,
    map: Any,
    target: Any = None,
    *,
    seed: int = 0,
    prepare: bool | str = "auto",
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Trust:
    """How far to believe a map of ``image`` [*size], whoever made it: a `Trust`.

    ``model``, ``image``, ``target``, ``prepare`` and ``memory`` as in `seewhy.explain`; one image, one target (None for
    its top class). ``map`` is an array or a tensor of signed numbers as large as the model's input, [H, W] of a
    picture: larger means that a place speaks for the target. Nothing is read from it but its values. Random maps with
    the same values and nearly the same power spectrum, drawn from ``seed``, the photo's edges, a bump in the middle and
    maps of networks with weights in another order are measured in the same passes.

    What is measured: which score is left when the map's strongest, and when its weakest places are hidden, behind a
    blur and behind the mean colour; and how it agrees with what hiding single cells does, and with HiRes-CAM and
    integrated gradients or, where the model gives no gradients, with what hiding random halves does. Definitions,
    thresholds and how often they are wrong: ``docs/trust.md``.

    Raises `UsageError` for a map of another size, for several images or targets, and what `seewhy.explain` raises.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 2))
    >>> card = seewhy.trust(net, torch.rand(1, 3, 8, 8), torch.rand(8, 8), target=1)
    >>> card.level in ("green", "amber", "red"), card["gain"].controls["random"].shape
    (True, (20,))
    """
    wrapped = taken(model)
    items, _ = read_items(wrapped, image)
    if len(items) != 1:
        raise UsageError(f"{len(items)} images were given: a card is about one map of one image")
    settings = Settings(memory=memory, prepare=when(prepare), progress=watched(progress))
    values = _read(map, tuple(items[0].tensor.shape[1:]))
    settled = Settled(Wanted(wrapped, target, 1), [0])
    notes: list[str] = []
    _, (prediction,), cost = answered(wrapped, items, settled, [], lambda *_: {}, settings=settings, notes=notes)
    if len(settled.rows[0]) != 1:
        raise UsageError(f"target={target!r} means {len(settled.rows[0])} targets: a card is about a map of one")
    (aim,) = settled.rows[0]
    (found,), spent = held(Comparing(wrapped, settings, seed), items[0], aim, [values], seed=seed)
    if isinstance(found, str):
        return judging.nothing(found)
    return judging.card([*_measures(found, prediction, aim, "score"), *_drawn(notes)], cost + spent)


@warning_once()
def explained_with_trust(plan: Plan, items: Sequence[Item], *, partial: bool = False) -> Explanations:
    """What `run_plan` gives, each explanation with its card. As far as an interruption let it, for whoever takes
    ``partial`` results: maps that were made are there, without their card."""
    settled = Settled(plan.wanted, range(len(items)))
    made = run_plan(replace(plan, wanted=settled), items, partial=partial)
    if made.interrupted:
        return made
    comparing = Comparing(plan.model, replace(plan.settings, differentiable=False))
    each = len(made) // len(items)
    done: list[Explanation] = []
    cost, interrupted = made.cost, False
    for n, item in enumerate(items):
        own = made[n * each : (n + 1) * each]
        targets = settled.rows[n]
        try:
            cards, spent = _cards(plan, comparing, item, own, [targets[k % len(targets)] for k in range(each)])
        except KeyboardInterrupt:
            if not partial:
                raise
            done += made[n * each :]
            interrupted = True
            break
        cost += spent
        done += [
            replace(one, trust=card, notes=one.notes if card else (*one.notes, _CARDLESS))
            for one, card in zip(own, cards, strict=True)
        ]
    return Explanations(done, cost=cost, interrupted=interrupted)


def _cards(
    plan: Plan, comparing: Comparing, item: Item, own: Sequence[Explanation], targets: Sequence[Target]
) -> tuple[list[Trust | None], Cost]:
    """A card for each explanation of one image; None for what is no map of the input."""
    cards: list[Trust | None] = [None] * len(own)
    maps: dict[int, Tensor] = {}
    if len(own) % len(plan.outlines) or plan.request.contrast is not None:
        return cards, Cost()  # several layers in one map, or two classes: no plan of ours makes it again
    many = len(own) // len(plan.outlines)
    for k, one in enumerate(own):
        if plan.outlines[k // many].about:  # of a layer's mean, which no class is the target of
            continue
        try:
            maps[k] = at_input(one)
        except CapabilityError:  # attention matrices, units of a dense layer: no map of the input to be judged
            continue
    cost = Cost()
    for nth in dict.fromkeys(k % many for k in maps):
        target, these = targets[nth], [k for k in maps if k % many == nth]
        found, spent = held(comparing, item, target, [maps[k] for k in these])
        each = Cost(spent.forwards, spent.backwards, spent.checks, spent.seconds / max(1, len(these)))
        cost += spent
        for k, measured in zip(these, found, strict=True):
            if isinstance(measured, str):
                cards[k] = judging.nothing(str(own[k].status) if not own[k].status.ok else measured)
                continue
            mine, more = own_measures(plan, comparing, item, own[k], target, k // many, cache=plan.request.cache)
            cost += more
            measures = _measures(measured, own[k].prediction, target, own[k].unit or "score")
            cards[k] = judging.card([*measures, *mine, *_drawn(own[k].notes)], each + more)
    return cards, cost


def _measures(found: Held, prediction: Prediction | None, target: Target, unit: str) -> list[Evidence]:
    return [*judging.about(found, unit), *judging.of_the_model(prediction, target.index)]


def _drawn(notes: Iterable[str]) -> list[Evidence]:
    """That a model gives other numbers the next time, where it does: so do all measures."""
    return [Evidence("repeat", math.nan, note) for note in notes if note.startswith(DRAWS)]


def _read(map: Any, size: tuple[int, ...]) -> Tensor:
    values = numbers(np.asarray(map) if isinstance(map, Explanation) else map, "a map").cpu()
    if values.dtype == torch.bool or tuple(values.shape) != size:
        raise UsageError(
            f"a map of {tuple(values.shape)} {str(values.dtype).removeprefix('torch.')} and an input of {size}: give "
            "real numbers, one for each position of the model's input (Explanation.map; seewhy.render.resize enlarges)"
        )
    return values.double()
