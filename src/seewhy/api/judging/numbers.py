"""One image judged: takes a model, an image and the classes that are explained, gives what each metric says of each
method's map and of the maps that it is held against, as plain JSON; remembers nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seewhy.api.given.images import Item
from seewhy.api.judging.asked import Candidate, Question
from seewhy.api.judging.maps import Untrained, maps_of, spectra
from seewhy.api.measuring import measured
from seewhy.errors import SeewhyError
from seewhy.metrics import Metric
from seewhy.metrics._metric import silence
from seewhy.metrics.controls import plain_maps
from seewhy.models import Model

__all__ = ["Masked", "judged"]

#: where the object of a class is, for metrics of masks and for those of boxes, true and false [*size]; or why nobody
#: knows
Masked = Mapping[str, NDArray[np.bool_]] | str
#: a number, or why there is none
Number = tuple[float, str]


def judged(
    model: Model,
    untrained: Untrained,
    item: Item,
    candidates: Sequence[Candidate],
    classes: Sequence[int],
    masks: Sequence[Masked],
    question: Question,
) -> list[dict[str, Any]]:
    """For each class, with its own of ``masks``: the class, its methods with their numbers, and those of the maps that
    know no model. None stands for a number that there is not."""
    drawn = maps_of(model, item, candidates, classes, question)
    random = untrained.maps_of(item, candidates, classes, question, drawn)
    known = plain_maps(item.tensor)
    documents = []
    for k, index in enumerate(classes):
        names: list[tuple[str, str]] = [("", name) for name in known]
        maps = list(known.values())
        for candidate, own, other in zip(candidates, drawn[k], random[k], strict=True):
            if own.values is None:
                continue
            names.append((candidate.name, "own"))
            maps.append(own.values)
            if not silence(own.values):  # nothing is to be held against what says nothing
                controls = spectra(own, item, question)
                names += [(candidate.name, "spectrum")] * len(controls)
                maps += controls
            if other.values is not None:
                names.append((candidate.name, "untrained"))
                maps.append(other.values)
        numbers = {
            metric.name: _numbers(maps, masks[k], metric, given)
            for metric, given in question.metrics
            if not metric.streams
        }
        numbers |= _streamed(model, item, maps, index, question)
        methods = {
            candidate.name: {
                "why": own.why, "layer": own.layer, "passes": own.passes,
                "metrics": {
                    metric.name: _of(names, numbers[metric.name], candidate.name) for metric, _ in question.metrics
                } if own.values is not None else {},
            }
            for candidate, own in zip(candidates, drawn[k], strict=True)
        }  # fmt: skip
        alone = {
            metric.name: {
                name: None if metric.card.of_values else _plain(numbers[metric.name][n][0])
                for n, name in enumerate(known)
            }
            for metric, _ in question.metrics
        }
        documents.append({"target": index, "methods": methods, "photo": alone})
    return documents


def _of(names: Sequence[tuple[str, str]], numbers: Sequence[Number], candidate: str) -> dict[str, Any]:
    def rows(kind: str) -> list[Number]:
        return [number for name, number in zip(names, numbers, strict=True) if name == (candidate, kind)]

    ((value, why),) = rows("own")
    untrained = rows("untrained")
    return {
        "value": _plain(value), "why": why, "spectrum": [_plain(each) for each, _ in rows("spectrum")],
        "untrained": _plain(untrained[0][0]) if untrained else None,
    }  # fmt: skip


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _numbers(maps: Sequence[Tensor], mask: Masked, metric: Metric, given: Mapping[str, Any]) -> list[Number]:
    """What a metric that asks no network says of each map."""
    values = torch.stack(list(maps))
    supplies: dict[str, Any] = {"values": values}
    if "mask" in metric.requires:
        if isinstance(mask, str):
            return [(math.nan, mask)] * len(maps)
        inside = torch.from_numpy(mask["boxes" if metric.card.of_boxes else "inside"])
        supplies["mask"] = inside.expand_as(values)
    try:
        found = metric.judged(supplies, given)
    except SeewhyError as error:
        return [(math.nan, str(error))] * len(maps)
    return [(float(each), each.reason) for each in found]


def _streamed(
    model: Model, item: Item, maps: Sequence[Tensor], index: int, question: Question
) -> dict[str, list[Number]]:
    """What metrics say that ask for scores of changed images: those of one score together; where one of them fails,
    each is asked alone."""
    found: dict[str, list[Number]] = {}
    by_score: dict[str, list[tuple[Metric, Mapping[str, Any]]]] = {}
    for metric, given in question.metrics:
        if metric.streams:
            by_score.setdefault(repr(question.target(index, metric)), []).append((metric, given))
    for some in by_score.values():
        try:
            found |= _together(model, item, maps, index, some, question)
        except SeewhyError as error:
            if len(some) == 1:
                found[some[0][0].name] = [(math.nan, str(error))] * len(maps)
                continue
            for each in some:
                try:
                    found |= _together(model, item, maps, index, [each], question)
                except SeewhyError as own:
                    found[each[0].name] = [(math.nan, str(own))] * len(maps)
    return found


def _together(
    model: Model, item: Item, maps: Sequence[Tensor], index: int, some: Sequence[tuple[Metric, Mapping[str, Any]]],
    question: Question,
) -> dict[str, list[Number]]:  # fmt: skip
    targets = [question.target(index, some[0][0])] * len(maps)
    rows, _ = measured(
        model, [item] * len(maps), list(maps), targets, some, fill=question.fill, settings=question.settings
    )
    return {
        metric.name: [(float(row[n]), row[n].reason) for row in rows] for n, (metric, _) in enumerate(some)
    }  # fmt: skip
