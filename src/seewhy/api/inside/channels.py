"""Feature maps: takes a model and images, gives each layer's channels as pictures, those that speak for the target
first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from seewhy.api.inside.checks import check_count, check_grid, check_word
from seewhy.api.planned import Batch, batches
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings
from seewhy.core.network.layouts import Reshape
from seewhy.core.schedule.jobs import Answer
from seewhy.explanation import Gallery, Tile, columns_for
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.render import DIVERGING, SEQUENTIAL, Colorbar, heatmap, limits

__all__ = ["feature_maps", "feature_maps_all"]

_ORDERS = ("evidence", "magnitude", "index")

_WORDS = {
    "evidence": "strongest support for the target first",
    "magnitude": "strongest evidence for or against the target first",
    "index": "in the order of the layer",
}


@one(Gallery)
def feature_maps(
    model: Model | nn.Module | str,
    image: Any,
    layer: str | nn.Module | Sequence[str | nn.Module] | None = None,
    target: Any = None,
    *,
    top: int = 32,
    order: str = "evidence",
    scale: str = "shared",
    reshape: Reshape | None = None,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Callable[[bool], list[Gallery]]:
    """The channels of a layer as a grid of pictures, those that speak for the target first. `feature_maps_all` takes
    several images, layers or targets.

    ``image``, ``layer`` (None: the one chosen for CAMs), ``target``, ``reshape`` and ``memory`` as in
    `seewhy.explain`. A channel's evidence is the sum over positions of gradient x activation, in score units; tiles
    come in its order, strongest support first (``order="evidence"``), by its size (``"magnitude"``) or as in the layer
    (``"index"``), ``top`` of them at most. Colours are one scale for all channels (``scale="shared"``) or each
    channel's own (``"each"``); sequential, or diverging about 0 where the activations have both signs.

    ``values`` [n, h, w] are the activations shown, in their order, at the layer's own resolution; a tile's ``index`` is
    its channel and its ``value`` the evidence; ``arrays["evidence"]`` [C] is that of all channels. Raises
    `CapabilityError` for layers without a grid of two axes, and what `seewhy.explain` raises.

    Zeiler & Fergus 2013, arXiv:1311.2901.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))
    >>> gallery = seewhy.feature_maps(net, torch.rand(1, 3, 8, 8), layer="0", target=1, top=2)
    >>> gallery.values.shape, gallery.arrays["evidence"].shape
    ((2, 6, 6), (4,))
    """
    asked = {"top": check_count("top", top), "order": check_word("order", order, _ORDERS)}
    asked["scale"] = check_word("scale", scale, ("shared", "each"))
    settings = Settings(reshape, memory=memory, progress=watched(progress))
    request = Request(method="feature-maps", target=target, layer=layer, settings=settings)

    def galleries(only: bool) -> list[Gallery]:
        wrapped = taken(model)
        items, _ = read_items(wrapped, image)
        plan = Plan.make(wrapped, request, len(items), call="features")
        if only:
            refuse_several("feature_maps", "gallery", plan.several(len(items)))
        by_image: dict[int, list[Gallery]] = {}
        for done, drawn in batches(plan, items, lambda batch: _galleries(plan, batch, asked)):
            by_image |= dict(zip(done.indices, drawn, strict=True))
        return [gallery for index in range(len(items)) for gallery in by_image[index]]

    return galleries


feature_maps_all = all_of(
    feature_maps,
    list[Gallery],
    """`feature_maps` of several images, layers or targets: a list, image by image, then layer, then target.""",
)


def _galleries(plan: Plan, batch: Batch, asked: dict[str, Any]) -> list[list[Gallery]]:
    """A list per image: one gallery for each layer and target."""
    for answer in batch.outcome.answers:
        shape = tuple(answer.attribution.values.shape)
        check_grid(plan.model, plan.network.like(batch.items[0].tensor[None]), "feature-maps", answer.place, shape)
    return [
        [_gallery(plan, batch, answer, row, item, asked) for answer in batch.outcome.answers]
        for row, item in enumerate(batch.items)
    ]


def _gallery(plan: Plan, batch: Batch, answer: Answer, row: int, item: Item, asked: dict[str, Any]) -> Gallery:
    assert answer.attribution.evidence is not None
    done = finish(answer, None, values=answer.attribution.evidence)
    evidence, maps = array(done.values[row]), array(answer.attribution.values[row])
    chosen = _chosen(evidence, asked["order"])[: asked["top"]]
    values, score = maps[chosen], float(answer.scores[row])
    signed = bool((values < 0).any())
    pooled = limits(list(values), signed=signed)
    ranges = [limits([one], signed=signed) if asked["scale"] == "each" else pooled for one in values]
    tiles = [
        Tile(
            heatmap(one, signed=signed, limits=ends),
            (f"channel {channel}", f"evidence {evidence[channel]:+.3g}"),
            int(channel),
            float(evidence[channel]),
        )
        for channel, one, ends in zip(chosen, values, ranges, strict=True)
    ]
    if item.view is not None:
        tiles.insert(0, Tile(item.view, (item.name or "input",)))
    what = answer.job.targets[row].describe(plan.model.label)
    unit = answer.job.targets[row].unit(batch.outcome.outputs) or "score"
    grid = "×".join(map(str, maps.shape[1:]))
    name = f"{item.name}: " if item.name else ""
    return Gallery(
        title=f"{name}{answer.place}, {len(maps)} channels of {grid}, for {what} ({unit} {score:.3g})",
        tiles=tuple(tiles),
        values=values,
        columns=columns_for(len(tiles)),
        colorbar=Colorbar(DIVERGING if signed else SEQUENTIAL, *pooled, "activation")
        if asked["scale"] == "shared" and pooled[1]
        else None,
        arrays={"evidence": evidence},
        notes=(*_notes(evidence, chosen, asked), *item.notes, *plan.network.warned),
        status=status_of(plan.network, item, evidence, score, done, row),
        parameters={"layer": answer.place, "target": what, "unit": unit, **asked},
        cost=cost_of(answer.spent, row, len(batch.items)),
        provenance=batch.origin,
    )


def _chosen(evidence: NDArray[Any], order: str) -> NDArray[np.intp]:
    """Channels in the order asked for; equal ones as in the layer, those that are not finite last."""
    keys = {"evidence": -evidence, "magnitude": -np.abs(evidence), "index": np.arange(len(evidence))}
    return np.argsort(keys[order], kind="stable")


def _notes(evidence: NDArray[Any], chosen: NDArray[np.intp], asked: dict[str, Any]) -> tuple[str, ...]:
    number = f"{len(chosen)} of {len(evidence)} channels" if len(chosen) < len(evidence) else "all channels"
    colours = "one colour scale for all" if asked["scale"] == "shared" else "each channel has its own colour scale"
    return (
        f"{number}, {_WORDS[asked['order']]}",
        f"evidence is gradient x activation, summed: {evidence[chosen].sum():+.3g} in these, "
        f"{evidence.sum():+.3g} in all",
        colours,
    )
