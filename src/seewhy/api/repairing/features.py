"""What the last linear layer of a model reads: takes a model and inputs, gives the layer, proved by running it, and its
inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.api.answered.predictions import read_inputs
from seewhy.api.given.images import Item
from seewhy.audits.mending.head import Head
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.core.forward.settings import Settings
from seewhy.errors import CapabilityError, SeewhyError
from seewhy.models import Model
from seewhy.models.last_layer import linear_layers

__all__ = ["Reads", "last_layer_of"]

#: how far scores may be from those of the layer by hand, of the largest of them
_CLOSE = 1e-3


@dataclass(frozen=True, eq=False)
class Reads:
    """The linear layer ``name`` whose output are a model's scores, as a ``head``; `features` are its inputs."""

    model: Model
    name: str
    head: Head
    settings: Settings

    def features(self, item: Item, inputs: Tensor) -> Tensor:
        """What the layer is given [N, D] for ``inputs`` [N, C, H, W] shaped as ``item``'s."""
        return _at(self.model, item, inputs, self.name, self.settings)[0]


def last_layer_of(model: Model, item: Item, inputs: Tensor, settings: Settings) -> Reads:
    """The layer that makes the scores of some ``inputs``: its output by hand is what the model gives.

    Raises `CapabilityError` where there is none: networks that are functions, or end in something else.
    """
    tried = []
    for layer in linear_layers(model):
        try:
            features, scores = _at(model, item, inputs, layer.name, settings)
        except SeewhyError:  # a layer that did not run for these inputs
            continue
        tried.append(layer.name)
        head = Head(layer.weight, layer.bias)
        if features.ndim == 2 and features.shape[1] == layer.weight.shape[1]:
            made = head(features)
            if made.shape == scores.shape and bool((made - scores).abs().max() <= _CLOSE * scores.abs().max()):
                return Reads(model, layer.name, head, settings)
    looked = f"; tried: {', '.join(tried[:5])}" if tried else ""
    raise CapabilityError(
        f"{model.name} does not end in a linear layer whose output are the scores, so none can be fitted again{looked}"
    )


def _at(model: Model, item: Item, inputs: Tensor, name: str, settings: Settings) -> tuple[Tensor, Tensor]:
    """What a layer is given, and the scores before a softmax."""

    def read(session: Session, some: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        place = session.find(f"{name}[in]")
        forward = session.run(session.x, Demand({"features": place}, gradients=False))
        features = forward.outputs.everything("features")
        return list(zip(features.detach().float().cpu(), forward.outputs.logits.detach().float().cpu(), strict=True))

    found = read_inputs(model, item, inputs, read, memory=settings.memory)
    return torch.stack([one for one, _ in found]), torch.stack([other for _, other in found])
