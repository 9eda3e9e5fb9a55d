"""One by one: takes a network, gives why its samples go through it each by itself, or ''; keeps what was found of it.

Samples go together because that is faster. What found that a network's do not keep apart, or that it takes no more than
one, tells it here, and everything that runs several samples asks here.
"""

from __future__ import annotations

import weakref
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from seewhy.core.network.borrowed import Network
from seewhy.core.network.parts import Parts

__all__ = ["goes_by_batch", "keep_apart", "key_of", "one_by_one"]

#: weak keys: what was found of a network goes with it
_found: WeakKeyDictionary[Any, tuple[int, str]] = WeakKeyDictionary()

_OWN_STATISTICS = (
    "a layer normalises by the statistics of its batch, by which samples that go through this network together "
    "influence each other"
)


def one_by_one(network: Network, by_batch: bool | None = None) -> str:
    """Why the samples of ``network`` go through it each by itself; '' if they need not, as far as is known.
    ``by_batch`` is what `goes_by_batch` gives, where somebody has asked it in this call."""
    if network.inputs is not None and not network.inputs.batched:
        return "this network takes one sample at a time"
    if goes_by_batch(network) if by_batch is None else by_batch:
        return _OWN_STATISTICS
    key = key_of(network)
    makeup, why = (0, "") if key is None else _found.get(key, (0, ""))
    return why if why and makeup == network.makeup else ""


def goes_by_batch(network: Network) -> bool:
    """Whether some batch norm has no statistics of its own to go by: all parts are gone through."""
    return _by_their_batch(network.walked)


def keep_apart(network: Network, why: str) -> None:
    """From here on have the samples of ``network`` go one by one, for as long as it is made of what it is now."""
    if (key := key_of(network)) is not None:
        _found[key] = network.makeup, why


def key_of(network: Network) -> Any:
    """What a network is remembered by; None for a callable that cannot be."""
    if network.key is not None:
        return network.key
    try:
        hash(network.model)
        weakref.ref(network.model)
    except TypeError:
        return None
    return network.model


def _by_their_batch(parts: Parts) -> bool:
    kinds = {kind for kind in parts.types if issubclass(kind, nn.modules.batchnorm._BatchNorm)}
    return any(part._buffers.get("running_mean", part) is None for part in parts if type(part) in kinds)
