"""Attention: takes a model and images, gives what layers and heads look at as pictures, head by head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from seewhy.api.answered.records import array, cost_of, finish
from seewhy.api.answered.statuses import status_of
from seewhy.api.asked.one_or_all import all_of, one, refuse_several
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.given.images import Item, read_items
from seewhy.api.inside.checks import check_word
from seewhy.api.planned import Batch, batches
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings
from seewhy.core.network.places import ATTENTION, place_name
from seewhy.core.schedule.jobs import Answer
from seewhy.core.targets import ReadOut
from seewhy.errors import CapabilityError, UsageError
from seewhy.explanation import Gallery, Tile, columns_for
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.render import SEQUENTIAL, Colorbar, heatmap, limits, overlay, resize

__all__ = ["attention", "attention_all"]

Layer = int | str | nn.Module

#: tokens of no place whose shares are told one by one
_SAID = 16


@one(Gallery)
def attention(
    model: Model | nn.Module | str,
    image: Any,
    layer: Layer | Sequence[Layer] | None = None,
    head: int | str | Sequence[int] | None = None,
    *,
    query: int | str | tuple[int, int] | None = None,
    registers: bool = False,
    scale: str = "shared",
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Callable[[bool], list[Gallery]]:
    """What a layer of a vision transformer looks at, head by head: a `Gallery`. `attention_all` takes several images or
    layers. No target, and no head on the network, is needed.

    ``image`` as in `seewhy.explain`. ``layer`` counts the attentions that the picture reaches, from 0, negative numbers
    from the end (None: the last); a name or a submodule means the attention that runs within it. ``head``: a number,
    several, ``"mean"``, or None for all. Shown is the row of the class token, or the mean over the tokens that the
    output is read from where no token is apart from the places; ``query`` asks for another one: ``"mean"`` over all
    places, (row, column) of a place on the grid, or the number of a token. Where tokens are in the picture is proved by
    changed pictures. Colours are one scale for all heads (``scale="shared"``) or each head's own (``"each"``).

    ``values`` [n, h, w] in [0, 1] are the shares of a head's attention that places get, at the patches' resolution; a
    row sums to 1 together with what goes to tokens that are no places (class token, registers): ``arrays["elsewhere"]``
    [n, m], whose numbers are ``arrays["tokens"]`` [m]; ``registers=True`` tells each one's share in the notes. A tile's
    ``index`` is its head (None for the mean) and its ``value`` the share of all places together.

    Raises `CapabilityError` for networks without attention over the whole picture, `UsageError` for a layer, head or
    query that there is not, `UnknownName` for a name.

    Caron et al. 2021, arXiv:2104.14294, fig. 1; Darcet et al. 2023, arXiv:2309.16588.

    >>> import torch, seewhy
    >>> from torchvision.models import VisionTransformer
    >>> net = VisionTransformer(32, 8, num_layers=2, num_heads=3, hidden_dim=12, mlp_dim=16)
    >>> gallery = seewhy.attention(net, torch.rand(1, 3, 32, 32), layer=0)
    >>> gallery.values.shape, gallery.arrays["elsewhere"].shape
    ((3, 4, 4), (3, 1))
    """
    check_word("scale", scale, ("shared", "each"))
    settings = Settings(memory=memory, progress=watched(progress))

    def galleries(only: bool) -> list[Gallery]:
        wrapped = taken(model)
        items, _ = read_items(wrapped, image)
        own: dict[str, Any] = {"head": head, "query": query}
        request = Request(method="attention-maps", target=ReadOut(), parameters=own, settings=settings)
        plan = Plan.make(wrapped, request, len(items), call="attention")
        layers = [_named(plan, each) for each in _several(layer)]
        if only:
            more = f"{len(layers)} layers were asked for" if len(layers) > 1 else ""
            refuse_several("attention", "gallery", plan.several(len(items)) or more)
        plan = replace(
            plan,
            outlines=plan.outlines * len(layers),
            asked=plan.asked * len(layers),
            parameters=tuple(plan.parameters[0] | {"layer": each} for each in layers),
        )
        asked = {"registers": registers, "scale": scale}
        by_image: dict[int, list[Gallery]] = {}
        for done, drawn in batches(plan, items, lambda batch: _galleries(plan, batch, asked)):
            by_image |= dict(zip(done.indices, drawn, strict=True))
        return [gallery for index in range(len(items)) for gallery in by_image[index]]

    return galleries


attention_all = all_of(
    attention, list[Gallery], """`attention` of several images or layers: a list, image by image, then layer."""
)


def _several(layer: Layer | Sequence[Layer] | None) -> list[Layer]:
    if layer is None:
        return [-1]
    if isinstance(layer, list | tuple | range):
        if not len(layer):
            raise UsageError("no layers: the list given is empty; leave layer= out for the last")
        return list(dict.fromkeys(layer))
    return [layer]  # type: ignore[list-item]


def _named(plan: Plan, layer: Layer) -> int | str:
    """A layer's number, or its name."""
    if isinstance(layer, int) and not isinstance(layer, bool):
        return layer
    if not isinstance(layer, str | nn.Module):
        raise UsageError(
            f"layer is {type(layer).__name__}; give the number of an attention, from 0, a name or a submodule"
        )
    return place_name(plan.network.module, layer)


def _galleries(plan: Plan, batch: Batch, asked: dict[str, Any]) -> list[list[Gallery]]:
    """A list per image: one gallery for each layer."""
    answers = batch.outcome.answers
    return [
        [_gallery(plan, batch, answer, row, item, asked) for answer in answers] for row, item in enumerate(batch.items)
    ]


def _gallery(plan: Plan, batch: Batch, answer: Answer, row: int, item: Item, asked: dict[str, Any]) -> Gallery:
    found = answer.attribution
    maps, elsewhere, tokens = (
        array(found.values[row]),
        array(found.arrays["elsewhere"][row]),
        found.arrays["tokens"][row],
    )
    number, count, call = found.arrays["layer"][row].tolist()
    head, numbers = _heads(answer.job.parameters["head"], len(maps))
    if maps.ndim != 3:
        raise CapabilityError(
            f"attention draws grids of two axes; the tokens of layer {number} are places of {maps.ndim - 1}: take "
            "--method attention-rollout, whose values can be read"
        )
    shares = maps.reshape(len(maps), -1).sum(1)
    pooled = limits(list(maps), signed=False)
    ends = [limits([each], signed=False) if asked["scale"] == "each" else pooled for each in maps]
    tiles = [
        Tile(
            _pixels(item, each, end),
            (f"head {n}" if n is not None else head, f"places {share:.0%}"),
            n,
            float(share),
        )
        for each, end, n, share in zip(maps, ends, numbers, shares, strict=True)
    ]
    if item.view is not None:
        tiles.insert(0, Tile(item.view, (item.name or "input",)))
    grid, name = "×".join(map(str, maps.shape[1:])), f"{item.name}: " if item.name else ""
    doubt = batch.outcome.grids[f"{ATTENTION}#{call + 1}"].note(ATTENTION)
    done = finish(answer, None)
    return Gallery(
        title=f"{name}attention of layer {number} (0 to {count - 1}), {head}, on {grid} places",
        tiles=tuple(tiles),
        values=maps,
        columns=columns_for(len(tiles)),
        colorbar=Colorbar(SEQUENTIAL, *pooled, "share of the attention")
        if asked["scale"] == "shared" and pooled[1]
        else None,
        arrays={"elsewhere": elsewhere, "tokens": tokens.cpu().numpy()},
        notes=(
            found.notes[row],
            *_shares(shares, elsewhere, tokens.tolist(), asked["registers"]),
            "one colour scale for all heads" if asked["scale"] == "shared" else "each head has its own colour scale",
            *([doubt] if doubt else []),
            *item.notes,
            *plan.network.warned,
        ),
        status=status_of(plan.network, item, maps, float(answer.scores[row]), done, row),
        parameters={**answer.job.parameters, "layer": number, "head": head, **asked},
        cost=cost_of(answer.spent, row, len(batch.items)),
        provenance=batch.origin,
    )


def _heads(asked: int | str | Sequence[int] | None, count: int) -> tuple[str, list[int | None]]:
    """What the maps are of, in words, and the head's number of each."""
    if asked == "mean":
        return "mean over heads", [None]
    if asked is None or asked == "all":
        return f"{count} head{'' if count == 1 else 's'}", list(range(count))
    numbers = [int(head) for head in ([asked] if isinstance(asked, int) else asked)]
    return f"head{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}", [*numbers]


def _pixels(item: Item, shares: NDArray[Any], ends: tuple[float, float]) -> NDArray[np.uint8]:
    """The map over the picture, if there is one."""
    if item.view is None:
        return heatmap(shares, limits=ends, signed=False)
    height, width = item.view.shape[:2]
    return overlay(item.view, resize(shares, (height, width), "bicubic"), limits=ends)


def _shares(places: NDArray[Any], elsewhere: NDArray[Any], tokens: list[int], each: bool) -> list[str]:
    """How the attention is shared out between the picture's places and the other tokens, in words."""
    if not tokens:
        return ["all tokens are places of the picture"]
    among = f" ({places.min():.0%} to {places.max():.0%} by head)" if len(places) > 1 else ""
    who = (
        f"token {tokens[0]}, which is no place" if len(tokens) == 1 else f"the {len(tokens)} tokens that are no places"
    )
    words = [f"places have {places.mean():.0%} of the attention{among}, {who}, {elsewhere.sum(1).mean():.0%}"]
    if each:
        told = [f"{token} {share:.1%}" for token, share in zip(tokens, elsewhere.mean(0), strict=True)]
        more = f" and {len(told) - _SAID} more" if len(told) > _SAID else ""
        words.append(f"tokens that are no places, with their share: {', '.join(told[:_SAID])}{more}")
    return words
