"""Our own entrants: takes a model and a question, gives our raw explanations, and the model prepared; times nothing."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from seewhy.api.explaining import explain
from seewhy.explanation import Explanations
from seewhy.models import Model
from seewhy.registry import methods as registry

__all__ = ["Prepared", "ours", "prepared"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model's graph, prepared: the ``module`` (None where there is none) and how it was done, in words."""

    module: nn.Module | None
    record: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


def prepared(model: Model, x: Tensor) -> Prepared:
    """The prepared form of a model for inputs like ``x`` [B, C, *size], whose layers have the names they had; without
    one ``why`` says why.

    >>> import torch, seewhy
    >>> isinstance(prepared(seewhy.wrap(torch.nn.Conv2d(3, 4, 3)), torch.rand(1, 3, 8, 8)).why, str)
    True
    """
    prepare = getattr(importlib.import_module("seewhy"), "prepare", None)
    if prepare is None:
        return Prepared(None, why="not prepared: this version of seewhy runs the eager model")
    made = prepare(model, x)
    record = {str(name): str(words) for name, words in dict(made.record).items()}
    if not isinstance(made.module, nn.Module) or made.module is model.module:
        return Prepared(None, record, "not prepared: " + ("; ".join(record.values()) or "no reason given"))
    return Prepared(made.module, record)


def ours(
    model: Model,
    x: Tensor,
    method: str,
    target: Sequence[int],
    layer: str | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    prepare: bool = False,
) -> Explanations:
    """Our explanations of ``x`` [B, C, *size], raw: with channels where a method would take them together.

    >>> import torch, seewhy
    >>> net = seewhy.wrap(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2)))
    >>> ours(net, torch.rand(2, 3, 2, 2), "saliency", [0, 1])[1].values.shape
    (3, 2, 2)
    """
    last = bool(getattr(model.module, "channels_last", False))
    given = dict(settings or {})
    if registry[method].card.reduce is not None:
        given.setdefault("reduce", "none")
    goal = list(target) if len(x) > 1 else target[0]
    found = explain(
        model, x.movedim(1, -1) if last else x, method=[method], target=goal, layer=layer, prepare=prepare, **given
    )
    assert isinstance(found, Explanations)
    return found
