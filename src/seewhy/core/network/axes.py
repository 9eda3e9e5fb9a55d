"""Axes: takes a borrowed network and inputs with more axes than a picture, proves by running it that the channels are
where they are claimed; changes nothing.

Volumes [B, C, D, H, W] and videos [B, T, C, H, W] have equally many axes, and often equally long ones. So one entry
of the axis that is claimed to be the channels is changed, and what the first convolution or linear layer reads is
compared: the change has to be in one entry of the axis that it takes its channels from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from seewhy.core.intercept.functions import Call, Interceptor
from seewhy.core.network.axis_order import CHANNELS
from seewhy.core.network.borrowed import Network
from seewhy.errors import CapabilityError

__all__ = ["check_axes"]

#: calls that take their channels from an axis that is known, and which
_READERS = dict.fromkeys(
    [f"conv{n}d" for n in (1, 2, 3)] + [f"conv_transpose{n}d" for n in (1, 2, 3)] + ["convolution", "_convolution"], 1
) | {"linear": -1}

# weak keys: what was found of a network goes with it
_known: WeakKeyDictionary[Any, dict[tuple[int, ...], str]] = WeakKeyDictionary()


class _Reached(BaseException):
    """Ends a forward that has come to its first layer."""


def check_axes(network: Network, call: Callable[[Tensor], Any], x: Tensor) -> None:
    """Refuse inputs ``x`` [B, C, D, H, W] (or with more axes) of which axis 1 turns out not to hold the channels; note
    on the network where that could not be proved. Raises `CapabilityError`."""
    order = None if network.inputs is None else network.inputs.order
    if x.ndim < 5 or (order is not None and CHANNELS not in order.letters):
        return
    shape, verdict = tuple(x.shape[1:]), "undecided"  # of a function, whose layers nobody sees
    if network.root is not None:
        known = _known.setdefault(network.key, {})
        if shape not in known:
            known[shape] = _found(network, call, x[:1].detach())
        verdict = known[shape]
    if verdict == "proved":
        return
    if verdict == "undecided":
        if order is None:
            network.note(f"that axis 1 of the input {tuple(x.shape)} holds channels could not be proved; it is read so")
        return
    if order is not None:
        raise CapabilityError(
            f"axes={order.letters!r}, but {CHANNELS} does not hold channels: {verdict}. Name them anew"
        )
    raise CapabilityError(
        f"axis 1 of the input {tuple(x.shape)} does not hold channels: {verdict}. If it holds frames or views, say so: "
        "seewhy.wrap(model, axes='BTCHW')"
    )


def _found(network: Network, call: Callable[[Tensor], Any], x: Tensor) -> str:
    """``"proved"``, ``"undecided"``, or in words where the claimed channels are instead."""
    noise = torch.randn(x[:, :1].shape, generator=torch.Generator().manual_seed(0)).to(x)
    changed = torch.cat([x[:, :1] + noise, x[:, 1:]], 1)
    network.keep_buffers()
    first, second = _first_read(call, x), _first_read(call, changed)
    if first is None or second is None or first[0].shape != second[0].shape:
        return "undecided"
    read, channels = first[0], first[1] % first[0].ndim
    moved = read != second[0]
    places = [moved.any(dim=[n for n in range(read.ndim) if n != axis]).nonzero()[:, 0] for axis in range(read.ndim)]
    alone = [axis for axis, where in enumerate(places) if len(where) == 1 and read.shape[axis] > 1]
    if channels in alone or (read.shape[channels] == 1 and x.shape[1] == 1):
        return "proved"
    if not alone:
        return "undecided"
    where = "the batch" if alone[0] == 0 else f"axis {alone[0]} of {tuple(read.shape)}"
    return f"the first layer finds it in {where}, and takes its channels from axis {channels}"


def _first_read(call: Callable[[Tensor], Any], x: Tensor) -> tuple[Tensor, int] | None:
    """What the first convolution or linear layer reads, and the axis that it takes its channels from."""
    read: list[tuple[Tensor, int]] = []

    def reached(layer_call: Call, proceed: Callable[[Call], Any]) -> Any:
        given = layer_call.args[0] if layer_call.args else layer_call.kwargs["input"]
        read.append((given.detach().clone(), _READERS[layer_call.name]))
        raise _Reached

    try:
        with torch.no_grad(), Interceptor([dict.fromkeys(_READERS, reached)]):
            call(x.clone())
    except _Reached:
        return read[0]
    return None
