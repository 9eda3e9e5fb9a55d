"""Predictions alone: takes a model and images, gives every image's class scores; explains nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from seewhy.api.answered.records import predictions
from seewhy.api.given.images import Item, same_shape
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.core.forward.settings import Settings
from seewhy.core.layers.choice import read_layer
from seewhy.core.memory_budget import chunks
from seewhy.core.network.places import Place
from seewhy.core.schedule.attempts import attempts
from seewhy.core.schedule.batch_mates import each_of, look
from seewhy.core.targets import Target
from seewhy.errors import TargetError
from seewhy.explanation import Prediction
from seewhy.models import Model

__all__ = ["Scored", "predict_items", "read_each", "read_inputs"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Scored:
    """One image's best classes (None where the output is no row of class scores), its probabilities [K], and the
    score of a target, if one was named."""

    prediction: Prediction | None
    probabilities: Tensor | None
    score: float = math.nan

    @property
    def answered(self) -> bool:
        """Whether the model gave every class a number: NaN has no top class."""
        return self.probabilities is not None and bool(self.probabilities.isfinite().all())

    @property
    def index(self) -> int:
        """The top class; raises `TargetError` where there are no classes."""
        if self.prediction is None:
            raise TargetError("the model's output is no row of class scores, so there is no class to compare")
        return self.prediction.index


def predict_items(
    model: Model,
    items: Sequence[Item],
    *,
    targets: Sequence[Target] | None = None,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Scored]:
    """What the model says of every item, in their order, with the score of its own target in ``targets``; one forward
    each, in chunks that fit into ``memory``."""
    names = {name for target in targets or () for name in target.layers}

    def read(session: Session, some: Sequence[int]) -> list[Scored]:
        places = {name: session.find(name) for name in names}
        return _scored(model, session, places, [] if targets is None else [targets[i] for i in some])

    return read_each(model, items, read, memory=memory, progress=progress)


def read_each(
    model: Model,
    items: Sequence[Item],
    read: Callable[[Session, Sequence[int]], Sequence[T]],
    *,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[T]:
    """What ``read`` gives for every item, in their order: it takes a session of some of them, and which those are, in
    chunks that fit into ``memory``."""
    network, found = model.network(), dict[int, T]()
    for attempt in attempts(network, Settings(memory=memory)):
        found.clear()
        with attempt, network.borrowed() as call:
            budget = attempt.settings.budget()
            for indices in same_shape(items):
                for chunk in chunks(len(indices), budget, recorded=False):
                    some = indices[chunk.start : chunk.stop]
                    with chunk:
                        x = network.like(torch.stack([items[i].tensor for i in some]))
                        session = Session(network, call, x, attempt.settings, reader=read_layer)
                        found |= dict(zip(some, read(session, some), strict=True))
                    if progress is not None:
                        progress("predictions", len(found), len(items))
    return [found[i] for i in range(len(items))]


def read_inputs(
    model: Model,
    item: Item,
    inputs: Tensor,
    read: Callable[[Session, Sequence[int]], Sequence[T]],
    *,
    memory: int | None = None,
) -> list[T]:
    """The same of ``inputs`` [N, C, *size], which are shaped as ``item``'s."""
    return read_each(model, [replace(item, tensor=each) for each in inputs], read, memory=memory)


def _scored(model: Model, session: Session, places: dict[str, Place], targets: Sequence[Target]) -> list[Scored]:
    """What the model says of the batch of ``session``, with the scores of ``targets``, if there are any."""
    forward = session.run(session.x, Demand(places, gradients=False))
    look(session, "predictions", forward, each_of(session, forward, session.x))
    guesses = predictions(model, forward.outputs)
    rows: Any = forward.outputs.probabilities.detach().cpu() if guesses[0] is not None else guesses
    scores = forward.scores(targets).tolist() if targets else [math.nan] * len(guesses)
    return [Scored(*row) for row in zip(guesses, rows, scores, strict=True)]
