"""Checksums: takes tensors, gives what lies in them as bytes, or as sums over the bits of large ones; runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Bits", "digest", "for_sums"]

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

#: how many numbers of 8 bytes of a large tensor are summed up together, each far from the next
_TOGETHER = 16


def for_sums(bits: Tensor) -> tuple[Tensor | None, Tensor]:
    """A view [16, n] of the ``bits`` of a large tensor, to be summed up along its first axis, and the rest; None for a
    small one.

    What is summed up together lies an odd number of places apart, a sixteenth of the tensor: values that change places
    within a kernel, a channel or a layer come into other sums.
    """
    if bits.numel() < _SMALL or bits.storage_offset() % 8:
        return None, bits
    apart = bits.numel() // (8 * _TOGETHER)
    apart -= apart % 2 == 0
    summed = 8 * _TOGETHER * apart
    return bits[:summed].view(torch.int64).reshape(_TOGETHER, apart), bits[summed:]


def digest(tensor: Tensor) -> bytes:
    """What lies in ``tensor``: all bytes of a small one, sums over those of a large one; nothing of one that has no
    memory of its own."""
    if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized or tensor.numel() == 0:
        return b""
    with torch.no_grad():
        bits = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
        summed, rest = for_sums(bits)
        parts = [rest] if summed is None else [summed.sum(0).view(torch.uint8), rest]
        return b"".join(np.from_dlpack(part.cpu()).tobytes() for part in parts)
