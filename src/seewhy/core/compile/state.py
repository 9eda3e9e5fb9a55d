"""A model's state: takes a module, gives what must still be so for a prepared network to stand for it; changes
nothing.

A state is every submodule's type, attributes, hooks and overridden forward, with what lies in containers and in the
user's own objects; what its classes, and the code of their functions, read besides: class attributes, globals,
closures, defaults; torch's settings; and every tensor's identity, address and version. The version misses what is
written through ``.data`` or numpy: tensors of which a prepared network holds a changed copy are summed up as well, bit
for bit. Those that it reads where they are need no sum. `docs/prepared.md` has the list in full.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.compile.watching import PLAIN, Bits, Look, for_sums, read_by

__all__ = ["Contents", "addresses", "structure"]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

#: what every module has: seen otherwise, or no part of what it computes
_BASE = frozenset(nn.Module().__dict__)


def structure(parts: Sequence[nn.Module]) -> Hashable:
    """What a module of these submodules is made of: types, attributes, hooks, overridden forwards, what their classes
    read besides, torch's settings, the identity of every tensor.

    Raises `CapabilityError` where that is too much to look at in every call.
    """
    owned = [part.__dict__ for part in parts]
    look = Look(parts)
    plain = PLAIN.issuperset
    attributes = [
        v if type(v) in PLAIN or (type(v) is tuple and plain(map(type, v))) else look(v, k)
        for own in owned for k, v in own.items() if k not in _BASE
    ]  # fmt: skip
    hooks = [
        (n, name, *((key, id(hook)) for key, hook in own[name].items()))
        for n, own in enumerate(owned)
        for name in _HOOKS
        if own[name]
    ]
    held = [own[kind] for own in owned for kind in ("_parameters", "_buffers")]
    tensors = [id(tensor) for kind in held for tensor in kind.values()]
    kinds = tuple(map(type, parts))
    besides = [look(value, name) for name, value in read_by(kinds)]
    # how many each has says where one ends and the next begins
    return (
        *kinds, *map(len, owned), *map(len, held), *attributes, *hooks, *tensors, *besides, *_settings()
    )  # fmt: skip


def _settings() -> tuple[Hashable, ...]:
    """What torch computes by, for all networks alike."""
    return (
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.mkldnn.enabled,
        torch.backends.cudnn.enabled,
    )


def addresses(tensors: Sequence[Tensor]) -> Hashable:
    """Where every tensor lies, and how often it was written to."""
    return *map(Tensor.data_ptr, tensors), *[tensor._version for tensor in tensors]


class Contents:
    """What ``tensors`` hold: the bits of small ones, sums over the bits of large ones (`for_sums`), which are kept, a
    sixteenth of the memory."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._summed: list[Tensor] = []
        self._odd: list[Tensor] = []
        self._whole = Bits([rest for tensor in tensors if (rest := self._look_at(tensor.detach())) is not None])
        self._sums, self._seen = self._sums_now(), self._now()

    def unchanged(self) -> bool:
        """Whether every bit is as it was, as far as sums can tell."""
        alike = all(torch.equal(a, b) for a, b in zip(self._sums_now(), self._sums, strict=True))
        return alike and self._now() == self._seen

    def _look_at(self, tensor: Tensor) -> Tensor | None:
        """Note views that show what is in ``tensor`` at any later time; gives the rest, which is small."""
        order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
        dense = tensor.permute(order)
        if not dense.is_contiguous() or tensor.is_quantized:  # a window into something larger
            self._odd.append(tensor)
            return None
        summed, rest = for_sums(dense.reshape(-1).view(torch.uint8))
        if summed is not None:
            self._summed.append(summed)
        return rest

    def _sums_now(self) -> list[Tensor]:
        with torch.no_grad():
            return [view.sum(0) for view in self._summed]

    def _now(self) -> tuple[Any, ...]:
        with torch.no_grad():
            odd = [tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes() for tensor in self._odd]
        return (self._whole.now(), *odd)
