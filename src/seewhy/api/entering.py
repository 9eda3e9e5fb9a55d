"""Our own entrants: takes a model and a question, gives our raw explanations, and the model prepared; times nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from seewhy.api.explaining import explain
from seewhy.api.preparing import prepare
from seewhy.explanation import Explanations
from seewhy.models import Model
from seewhy.registry import methods as registry

__all__ = ["Prepared", "ours", "prepared"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model's graph, prepared: the ``module`` for others to run (None where nothing of it is faster with gradients),
    how it was done, in words, and ``why`` nothing was prepared at all, else ''."""

    module: nn.Module | None
    record: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


def prepared(model: Model, x: Tensor, layer: str | None = None) -> Prepared:
    """The prepared form of a model for inputs like ``x`` [B, C, *size], which shows ``layer``; without one ``why`` says
    why.

    >>> import torch, seewhy
    >>> isinstance(prepared(seewhy.wrap(torch.nn.Conv2d(3, 4, 3)), torch.rand(1, 3, 8, 8)).why, str)
    True
    """
    last = bool(getattr(model.module, "channels_last", False))
    made = prepare(model, x.movedim(1, -1) if last else x, [] if layer is None else [layer])
    record = {str(name): str(words) for name, words in made.record.items()}
    why = "" if made.record["used"] else "not prepared: " + record.get("why", "the model itself is as fast")
    return Prepared(made.module, record, why)


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
