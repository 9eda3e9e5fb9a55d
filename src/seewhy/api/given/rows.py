"""Rows: takes what is given for each of several inputs by name, gives rows that hold them one behind the other; runs no
network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from seewhy.api.given.images import Item, kept, read_items
from seewhy.core.network.inputs import Explained, Inputs
from seewhy.errors import UsageError, one_line
from seewhy.models import Model

__all__ = ["alone", "in_rows"]


def alone(model: Model, one: Explained) -> Model:
    """The model as one of which this input alone is explained: for what is given of it."""
    held = {} if model.inputs is None else model.inputs.held
    return replace(model, inputs=Inputs((replace(one, shape=None),), held))


def in_rows(model: Model, image: Any) -> tuple[Model, list[list[Item]], list[Item]]:
    """The model as one of a row, of which several inputs are explained, what ``image`` gives for each of them, and the
    rows [1, N] of all.

    ``image`` is a mapping of the inputs' names, or numbers, to what `read_items` takes, or a list of such. Raises
    `UsageError` where one is missing, or their numbers or shapes do not fit together.
    """
    inputs = model.inputs
    assert inputs is not None
    by_input = _by_input(model, inputs, image)
    shapes = tuple(tuple(items[0].tensor.shape) for items in by_input)
    for one, items, shape in zip(inputs.explained, by_input, shapes, strict=True):
        if other := next((item for item in items if tuple(item.tensor.shape) != shape), None):
            raise UsageError(
                f"input {one.key!r} has {list(shape)} in the first image and {list(other.tensor.shape)} in another: "
                "several inputs are explained at once where they have the same shapes in all images"
            )
    rows = [
        Item(
            torch.cat([item.tensor.flatten() for item in of_one])[None],
            None,
            next((item.name for item in of_one if item.name), ""),
            False,
            tuple(dict.fromkeys(note for item in of_one for note in item.notes)),
            parts={str(one.key): item for one, item in zip(inputs.explained, of_one, strict=True)},
        )
        for of_one in zip(*by_input, strict=True)
    ]
    return replace(model, inputs=inputs.shaped(shapes)), by_input, rows


def _by_input(model: Model, inputs: Inputs, image: Any) -> list[list[Item]]:
    """What is given for each input, as many images of each."""
    given = [image] if isinstance(image, Mapping) else image
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise _no_mapping(inputs, image)
    by_input: list[list[Item]] = [[] for _ in inputs.explained]
    for whole in given:
        if not isinstance(whole, Mapping):
            raise _no_mapping(inputs, whole)
        left = dict(whole)
        for items, one in zip(by_input, inputs.explained, strict=True):
            if one.key not in left:
                named = ", ".join(map(repr, whole)) or "no inputs"
                raise UsageError(
                    f"the image names {named}, and {one.key!r} is to be explained, too: give all of them, or hold it, "
                    "wrap(model, inputs={...})"
                )
            items += read_items(alone(model, one), left.pop(one.key))[0]
        if left:
            known = ", ".join(repr(one.key) for one in inputs.explained)
            raise UsageError(f"the image names {next(iter(left))!r}; the inputs that are explained: {known}")
    by_input = [list(kept(items)) for items in by_input]
    counts = [len(items) for items in by_input]
    if len(set(counts)) > 1:
        told = ", ".join(f"{n} for {one.key!r}" for n, one in zip(counts, inputs.explained, strict=True))
        raise UsageError(f"inputs of one image go together; there are {told}: as many of each")
    return by_input


def _no_mapping(inputs: Inputs, image: Any) -> UsageError:
    form = ", ".join(f"{one.key!r}: ..." for one in inputs.explained)
    return UsageError(
        f"several inputs are explained at once, so an image is {{{form}}}, or a list of such; got "
        f"{one_line(type(image).__name__, 40)}"
    )
