"""Measuring: takes a model, images with maps and targets, gives what metrics say of them, every pass shared; makes no
map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.api.asked.request import Request
from seewhy.api.asked.supplies import Supplier
from seewhy.api.given.images import Item
from seewhy.core.forward.costs import Spent
from seewhy.core.forward.session import Session
from seewhy.core.forward.settings import Settings
from seewhy.core.layers.choice import read_layer
from seewhy.core.memory_budget import chunks
from seewhy.core.network.places import INPUT
from seewhy.core.schedule.attempts import attempts
from seewhy.core.schedule.engine import Engine
from seewhy.core.schedule.jobs import Job, Outline
from seewhy.core.targets import Target
from seewhy.errors import UsageError
from seewhy.explanation import Cost
from seewhy.metrics import Measure, Metric
from seewhy.models import Model

__all__ = ["measured"]


def measured(
    model: Model,
    items: Sequence[Item],
    values: Sequence[Tensor],
    targets: Sequence[Target],
    asked: Sequence[tuple[Metric, Mapping[str, Any]]],
    *,
    fill: Any = None,
    settings: Settings | None = None,
) -> tuple[list[list[Measure]], Cost]:
    """What each of the metrics ``asked``, with parameters, says of each of ``values`` [*size], the map of the image at
    the same place of ``items``, for its own target: by image, then metric; and what that took.

    An image may come several times, with several maps. All inputs have one shape. Raises `UsageError` for a map of
    another size than its image.
    """
    settings = settings or Settings()
    for item, one in zip(items, values, strict=True):
        if one.shape != item.tensor.shape[1:]:
            raise UsageError(
                f"a map of {tuple(one.shape)} and an image of {tuple(item.tensor.shape[1:])}: give maps of the image's "
                "size (Explanation.map)"
            )
    network, found, spent = model.network(), dict[int, list[Measure]](), Spent()
    outlines = [Outline(metric.method, INPUT) for metric, _ in asked]
    for attempt in attempts(network, settings):
        found.clear()
        with attempt, network.borrowed() as call:
            for chunk in chunks(len(items), attempt.settings.budget(first=32), recorded=False):
                some = range(len(items))[chunk.start : chunk.stop]
                with chunk:
                    x = network.like(torch.stack([items[i].tensor for i in some]))
                    maps = torch.stack([values[i] for i in some]).double()
                    request = Request(fill=fill)
                    supplier = Supplier(model, x, [items[i] for i in some], request)
                    wanted = tuple(targets[i] for i in some)
                    session = Session(network, call, x, attempt.settings, reader=read_layer)
                    with Engine(session, attempt.lost) as engine:
                        engine.open(outlines)
                        jobs = [
                            Job(outline, wanted, {**metric.parameters, **given}, _supplies(metric, supplier, maps))
                            for outline, (metric, given) in zip(outlines, asked, strict=True)
                        ]
                        outcome = engine.run(jobs)
                    spent = spent.united(outcome.spent)
                    attempt.done.append(outcome.spent)
                    told = [
                        metric.told(answer.attribution, maps)
                        for (metric, _), answer in zip(asked, outcome.answers, strict=True)
                    ]
                    found |= {i: [column[n] for column in told] for n, i in enumerate(some)}
    return [found[i] for i in range(len(items))], Cost(spent.forwards, spent.backwards, spent.checks, spent.seconds)


def _supplies(metric: Metric, supplier: Supplier, maps: Tensor) -> dict[str, Any]:
    given: dict[str, Any] = {"values": maps.nan_to_num(0.0, 0.0, 0.0)}
    if "fill" in metric.requires:
        given["fill"] = supplier.fill(metric.method)
    return given
