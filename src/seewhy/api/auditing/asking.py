"""What an audit asks of a model: takes inputs, gives rows of scores, and maps for a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from seewhy.api.answered.predictions import read_inputs
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.given.images import Item
from seewhy.api.planned import run_plan
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.core.forward.settings import Settings
from seewhy.core.targets import Logit
from seewhy.errors import CapabilityError
from seewhy.models import Model

__all__ = ["evidence_of", "scores_of"]

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


def evidence_of(
    model: Model, items: Sequence[Item], index: int, method: str, settings: Settings
) -> tuple[Tensor | None, str]:
    """Maps [N, H, W] of items for a class by a method, at the inputs' size, or by a gradient where the method cannot be
    asked, which is said; or None, and why there are none."""
    found, why = _maps(model, items, index, method, settings)
    if found is None and method != _INSTEAD:
        found, _ = _maps(model, items, index, _INSTEAD, settings)
        why = why if found is None else f"evidence is that of {_INSTEAD}: {why}"
    return found, why


def _maps(
    model: Model, items: Sequence[Item], index: int, method: str, settings: Settings
) -> tuple[Tensor | None, str]:  # fmt: skip
    try:
        made = run_plan(
            Plan.make(model, Request(method=method, target=Logit(index), settings=settings), len(items)), items
        )
        maps = [torch.from_numpy(np.asarray(each).astype(np.float32)) for each in made]
    except CapabilityError as error:
        return None, str(error)
    return torch.stack(maps), ""
