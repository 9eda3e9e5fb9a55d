"""Measuring: takes a model, images with maps and targets, gives what metrics say of them, every pass shared; makes no
map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.api.answered.records import predictions
from seewhy.api.asked.request import Request
from seewhy.api.asked.supplies import Supplier
from seewhy.api.asked.targets import Wanted
from seewhy.api.given.images import Item
from seewhy.core.asks import Attribution
from seewhy.core.forward.costs import Spent
from seewhy.core.forward.session import Session
from seewhy.core.forward.settings import Settings
from seewhy.core.layers.choice import read_layer
from seewhy.core.memory_budget import chunks
from seewhy.core.network.outputs import Outputs
from seewhy.core.network.places import INPUT
from seewhy.core.schedule.attempts import attempts
from seewhy.core.schedule.engine import Engine
from seewhy.core.schedule.jobs import Job, Outline
from seewhy.core.targets import Target
from seewhy.errors import UsageError
from seewhy.explanation import Cost, Prediction
from seewhy.metrics import Measure, Metric
from seewhy.models import Model
from seewhy.registry import Method

__all__ = ["Answered", "answered", "measured"]


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
    for item, one in zip(items, values, strict=True):
        if one.shape != item.tensor.shape[1:]:
            raise UsageError(
                f"a map of {tuple(one.shape)} and an image of {tuple(item.tensor.shape[1:])}: give maps of the image's "
                "size (Explanation.map)"
            )

    def supplies(method: Method, supplier: Supplier, some: Sequence[int]) -> Mapping[str, Any]:
        given: dict[str, Any] = {"values": _stacked(values, some).nan_to_num(0.0, 0.0, 0.0)}
        return given | ({"fill": supplier.fill(method)} if "fill" in by_name[method.name].requires else {})

    by_name = {metric.name: metric for metric, _ in asked}
    jobs = [(metric.method, {**metric.parameters, **given}) for metric, given in asked]
    columns, _, cost = answered(model, items, targets, jobs, supplies, fill=fill, settings=settings)
    told: list[list[Measure]] = [[] for _ in items]
    for (metric, _), column in zip(asked, columns, strict=True):
        for some, attribution in column:
            for i, measure in zip(some, metric.told(attribution, _stacked(values, some)), strict=True):
                told[i].append(measure)
    return told, cost


Supplies = Callable[[Method, Supplier, Sequence[int]], Mapping[str, Any]]
#: what a formula gave of some images, by their numbers
Answered = list[tuple[Sequence[int], Attribution]]


def answered(
    model: Model,
    items: Sequence[Item],
    targets: Sequence[Target] | Wanted,
    jobs: Sequence[tuple[Method, Mapping[str, Any]]],
    supplies: Supplies,
    *,
    fill: Any = None,
    settings: Settings | None = None,
    notes: list[str] | None = None,
) -> tuple[list[Answered], list[Prediction | None], Cost]:
    """What each formula of ``jobs``, with its parameters, gives of ``items``, each for its own target: by formula, then
    as many images at a time as fit into memory; what the model says of each image; and what that took. All inputs have
    one shape. What is to be known of the network is added to ``notes``."""
    settings = settings or Settings()
    network, spent = model.network(), Spent()
    outlines = [Outline(method, INPUT) for method, _ in jobs]
    found: list[Answered] = [[] for _ in jobs]
    said: list[Prediction | None] = []
    for attempt in attempts(network, settings):
        for column in found:
            column.clear()
        said.clear()
        with attempt, network.borrowed() as call:
            for chunk in chunks(len(items), attempt.settings.budget(first=32), recorded=False):
                some = range(len(items))[chunk.start : chunk.stop]
                with chunk:
                    x = network.like(torch.stack([items[i].tensor for i in some]))
                    supplier = Supplier(model, x, [items[i] for i in some], Request(fill=fill))
                    session = Session(network, call, x, attempt.settings, reader=read_layer)
                    with Engine(session, attempt.lost) as engine:
                        outputs = engine.open(outlines)
                        wanted = _targets(targets, outputs, some)
                        outcome = engine.run(
                            [
                                Job(outline, wanted, given, supplies(outline.method, supplier, some))
                                for outline, (_, given) in zip(outlines, jobs, strict=True)
                            ]
                        )
                    said += predictions(model, outcome.outputs)
                    spent = spent.united(outcome.spent)
                    attempt.done.append(outcome.spent)
                    for column, answer in zip(found, outcome.answers, strict=True):
                        column.append((some, answer.attribution))
    if notes is not None:
        notes += network.warned
    return found, said, Cost(spent.forwards, spent.backwards, spent.checks, spent.seconds)


def _targets(targets: Sequence[Target] | Wanted, outputs: Outputs, some: Sequence[int]) -> tuple[Target, ...]:
    if not isinstance(targets, Wanted):
        return tuple(targets[i] for i in some)
    columns = targets.resolve(outputs, some)
    if len(columns) != 1:
        raise UsageError(f"{len(columns)} targets for each image, where one is to be judged: name one with target=")
    return columns[0]


def _stacked(values: Sequence[Tensor], some: Sequence[int]) -> Tensor:
    return torch.stack([values[i] for i in some]).double()
