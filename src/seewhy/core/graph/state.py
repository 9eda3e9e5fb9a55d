"""A model's state: takes a module, gives what must still be so for a prepared network to stand for it; changes
nothing.

A state is every submodule's type, plain attributes, hooks and overridden forward, and every tensor's identity, address
and version. The version misses what is written through ``.data`` or numpy: tensors of which a prepared network holds a
changed copy are summed up as well, bit for bit. Those that it reads where they are need no sum.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.bits import Bits

__all__ = ["Contents", "addresses", "structure"]

_PLAIN = frozenset((int, float, bool, str, tuple, type(None)))
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
#: what every module has: seen otherwise, or no part of what it computes
_BASE = frozenset(nn.Module().__dict__)


def structure(parts: Sequence[nn.Module]) -> Hashable:
    """What a module of these submodules is made of: types, plain attributes, hooks, overridden forwards, the identity
    of every tensor."""
    owned = [part.__dict__ for part in parts]
    plain = [v if type(v) in _PLAIN else id(v) for own in owned for k, v in own.items() if k not in _BASE]
    hooks = [(n, name, *own[name]) for n, own in enumerate(owned) for name in _HOOKS if own[name]]
    held = [kind for part in parts for kind in (part._parameters, part._buffers)]
    tensors = [id(tensor) for kind in held for tensor in kind.values()]
    # how many each has says where one ends and the next begins
    return *map(type, parts), *map(len, owned), *map(len, held), *plain, *hooks, *tensors


def addresses(tensors: Sequence[Tensor]) -> Hashable:
    """Where every tensor lies, and how often it was written to."""
    return *map(Tensor.data_ptr, tensors), *[tensor._version for tensor in tensors]


#: tensors below this many bytes are compared as they are
_SMALL = 16384
#: sums a tensor, so that values that change places are seen, too
_BLOCKS = 16


class Contents:
    """What ``tensors`` hold: the bits of small ones, sums over the bits of large ones."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._sums: list[Tensor] = []
        self._odd: list[Tensor] = []
        self._whole = Bits([rest for tensor in tensors if (rest := self._look_at(tensor.detach())) is not None])
        self._seen = self._now()

    def unchanged(self) -> bool:
        """Whether every bit is as it was, as far as sums can tell."""
        return self._now() == self._seen

    def _look_at(self, tensor: Tensor) -> Tensor | None:
        """Note views that show what is in ``tensor`` at any later time; gives the rest, which is small."""
        order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
        dense = tensor.permute(order)
        if not dense.is_contiguous() or tensor.is_quantized:  # a window into something larger
            self._odd.append(tensor)
            return None
        bits = dense.reshape(-1).view(torch.uint8)
        if bits.numel() >= _SMALL and bits.storage_offset() % 8 == 0:
            summed = bits.numel() // (8 * _BLOCKS) * 8 * _BLOCKS
            self._sums.append(bits[:summed].view(torch.int64).reshape(_BLOCKS, -1))
            bits = bits[summed:]
        return bits

    def _now(self) -> tuple[Any, ...]:
        with torch.no_grad():
            sums = torch.cat([view.sum(1) for view in self._sums]).tolist() if self._sums else ()
            odd = [tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes() for tensor in self._odd]
        return (*sums, self._whole.now(), *odd)
