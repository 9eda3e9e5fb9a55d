"""Preparing by hand: takes a model and an example, gives the faster module that stands for it, to call, to hook, or to
have it ready before the first map; changes nothing in the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.api.given.images import read_items
from seewhy.core.compile.programs import Preparer
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.core.network.places import find_place
from seewhy.models import Model
from seewhy.models.loader import taken

__all__ = ["Preparation", "prepare"]


@dataclass(frozen=True, eq=False)
class Preparation:
    """A prepared network: the ``module``, None where there is none, and the ``record`` of how it was made or why not.

    The module stands for the model as it was: it follows no later change of the weights. It takes and gives what the
    model does, and has the layers asked for under their names, for hooks.
    """

    module: nn.Module | None
    record: dict[str, Any]


def prepare(
    model: Model | nn.Module | Callable[[Tensor], Any] | str,
    image: Any,
    layers: str | Sequence[str] = (),
    *,
    gradients: bool = True,
) -> Preparation:
    """Prepare a model for inputs like ``image`` now: exported, batch norms folded, channels last, as far as that is
    faster and agrees with the model.

    `seewhy.explain` does this by itself once it is worth it (``prepare="auto"``) and finds what was prepared here, for
    inputs of the same size. ``layers`` are those that the returned module has to show; without ``gradients`` it gives
    scores alone, faster still. The model itself, its hooks, flags and tensors stay as they are.

    Raises `UnknownName` for a layer that does not exist.

    >>> import torch, seewhy
    >>> from torch.nn import BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), Flatten(), Linear(144, 2)).eval()
    >>> seewhy.prepare(net, torch.rand(1, 3, 8, 8)).record["operations"]
    5
    """
    wrapped = taken(model)
    items, _ = read_items(wrapped, image)
    network = wrapped.network()
    names = [layers] if isinstance(layers, str) else list(layers)
    x = network.like(torch.stack([item.tensor for item in items[:1]] * 2))
    with network.borrowed() as call:
        preparer = Preparer(network, call, x, True)
        session = Session(network, call, x, programs=preparer)
        places = {name: find_place(network.module, name, wrapped.spec) for name in names}
        wanted = Demand(places, at_input=gradients, gradients=gradients)
        session.run(x, wanted)  # compared with the model
        program, agrees = session.program(len(x), wanted) or (None, False)
    return Preparation(program if agrees else None, preparer.record)
