"""Bits: takes views of many tensors, gives the bytes that lie in them at any later time; keeps no copy, writes
nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Bits"]

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
        return b"".join((*near, *(each.view(torch.uint8).numpy().tobytes() for each in far)))
