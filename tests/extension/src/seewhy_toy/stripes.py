"""Takes ``toy:stripes``, gives a network that tells horizontal stripes from vertical ones; never downloads."""

from __future__ import annotations

import torch
from torch import nn

from seewhy.extend import Model, ModelRequest, Preprocess, Scheme, UnknownName, load_weights, untrained

__all__ = ["SCHEME"]

LISTING = "python -c 'from seewhy_toy.stripes import SCHEME; print(SCHEME.names())'"


def names() -> list[str]:
    """What may stand behind the colon."""
    return ["stripes"]


def load(request: ModelRequest) -> Model:
    """The network with weights set by hand, the same random ones every time, or those of a file."""
    if request.name not in names():
        raise UnknownName("toy model", request.name, names(), LISTING)
    module = untrained(_network).eval()
    if request.weights == "auto":
        _set_by_hand(module)
    elif request.weights != "random":
        load_weights(module, request.weights, request.trust_pickle)
    return Model(
        module,
        name="stripes",
        preprocess=Preprocess(size=(32, 32), resize=None, mode="squash", mean=(0.5,) * 3, std=(0.5,) * 3),
        labels=("horizontal", "vertical"),
        weights="set by hand" if request.weights == "auto" else str(request.weights),
    )


def _network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))


def _set_by_hand(module: nn.Sequential) -> None:
    """One channel sees edges from top to bottom, the other from left to right."""
    edge, zero = torch.tensor([1.0, 0.0, -1.0]).expand(3, 3), torch.zeros(2)
    kernels = torch.stack([edge.T, edge])[:, None].expand(2, 3, 3, 3)
    module.load_state_dict({"0.weight": kernels, "0.bias": zero, "4.weight": torch.eye(2), "4.bias": zero})


SCHEME = Scheme("toy", "toy:NAME", load, names, LISTING)
