"""Several inputs explained at once: takes what is given for each by name, gives rows that hold them one behind the
other, and afterwards each input's part of a map; runs no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.api.asked.parameters import baseline_tensor
from seewhy.api.asked.request import Request
from seewhy.api.given.images import Item, own_layout, read_items
from seewhy.api.given.regions import segments
from seewhy.api.given.rows import alone, in_rows
from seewhy.core.network.inputs import Explained, Inputs
from seewhy.errors import UsageError
from seewhy.models import Model

__all__ = ["given_to"]


def given_to(model: Model, image: Any, request: Request) -> tuple[Model, list[Item], Request]:
    """The model, the images and the request as the engine takes them: of a model of which several inputs are
    explained, each image is a row [1, N] of all of them, and what was asked for each by name is, too.

    ``image`` is then a mapping of the inputs' names, or numbers, to what `read_items` takes, or a list of such.
    Raises `UsageError` where one is missing, or their numbers or shapes do not fit together.
    """
    inputs = model.inputs
    if inputs is None or len(inputs.explained) == 1:
        return model, read_items(model, image)[0], request
    shaped, by_input, rows = in_rows(model, image)
    return shaped, rows, _of_rows(model, inputs, by_input, request)


def _of_rows(model: Model, inputs: Inputs, by_input: list[list[Item]], request: Request) -> Request:
    """The request where what it gives for each input by name is one row of all."""
    wholes = [torch.stack([item.tensor for item in items]) for items in by_input]

    def parts(what: str, value: Any) -> list[Any]:
        known = [one.key for one in inputs.explained]
        if other := [key for key in value if key not in known]:
            raise UsageError(
                f"{what}= names {other[0]!r}; the inputs that are explained: {', '.join(map(repr, known))}"
            )
        return [value.get(key) for key in known]

    def left_out(what: str, items: Sequence[Item]) -> str | float:
        """What an input has that is not named, as it has where nothing is said."""
        coloured = items[0].pictured and model.colour_to_input((0.0, 0.0, 0.0)) is not None
        return {"baseline": "black", "fill": "grey"}[what] if coloured else 0.0

    def references(what: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        kinds = parts(what, value)
        rows = [
            baseline_tensor(alone(model, one), left_out(what, items) if kind is None else kind, x, 0, what)[0]
            for one, kind, x, items in zip(inputs.explained, kinds, wholes, by_input, strict=True)
        ]
        return torch.cat([row.flatten(1) for row in rows], 1)[:, None]

    def others(value: Any) -> Any:
        if isinstance(value, list | tuple) and value and all(isinstance(one, Mapping) for one in value):
            value = {key: [one.get(key) for one in value] for key in dict.fromkeys(key for one in value for key in one)}
        if not isinstance(value, Mapping):
            return value
        if left := [one.key for one in inputs.explained if _nothing(value.get(one.key))]:
            raise UsageError(f"references= says nothing of {left[0]!r}: each is of all inputs that are explained")
        kinds = zip(inputs.explained, parts("references", value), strict=True)
        rows = [torch.stack([item.tensor for item in read_items(alone(model, one), kind)[0]]) for one, kind in kinds]
        if len({len(row) for row in rows}) > 1:
            raise UsageError(f"references= has {[len(row) for row in rows]} of the inputs: as many of each")
        return torch.cat([row.flatten(1) for row in rows], 1)[:, None]

    def pieces(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        kinds = parts("segments", value)
        labels = [
            _pieces(one, kind, own_layout(alone(model, one), x), x, items)
            for one, kind, x, items in zip(inputs.explained, kinds, wholes, by_input, strict=True)
        ]
        # pieces that are asked for in words are of their input alone, behind all that have numbers of the caller's
        made = [not isinstance(kind, Tensor | np.ndarray | list | tuple) for kind in kinds]
        first = max((int(row.max()) + 1 for row, own in zip(labels, made, strict=True) if not own), default=0)
        for n in (n for n, own in enumerate(made) if own):
            labels[n] = labels[n] + first
            first = int(labels[n].max()) + 1
        return torch.cat(labels, 1)

    return replace(
        request,
        baseline=references("baseline", request.baseline),
        fill=references("fill", request.fill),
        segments=pieces(request.segments),
        references=others(request.references),
    )


def _nothing(value: Any) -> bool:
    return value is None or (isinstance(value, list) and any(one is None for one in value))


def _pieces(one: Explained, value: Any, own: Tensor, x: Tensor, items: Sequence[Item]) -> Tensor:
    """Pieces of one input, [B, n] in the order of its row, from those in its own axes, or from a word or a number."""
    if value is None:
        raise UsageError(
            f"segments= says nothing of {one.key!r}: pieces are numbered through all inputs, name them all"
        )
    if isinstance(value, str | int) or callable(value):
        return segments(value, x, items)[:, None].expand(x.shape).flatten(1)
    labels = torch.as_tensor(value)
    try:
        full = labels.expand(own.shape)
    except RuntimeError:
        raise UsageError(
            f"segments of shape {tuple(labels.shape)} for input {one.key!r} {tuple(own.shape)}: one for each number"
        ) from None
    row = full if one.order is None else one.order.canonical(full)
    return row.reshape(len(x), math.prod(x.shape[1:]))
