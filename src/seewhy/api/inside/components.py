"""Principal components: takes a model and images, gives what a layer takes for alike in them as colours."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from seewhy.api.answered.records import array
from seewhy.api.given.images import Item
from seewhy.api.inside.gathering import gathered, ground
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings
from seewhy.core.network.layouts import Reshape
from seewhy.explanation import Gallery, Tile
from seewhy.models import Model
from seewhy.registry import methods as registry
from seewhy.render import heatmap, limits, relief, resize

__all__ = ["principal_components"]

_COLOURS = ("red", "green", "blue")


def principal_components(
    model: Model | nn.Module | str,
    images: Any,
    layer: str | nn.Module | None = None,
    *,
    rank: int = 3,
    reshape: Reshape | None = None,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Gallery:
    """The ``rank`` directions in which a layer's positions on some images differ most: a `Gallery` with a row an image,
    of the photo, the first three components as red, green and blue, and each of them alone.

    ``images`` and ``layer`` (None: the one chosen for CAMs, with no need of classes), ``reshape`` and ``memory`` as in
    `seewhy.explain`; one image or several of one size, whose positions are taken together, so that like colours mean
    like activations in all rows. Mid-grey is the mean of all positions; each component's colours end at the percentile
    of its magnitudes that all pictures end at. A component's sign means nothing, and is the same every time.

    ``values`` [N, rank, h, w] say how far each position lies along a component, in the activation's units;
    ``arrays["directions"]`` [rank, C] are the components (length one), ``arrays["shares"]`` [rank] their part of the
    variance. A tile's ``index`` is its component (from 0), its ``value`` that share. Raises `UsageError` for a rank
    that cannot be and for images of several sizes, `CapabilityError` for layers without a grid.

    Oquab et al. 2023, arXiv:2304.07193, fig. 1 (without its threshold that cuts the ground off).

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> seewhy.principal_components(net, torch.rand(2, 3, 8, 8), layer="1").values.shape
    (2, 3, 6, 6)
    """
    began = time.perf_counter()
    settings = Settings(reshape, memory=memory, progress=watched(progress))
    found = gathered("principal-components", model, images, layer, {"rank": rank}, settings)
    maps, directions, shares = registry["principal-components"].formula(found.activation, **found.parameters)
    values, parts = array(maps), array(shares)
    tiles, count = _tiles(found.items, values, parts), len(found.items)
    nothing = int((parts == 0).sum())
    return Gallery(
        title=f"{found.model.name}: {rank} principal component{'' if rank == 1 else 's'} of {found.place} on {count} "
        f"image{'' if count == 1 else 's'}",
        tiles=tuple(tiles),
        values=values,
        columns=len(tiles) // count,
        cell=160,
        arrays={"directions": array(directions), "shares": parts},
        notes=(
            f"these components have {parts.sum():.0%} of the variance; mid-grey is the mean of all positions",
            "a component has one scale in all rows; its sign means nothing",
            *([f"{nothing} of them are 0 everywhere: the activation has no more"] if nothing else []),
            *found.notes,
        ),
        parameters={"layer": found.place, **found.parameters},
        cost=replace(found.cost, seconds=time.perf_counter() - began),
        provenance=found.origin,
    )


def _tiles(items: Sequence[Item], maps: NDArray[Any], shares: NDArray[Any]) -> list[Tile]:
    """A row an image: the photo if there is one, the first components in colour, each component."""
    rank = maps.shape[1]
    tops = np.array([limits([maps[:, k]], signed=True)[1] for k in range(rank)])
    # a component of nothing stays grey
    scaled = maps / np.where(tops > 0, tops, 1)[:, None, None]
    shown = min(rank, len(_COLOURS))
    tiles = []
    for item, own, parts in zip(items, maps, scaled, strict=True):
        if any(other.view is not None for other in items):
            tiles.append(Tile(ground(item), (item.name or "input",)))
        colours = np.zeros((len(_COLOURS), *parts.shape[1:]))
        colours[:shown] = parts[:shown]
        size = own.shape[1:] if item.view is None else item.view.shape[:2]
        tiles.append(
            Tile(
                relief(colours, limit=1.0, size=(size[0], size[1])),
                (f"1 to {shown} in colour" if shown > 1 else "in colour",),
            )
        )
        for k, (component, top) in enumerate(zip(own, tops, strict=True)):
            drawn = resize(component, (size[0], size[1]), "bicubic")
            words = (
                f"component {k + 1}" + (f" ({_COLOURS[k]})" if k < shown else ""),
                f"{shares[k]:.0%} of the variance",
            )
            tiles.append(Tile(heatmap(drawn, signed=True, limits=(-top, top)), words, k, float(shares[k])))
    return tiles
