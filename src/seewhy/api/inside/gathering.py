"""Gathering: takes a model and images, gives a layer's activations on all of them together, for whatever is made of
several images at once; makes nothing of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.given.images import Item, read_items, same_shape
from seewhy.api.inside.checks import check_grid
from seewhy.api.planned import Batch, batches
from seewhy.core.forward.settings import Settings
from seewhy.core.network.places import AUTO
from seewhy.core.schedule.jobs import Outline
from seewhy.errors import CapabilityError, TargetError, UsageError
from seewhy.explanation import Cost
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.registry import Method, Need
from seewhy.registry import methods as registry

__all__ = ["Gathered", "gathered", "ground"]


@dataclass(frozen=True, eq=False)
class Gathered:
    """The activations of all ``items`` [N, C, h, w] at the layer ``place`` of ``model``, the ``parameters`` of the
    method that they are for, what has to be said of them, what they cost and where they come from."""

    model: Model
    items: list[Item]
    activation: Tensor
    place: str
    parameters: Mapping[str, Any]
    notes: tuple[str, ...]
    cost: Cost
    origin: Mapping[str, Any]


def gathered(
    method: str,
    model: Model | nn.Module | str,
    images: Any,
    layer: str | nn.Module | None,
    parameters: Mapping[str, Any],
    settings: Settings,
) -> Gathered:
    """What ``method`` is handed: one layer's activations on images of one size.

    Raises `UsageError` for several layers and sizes, `CapabilityError` for layers without a grid of two axes and for
    numbers that are not finite.
    """
    wrapped = taken(model)
    items, _ = read_items(wrapped, images)
    request = Request(method=method, layer=layer, parameters=parameters, settings=settings)
    plan = Plan.make(wrapped, request, len(items), call=registry[method].card.call)
    if len(plan.outlines) != 1:
        raise UsageError(f"{method} takes one layer; got {len(plan.outlines)}: ask for one at a time")
    if len(list(same_shape(items))) > 1:
        raise UsageError(f"{method} are of images of one size; make the inputs equally large")
    activation, place, cost, origin = _activations(plan, items, method)
    check_grid(wrapped, plan.network.like(items[0].tensor[None]), method, place, tuple(activation.shape))
    if not bool(activation.isfinite().all()):
        raise CapabilityError(f"{method}: layer {place!r} puts out NaN or infinity; check the weights and the images")
    notes = (*dict.fromkeys(note for item in items for note in item.notes), *plan.network.warned)
    return Gathered(wrapped, items, activation, place, plan.parameters[0], notes, cost, origin)


def _activations(plan: Plan, items: Sequence[Item], method: str) -> tuple[Tensor, str, Cost, Any]:
    """The activations of all images [N, C, *positions], the layer they are of, what they cost and where they come
    from."""
    card = replace(registry[method].card, needs=frozenset({Need.ACTIVATION}))
    look = Method(card, lambda activation: activation, {}, ("activation",), "")
    place = plan.outlines[0].place
    # no class matters: the score of a job about a layer is that layer's mean
    outline = Outline(look, place, about="" if place == AUTO else place)
    gathering = replace(plan, outlines=(outline,), parameters=({},))

    seen: set[int] = set()

    def kept(batch: Batch) -> tuple[Tensor, str]:
        (answer,) = batch.outcome.answers
        seen.update(batch.indices)
        plan.settings.progress("images", len(seen), len(items))
        return answer.attribution.values.detach(), answer.place

    rows, cost, origin = [], Cost(), {}
    try:
        for done, (values, chosen) in batches(gathering, items, kept):
            rows.append(values)
            place = chosen
            cost += Cost(done.spent.forwards, done.spent.backwards)
            origin = dict(done.origin)
    except (TargetError, CapabilityError) as error:
        if outline.place != AUTO:
            raise
        raise TargetError(
            f"no layer can be chosen for this model; name one with layer= (seewhy layers). In full: {error}"
        ) from error
    return torch.cat(rows), place, cost, origin


def ground(item: Item) -> NDArray[np.uint8]:
    """The photo, or a white square where one image of several has none."""
    return np.full((8, 8, 3), 255, dtype=np.uint8) if item.view is None else item.view
