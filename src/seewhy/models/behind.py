"""A module behind a layer: takes a Model, a layer's name and a module, gives a copy of the model in which what the
layer gives goes through the module."""

from __future__ import annotations

from torch import nn

from seewhy.errors import CapabilityError, UnknownName
from seewhy.models._keras_network import KerasNetwork
from seewhy.models.copied import copied
from seewhy.models.model import Model

__all__ = ["with_behind"]


def with_behind(model: Model, name: str, module: nn.Module) -> Model:
    """A copy of a model with ``module`` behind its layer ``name``.

    Raises `UnknownName` for a layer that there is not, `CapabilityError` for networks of Keras and for parts that keep
    their layers otherwise than by name, and what copying does.

    >>> import torch, seewhy
    >>> net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    >>> changed = with_behind(seewhy.wrap(net), "0", nn.Hardtanh(0.0, 0.5))
    >>> float(changed.module(torch.full((1, 2), 100.0)).max()) <= 0.5
    True
    """
    changed = copied(model, f"those of {model.spec or model.name}, {name} with a {type(module).__name__} behind it")
    root = changed.network().root
    if isinstance(root, KerasNetwork):
        raise CapabilityError(f"{model.name} is of Keras: put the module behind {name!r} where the model is built")
    assert isinstance(root, nn.Module)
    parts = dict(root.named_modules())
    if not name or name not in parts:
        raise UnknownName("layer", name, [each for each in parts if each], "seewhy layers lists all")
    parent, _, own = name.rpartition(".")
    holder = parts[parent]
    if own not in holder._modules:
        raise CapabilityError(
            f"{name!r} is not kept by name in a {type(holder).__name__}: put the module there by hand"
        )
    holder._modules[own] = nn.Sequential(parts[name], module.eval() if not root.training else module)
    return changed
