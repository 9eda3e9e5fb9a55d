"""What an audit asks of a model: takes inputs, gives rows of scores, and maps for a class with what a layer says where
they are high."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.api.answered.predictions import read_each, read_inputs
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.given.images import Item
from seewhy.api.planned import run_plan
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.core.forward.settings import Settings
from seewhy.core.targets import Logit
from seewhy.errors import CapabilityError, TargetError
from seewhy.explanation import Explanation
from seewhy.models import Model

__all__ = ["ClassMaps", "evidence_of", "scores_of", "taken_from"]

#: the method of a model that has no layer with places
_INSTEAD = "input-x-gradient"


def scores_of(model: Model, item: Item, settings: Settings) -> Callable[[Tensor], Tensor]:
    """Rows of scores before a softmax [N, K] of inputs [N, C, H, W], shaped as ``item``'s."""

    def score(inputs: Tensor) -> Tensor:
        def read(session: Session, some: Sequence[int]) -> list[Tensor]:
            forward = session.run(session.x, Demand({}, gradients=False))
            return list(forward.outputs.logits.detach().float().cpu())

        return torch.stack(read_inputs(model, item, inputs, read, memory=settings.memory))

    return score


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """Signed ``maps`` [N, H, W] at the inputs' size, None where there are none; ``traits`` [N, D], what the layer that
    they are of says where they are positive, None for methods of no layer; what has to be said of them, ``note``; and
    how many ``passes`` they took."""

    maps: Tensor | None
    traits: Tensor | None = None
    note: str = ""
    passes: int = 0


def evidence_of(model: Model, items: Sequence[Item], index: int, method: str, settings: Settings) -> ClassMaps:
    """Maps of items for a class by a method, or by a gradient where the method cannot be asked, which is said."""
    why = ""
    for name in dict.fromkeys((method, _INSTEAD)):
        try:
            made = _asked(model, items, index, name, settings)
        except CapabilityError as error:
            why = why or str(error)
            continue
        found = taken_from(model, items, made, settings)
        return replace(found, note=f"evidence is that of {name}: {why}") if why else found
    return ClassMaps(None, note=why)


def taken_from(model: Model, items: Sequence[Item], made: Sequence[Explanation], settings: Settings) -> ClassMaps:
    """The same from explanations of the items that somebody has."""
    maps = torch.stack([torch.from_numpy(np.asarray(each).astype(np.float32)) for each in made])
    passes = sum(each.cost.forwards + 2 * each.cost.backwards for each in made)
    layer = made[0].layer
    if layer is None:
        return ClassMaps(maps, None, "", passes)
    try:
        traits = _traits(model, items, maps, layer, settings)
    except (CapabilityError, TargetError):  # a layer whose name several have, or that has no channels
        return ClassMaps(maps, None, "", passes)
    return ClassMaps(maps, traits, "", passes + len(items))


def _asked(model: Model, items: Sequence[Item], index: int, method: str, settings: Settings) -> list[Explanation]:
    return list(
        run_plan(Plan.make(model, Request(method=method, target=Logit(index), settings=settings), len(items)), items)
    )


def _traits(model: Model, items: Sequence[Item], maps: Tensor, layer: str, settings: Settings) -> Tensor:
    """What a layer says where maps [N, H, W] are positive, [N, C]: the mean of its activations over positions, weighted
    by the map there."""

    def read(session: Session, some: Sequence[int]) -> list[Tensor]:
        forward = session.run(session.x, Demand({layer: session.find(layer)}, gradients=False))
        values = forward.outputs.activation(layer).detach().float().cpu()
        weights = F.adaptive_avg_pool2d(maps[list(some)].clamp(min=0)[:, None], (values.shape[2], values.shape[3]))
        return list((weights * values).flatten(2).sum(2) / weights.flatten(2).sum(2).clamp(min=1e-12))

    return torch.stack(read_each(model, items, read, memory=settings.memory))
