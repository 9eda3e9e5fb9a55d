"""Factors: takes a model and images, gives the patterns that a layer's activations on them are made of, and where each
is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seewhy.api.answered.records import array
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.explaining import Batch, batches
from seewhy.api.given.images import Item, read_items, same_shape
from seewhy.api.inside.checks import check_grid
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings
from seewhy.core.network.layouts import Reshape
from seewhy.core.network.places import AUTO
from seewhy.core.schedule.jobs import Outline
from seewhy.errors import CapabilityError, TargetError, UsageError
from seewhy.explanation import Cost, Gallery, Tile
from seewhy.methods._factoring import shares_of
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.registry import Method, Need
from seewhy.registry import methods as registry
from seewhy.render import hues, limits, tinted

__all__ = ["factors"]


def factors(
    model: Model | nn.Module | str,
    images: Any,
    layer: str | nn.Module | None = None,
    *,
    rank: int = 6,
    reshape: Reshape | None = None,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **parameters: Any,
) -> Gallery:
    """The ``rank`` patterns that a layer's activations on some images are made of: a `Gallery` with a row an image, of
    the photo, all factors, and each of them in its colour.

    ``images`` and ``layer`` (None: the one chosen for CAMs), ``reshape`` and ``memory`` as in `seewhy.explain`; one
    image or several of one size. The positive part of the activations [images x positions, channels] is factorised
    into maps and directions without negative numbers. Factors come in the order of their share of the activation's
    total, and are drawn in the same colour and scale in every row. Further ``parameters`` are the method's: ``steps``,
    ``tolerance``.

    ``values`` [N, rank, h, w] >= 0 are the maps, in the activation's units; ``arrays["directions"]`` [rank, C] say
    which channels make up a factor (length one), ``arrays["shares"]`` [rank] what part of the activation it has. A
    tile's ``index`` is its factor (from 0) and its ``value`` the share within that image. ``notes`` hold the relative
    error and how much of the activation was negative and left out. Nothing is random. Raises `UsageError` for a rank
    that cannot be and for images of several sizes, `CapabilityError` for layers without a grid.

    Olah et al. 2018, doi:10.23915/distill.00010.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> seewhy.factors(net, torch.rand(2, 3, 8, 8), layer="1", rank=2).values.shape
    (2, 2, 6, 6)
    """
    began = time.perf_counter()
    wrapped = taken(model)
    items, _ = read_items(wrapped, images)
    settings = Settings(reshape, memory=memory, progress=watched(progress))
    request = Request(method="factors", layer=layer, parameters={"rank": rank, **parameters}, settings=settings)
    plan = Plan.make(wrapped, request, len(items), call="factors")
    if len(plan.outlines) != 1:
        raise UsageError(f"factors takes one layer; got {len(plan.outlines)}: ask for one at a time")
    if len(list(same_shape(items))) > 1:
        raise UsageError("factors are of images of one size; make the inputs equally large")
    activation, place, cost, origin = _activations(plan, items)
    check_grid(wrapped, plan.network.like(items[0].tensor[None]), "factors", place, tuple(activation.shape))
    if not bool(activation.isfinite().all()):
        raise CapabilityError(f"factors: layer {place!r} puts out NaN or infinity; check the weights and the images")
    maps, directions, shares, error, sweeps = registry["factors"].formula(activation, **plan.parameters[0])
    values, parts = array(maps), array(shares)
    tiles = _tiles(items, values, parts, _shares_within(activation, maps, directions))
    ended = f"after {sweeps} sweeps{' (the most allowed)' if sweeps == plan.parameters[0]['steps'] else ''}"
    return Gallery(
        title=f"{wrapped.name}: {rank} factors of {place} on {len(items)} image{'' if len(items) == 1 else 's'}",
        tiles=tuple(tiles),
        values=values,
        columns=len(tiles) // len(items),
        cell=160,
        arrays={"directions": array(directions), "shares": parts},
        notes=(
            f"relative error {error:.3g} {ended}",
            _left_out(activation),
            "a factor has one colour and one scale in all rows; shares are of the activation's total, and what factors "
            "make too much is nobody's",
            *dict.fromkeys(note for item in items for note in item.notes),
            *plan.network.warned,
        ),
        parameters={"layer": place, **plan.parameters[0]},
        cost=Cost(cost.forwards, cost.backwards, 0, time.perf_counter() - began),
        provenance=origin,
    )


def _shares_within(activation: Tensor, maps: Tensor, directions: Tensor) -> NDArray[Any]:
    """What part of each image's activation each factor accounts for, [N, rank]."""
    rows = activation.clamp(min=0).flatten(2).movedim(1, -1).to(maps)
    return np.stack(
        [array(shares_of(own, some.flatten(1).T, directions.to(maps))) for own, some in zip(rows, maps, strict=True)]
    )


def _left_out(activation: Tensor) -> str:
    """What part of the activation's size is below zero, in words."""
    total, below = float(activation.abs().sum()), float(activation.clamp(max=0).abs().sum())
    return f"{below / total:.0%} of the activation is negative and left out" if below else "no activation is negative"


def _activations(plan: Plan, items: Sequence[Item]) -> tuple[Tensor, str, Cost, Any]:
    """The activations of all images [N, C, *positions], the layer they are of, what they cost and where they come
    from."""
    card = replace(registry["factors"].card, needs=frozenset({Need.ACTIVATION}))
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
    except TargetError as error:
        raise TargetError(
            f"no layer can be chosen for this model, whose output is no row of class scores; name one with layer= "
            f"(seewhy layers). In full: {error}"
        ) from error
    return torch.cat(rows), place, cost, origin


def _tiles(
    items: Sequence[Item],
    maps: NDArray[Any],
    shares: NDArray[Any],
    within: NDArray[Any],
) -> list[Tile]:
    """A row an image: the photo if there is one, all factors, each factor with its share ``within`` that image."""
    rank = maps.shape[1]
    colours = hues(rank)
    tops = [limits([maps[:, k]], signed=False)[1] for k in range(rank)]
    tiles = []
    for item, own_maps, here in zip(items, maps, within, strict=True):
        if any(other.view is not None for other in items):
            tiles.append(Tile(_ground(item), (item.name or "input",)))
        tiles.append(Tile(tinted(item.view, list(own_maps), colours, tops), ("all factors",)))
        for k in range(rank):
            words = f"share {here[k]:.0%}" + (f" here, {shares[k]:.0%} of all" if len(items) > 1 else "")
            pixels = tinted(item.view, [own_maps[k]], colours[k : k + 1], tops[k : k + 1])
            tiles.append(Tile(pixels, (f"factor {k + 1}", words), k, float(here[k])))
    return tiles


def _ground(item: Item) -> NDArray[np.uint8]:
    """The photo, or a white square where one image of several has none."""
    return np.full((8, 8, 3), 255, dtype=np.uint8) if item.view is None else item.view
