"""A model's state: takes a module, gives what must still be so for a prepared network to stand for it; changes
nothing.

A state is every submodule's type, attributes, hooks and overridden forward, with what lies in containers and in the
user's own objects; what its classes, and the code of their functions, read besides: class attributes, globals,
closures, defaults; torch's settings; and every tensor's identity, address and version. The version misses what is
written through ``.data`` or numpy: tensors of which a prepared network holds a changed copy are summed up as well, bit
for bit. Those that it reads where they are need no sum. `docs/prepared.md` has the list in full.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor, nn

from seewhy.core.compile.attributes import attributes_of
from seewhy.core.compile.state_of_code import functions_of_torch, read_by
from seewhy.core.compile.state_of_python import settings_of_python
from seewhy.core.compile.state_of_values import Look
from seewhy.core.network.parts import seen_of
from seewhy.errors import CapabilityError

__all__ = ["addresses", "structure"]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def structure(parts: Sequence[nn.Module]) -> Hashable:
    """What a module of these submodules is made of: types, attributes, hooks, overridden forwards, what their classes
    read besides, torch's settings and functions, the identity of every tensor.

    Raises `CapabilityError` where that is too much to look at in every call, or cannot be looked at.
    """
    try:
        return _structure(parts)
    except CapabilityError:
        return _structure(parts, named=True)  # which of them it is


def _structure(parts: Sequence[nn.Module], *, named: bool = False) -> Hashable:
    seen, look = seen_of(parts), Look(parts)
    kept, values = attributes_of(parts)
    hooks = [
        (n, name, *((key, id(hook)) for key, hook in part.__dict__[name].items()))
        for n, part in enumerate(parts if any(seen.of(*_HOOKS)) else ())
        for name in _HOOKS
    ]
    held = seen.of("_parameters", "_buffers")
    tensors = [*itertools.chain.from_iterable(map(dict.values, held))]
    marked = [
        (n, *own, *own.values()) for n, tensor in enumerate(tensors) if tensor is not None and (own := tensor.__dict__)
    ]
    kinds = tuple(map(type, parts))
    read = read_by(kinds)
    # how many each has says where one ends and the next begins
    return (
        *kinds, kept.names, *map(len, held),
        *look.several(values, kept.split, kept.own if named else ()), *hooks, *map(id, tensors),
        *look.several(marked, names=["attributes of its tensors"] * len(marked)),
        *look.several([value for _, value in read], names=[name for name, _ in read]),
        *functions_of_torch(), *_settings(),
    )  # fmt: skip


def _settings() -> tuple[Hashable, ...]:
    """What torch and Python compute by, for all networks alike."""
    return (
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.mkldnn.enabled,
        torch.backends.cudnn.enabled,
        *settings_of_python(),
    )


def addresses(tensors: Sequence[Tensor]) -> Hashable:
    """Where every tensor lies, and how often it was written to."""
    return *map(Tensor.data_ptr, tensors), *[tensor._version for tensor in tensors]
