"""Factors: takes a model and images, gives the patterns that a layer's activations on them are made of, and where each
is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from seewhy.api.answered.records import array
from seewhy.api.given.images import Item
from seewhy.api.inside.gathering import gathered, ground
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings
from seewhy.core.network.layouts import Reshape
from seewhy.explanation import Gallery, Tile
from seewhy.methods._factoring import shares_of
from seewhy.models import Model
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
    settings = Settings(reshape, memory=memory, progress=watched(progress))
    found = gathered("factors", model, images, layer, {"rank": rank, **parameters}, settings)
    activation, place, items, own = found.activation, found.place, found.items, found.parameters
    maps, directions, shares, error, sweeps = registry["factors"].formula(activation, **own)
    values, parts = array(maps), array(shares)
    tiles = _tiles(items, values, parts, _shares_within(activation, maps, directions))
    ended = f"after {sweeps} sweeps{' (the most allowed)' if sweeps == own['steps'] else ''}"
    return Gallery(
        title=f"{found.model.name}: {rank} factors of {place} on {len(items)} image{'' if len(items) == 1 else 's'}",
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
            *found.notes,
        ),
        parameters={"layer": place, **own},
        cost=replace(found.cost, seconds=time.perf_counter() - began),
        provenance=found.origin,
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
            tiles.append(Tile(ground(item), (item.name or "input",)))
        tiles.append(Tile(tinted(item.view, list(own_maps), colours, tops), ("all factors",)))
        for k in range(rank):
            words = f"share {here[k]:.0%}" + (f" here, {shares[k]:.0%} of all" if len(items) > 1 else "")
            pixels = tinted(item.view, [own_maps[k]], colours[k : k + 1], tops[k : k + 1])
            tiles.append(Tile(pixels, (f"factor {k + 1}", words), k, float(here[k])))
    return tiles
