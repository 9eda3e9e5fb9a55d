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
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.compile.attributes import attributes_of
from seewhy.core.compile.checksums import Bits, for_sums
from seewhy.core.compile.state_of_code import functions_of_torch, read_by
from seewhy.core.compile.state_of_python import settings_of_python
from seewhy.core.compile.state_of_values import Look
from seewhy.errors import CapabilityError

__all__ = ["Contents", "addresses", "structure"]

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
    owned = [part.__dict__ for part in parts]
    look = Look(parts)
    kept, values = attributes_of(parts)
    hooks = [
        (n, name, *((key, id(hook)) for key, hook in own[name].items()))
        for n, own in enumerate(owned)
        if own["_forward_hooks"] or own["_forward_pre_hooks"] or own["_backward_hooks"] or own["_backward_pre_hooks"]
        for name in _HOOKS
    ]
    held = [own[kind] for own in owned for kind in ("_parameters", "_buffers")]
    tensors = [*itertools.chain.from_iterable(map(dict.values, held))]
    marked = [
        (n, *own, *own.values()) for n, tensor in enumerate(tensors) if tensor is not None and (own := tensor.__dict__)
    ]
    kinds = tuple(map(type, parts))
    read = read_by(kinds)
    # how many each has says where one ends and the next begins
    return (
        *kinds, kept.names, kept.sizes, *map(len, held),
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


class Contents:
    """What ``tensors`` hold: the bits of small ones, sums over the bits of large ones (`for_sums`), which are kept, a
    sixteenth of the memory."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._summed: dict[torch.device, list[Tensor]] = {}
        self._odd: list[Tensor] = []
        self._whole = Bits([rest for tensor in tensors if (rest := self._look_at(tensor.detach())) is not None])
        #: of every device, what its sums are written to, and one after the other where in it
        self._room = {
            device: torch.empty(sum(view.shape[1] for view in views), dtype=torch.int64, device=device)
            for device, views in self._summed.items()
        }
        self._slots = [
            slot
            for device, views in self._summed.items()
            for slot in torch.split(self._room[device], [view.shape[1] for view in views])
        ]
        self._sum_up()
        self._sums, self._seen = {device: sums.clone() for device, sums in self._room.items()}, self._now()

    def unchanged(self) -> bool:
        """Whether every bit is as it was, as far as sums can tell."""
        self._sum_up()
        alike = all(torch.equal(self._room[device], sums) for device, sums in self._sums.items())
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
            self._summed.setdefault(summed.device, []).append(summed)
        return rest

    def _sum_up(self) -> None:
        """Write the sums as they are now; called under the network's locks, as all that looks at it."""
        views = itertools.chain.from_iterable(self._summed.values())
        with torch.no_grad():
            for view, slot in zip(views, self._slots, strict=True):
                torch.sum(view, 0, out=slot)

    def _now(self) -> tuple[Any, ...]:
        with torch.no_grad():
            odd = [tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes() for tensor in self._odd]
        return (self._whole.now(), *odd)
