"""Checksums: takes tensors, gives what lies in them as bytes, or as sums over the bits of large ones; runs nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Bits", "Contents", "digest"]

#: what elements of so many bytes are read as
_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Bits:
    """What lies in ``views`` [n] each; to be asked while their tensors lie where they did.

    Numpy puts hundreds of small views together in a fifth of torch's time; where it cannot look, torch does. It looks
    through dlpack, as ``Tensor.numpy`` would forbid the user to resize a tensor ever after.
    """

    def __init__(self, views: Iterable[Tensor]) -> None:
        self._near: dict[torch.dtype, list[np.ndarray[Any, Any]]] = {}
        self._far: dict[object, list[Tensor]] = {}
        for view in views:
            word = _WORDS.get(view.element_size())
            plain = type(view) is Tensor and view.device.type == "cpu" and not (view.is_conj() or view.is_neg())
            if plain and word is not None:
                self._near.setdefault(word, []).append(np.from_dlpack(view.detach().view(word)))
            else:
                self._far.setdefault((view.dtype, view.device), []).append(view)

    def now(self) -> bytes:
        """The bytes as they are now, in an order of their own."""
        near = [np.concatenate(views).tobytes() for views in self._near.values()]
        with torch.no_grad():
            far = [torch.cat(views).cpu().resolve_conj().resolve_neg() for views in self._far.values()]
        return b"".join((*near, *(part.view(torch.uint8).numpy().tobytes() for part in far)))


#: tensors below this many bytes are compared as they are
_SMALL = 16384

#: how many numbers of 8 bytes of a large tensor are summed up together at most, each far from the next
_TOGETHER = 32


def for_sums(bits: Tensor, shape: Sequence[int]) -> tuple[Tensor | None, Tensor]:
    """A view [m, n] of the ``bits`` of a large tensor of that ``shape``, to be summed up along its first axis, and the
    rest; None for a small one.

    What is summed up together lies n places apart. That is a prime number, longer than every axis and no divisor of the
    tensor's length: slices along any axis that change places (filters, channels, the rows of a kernel) come into other
    sums, and so do two numbers anywhere, unless they lie a multiple of n apart.
    """
    words = bits.numel() // 8
    # there is a prime between any number and its double
    together = min(_TOGETHER, words // (2 * max(shape))) if len(shape) > 1 else _TOGETHER
    if bits.numel() < _SMALL or together < _FEW or bits.storage_offset() % 8:
        return None, bits
    apart = next(n for n in range(words // together, 1, -1) if words % n and _is_prime(n))
    summed = 8 * together * apart
    return bits[:summed].view(torch.int64).reshape(together, apart), bits[summed:]


#: where fewer would be summed up together, a tensor is compared as it is
_FEW = 2


def _is_prime(number: int) -> bool:
    return all(number % divisor for divisor in range(2, math.isqrt(number) + 1))


def digest(tensor: Tensor) -> bytes:
    """What lies in ``tensor``: all bytes of a small one, sums over those of a large one; nothing of one that has no
    memory of its own."""
    if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized or tensor.numel() == 0:
        return b""
    with torch.no_grad():
        bits = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
        summed, rest = for_sums(bits, tensor.shape)
        parts = [rest] if summed is None else [summed.sum(0).view(torch.uint8), rest]
        return b"".join(np.from_dlpack(part.cpu()).tobytes() for part in parts)


class _Sums:
    """Sums over the bits of the large tensors of one device, as they are whenever they are asked for; ``views`` are
    those of `for_sums`."""

    def __init__(self, views: Sequence[Tensor]) -> None:
        lengths = [view.shape[1] for view in views]
        self._room = torch.empty(sum(lengths), dtype=torch.int64, device=views[0].device)
        self._jobs = [*zip(views, torch.split(self._room, lengths), strict=True)]
        self._sum_up()
        self._before = self._room.clone()

    def unchanged(self) -> bool:
        """Whether they are what they were at first."""
        self._sum_up()
        return torch.equal(self._room, self._before)

    def _sum_up(self) -> None:
        """Write them as they are now."""
        with torch.no_grad():
            for view, room in self._jobs:
                torch.sum(view, 0, out=room)


class Contents:
    """What ``tensors`` hold: the bits of small ones, sums over the bits of large ones (`for_sums`), which are kept, a
    thirty-second of the memory. To be asked under the network's locks."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        tensors = [tensor.detach() for tensor in tensors]
        large: dict[torch.device, list[Tensor]] = {}
        small: list[Tensor] = []
        self._odd: list[Tensor] = []
        self._where = {(tensor.data_ptr(), tensor.nbytes) for tensor in tensors}
        for tensor in tensors:
            # in the order in which it lies in memory; a window into something larger lies in none
            dense = tensor.permute(sorted(range(tensor.ndim), key=tensor.stride, reverse=True))
            if not dense.is_contiguous() or tensor.is_quantized:
                self._odd.append(tensor)
                self._where.discard((tensor.data_ptr(), tensor.nbytes))
                continue
            summed, rest = for_sums(dense.reshape(-1).view(torch.uint8), tensor.shape)
            small.append(rest)
            if summed is not None:
                large.setdefault(summed.device, []).append(summed)
        self._sums = [_Sums(views) for views in large.values()]
        self._small = Bits(small)
        self._seen = self._now()

    def unchanged(self) -> bool:
        """Whether every bit is as it was, as far as sums can tell."""
        return all(sums.unchanged() for sums in self._sums) and self._now() == self._seen

    def covers(self, tensor: Tensor) -> bool:
        """Whether all of the memory of ``tensor`` is looked at."""
        return (tensor.data_ptr(), tensor.nbytes) in self._where

    def _now(self) -> tuple[bytes, ...]:
        with torch.no_grad():
            odd = [tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes() for tensor in self._odd]
        return (self._small.now(), *odd)
