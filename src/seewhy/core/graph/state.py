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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seewhy.core.bits import Bits
from seewhy.core.graph.watching import PLAIN, Look, is_plain, read_by

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
    attributes = [
        v if type(v) in PLAIN or is_plain(v) else look(v, k) for own in owned for k, v in own.items() if k not in _BASE
    ]
    hooks = [
        (n, name, *((key, id(hook)) for key, hook in own[name].items()))
        for n, own in enumerate(owned)
        for name in _HOOKS
        if own[name]
    ]
    held = [kind for part in parts for kind in (part._parameters, part._buffers)]
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


#: tensors below this many bytes are compared as they are
_SMALL = 16384
#: how many numbers of 8 bytes make a row of a large tensor, of which rows and columns are summed
_ROW = 1024
#: how many rows are summed at a time: they stay in a cache between both sums
_ROWS = 256
#: an odd number without a pattern: 2^64 over the golden ratio
_ODD = np.uint64(0x9E3779B97F4A7C15)


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
            summed = bits.numel() // (8 * _ROW) * 8 * _ROW
            self._sums.append(bits[:summed].view(torch.int64).reshape(-1, _ROW))
            bits = bits[summed:]
        return bits

    def _now(self) -> tuple[Any, ...]:
        with torch.no_grad():
            sums = [_sums(view) for view in self._sums]
            odd = [tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes() for tensor in self._odd]
        return (*sums, self._whole.now(), *odd)


def _sums(view: Tensor) -> int:
    """A number that tells [rows, columns] from others: of its rows' sums and of its columns' sums, each scrambled with
    its place. Two values that change places are in other rows or in other columns."""
    if view.device.type == "cpu":  # numpy takes one thread, and half of torch's time there
        values = np.from_dlpack(view)
        pieces = [values[n : n + _ROWS] for n in range(0, len(values), _ROWS)]
        both = [(piece.sum(1), piece.sum(0)) for piece in pieces]
        rows, columns = np.concatenate([rows for rows, _ in both]), sum(columns for _, columns in both)
    else:
        rows, columns = (view.sum(axis).cpu().numpy() for axis in (1, 0))
    sums: NDArray[np.uint64] = np.concatenate([rows, columns]).view(np.uint64)
    mixed = (np.arange(1, len(sums) + 1, dtype=np.uint64) + sums) * _ODD
    for bits in (32, 29, 32):  # once would leave a flipped topmost bit that another one undoes
        mixed ^= mixed >> np.uint64(bits)
        mixed *= _ODD
    return int(mixed.sum())
