"""The last linear layer of a model: takes a Model, gives the layers that may be it, with their weights, and a model of
which one has others; never changes the one that it was handed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.errors import UnknownName, UsageError
from seewhy.models._keras_network import KerasNetwork
from seewhy.models.copied import copied
from seewhy.models.model import Model

__all__ = ["LinearLayer", "linear_layers", "with_weights"]


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """A layer by its ``name``: outputs [..., K] are inputs [..., D] @ ``weight``.T [D, K] + ``bias`` [K]."""

    name: str
    weight: Tensor
    bias: Tensor


def linear_layers(model: Model) -> list[LinearLayer]:
    """All of them, the last ones first, in the order of the network's own list; copies of their weights. Those of
    networks that are functions are not seen.

    >>> import seewhy
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [(layer.name, tuple(layer.weight.shape)) for layer in linear_layers(seewhy.wrap(net))]
    [('2', (2, 3)), ('0', (3, 4))]
    """
    found = []
    for name, part in _parts(model):
        weight, bias = _weights(part)
        if weight is not None:
            held = weight.detach().cpu().float().clone()
            level = torch.zeros(len(held)) if bias is None else bias.detach().cpu().float().clone()
            found.append(LinearLayer(name, held, level))
    return found[::-1]


def with_weights(model: Model, name: str, weight: Tensor, bias: Tensor) -> Model:
    """A copy of a model whose linear layer ``name`` has other weights [K, D] and bias [K].

    Raises `UnknownName` for a layer that is none of them, `UsageError` for other shapes and for a bias where the layer
    has none, and what copying does.
    """
    changed = copied(model, f"those of {model.spec or model.name}, {name} fitted again")
    parts = dict(_parts(changed))
    if name not in parts or _weights(parts[name])[0] is None:
        raise UnknownName("linear layer", name, [each.name for each in linear_layers(model)], "seewhy layers lists all")
    old, level = _weights(parts[name])
    assert old is not None
    if weight.shape != old.shape or bias.shape != old.shape[:1]:
        raise UsageError(
            f"weights {tuple(weight.shape)} and {tuple(bias.shape)} for {name!r}, which has {tuple(old.shape)}"
        )
    if level is None and bool(bias.any()):
        raise UsageError(f"{name!r} has no bias")
    with torch.no_grad():
        old.copy_(weight.to(old))
        if level is not None:
            level.copy_(bias.to(level))
    return changed


def _parts(model: Model) -> Iterator[tuple[str, Any]]:
    root = model.network().root
    if root is None:
        return
    if isinstance(root, KerasNetwork):
        yield from ((layer.name, layer) for layer in root.model.layers)
        return
    yield from root.named_modules()


def _weights(part: Any) -> tuple[Tensor | None, Tensor | None]:
    """Weights [K, D] and bias [K] of a linear layer, as views; None for other parts, and for no bias."""
    if type(part) is nn.Linear:
        return part.weight, part.bias
    if type(part).__name__ == "Dense" and hasattr(part, "kernel"):
        bias = None if part.bias is None else part.bias.value
        return part.kernel.value.T, bias
    return None, None
