"""Where a tensor comes from: takes tensors as a forward makes them, gives what is known of them; holds none of them.

What is known: that it is the input itself (moved, padded, scaled by constants), which of its values are padding, which
linear layer put it out, and that it opens and closes rather than carries (a gate).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from seewhy.core.intercept.functions import Call
from seewhy.core.relevance.canonization import Reader

__all__ = ["MOVES", "Note", "Notes"]

#: functions that only move values; with whether the output is the argument itself, value by value
MOVES: dict[str, bool] = {
    **dict.fromkeys(("clone", "contiguous", "to", "_to_copy", "alias", "lift_fresh", "dropout"), True),
    **dict.fromkeys(
        (
            *("flatten", "reshape", "view", "_unsafe_view", "unflatten", "permute", "transpose", "movedim"),
            *("squeeze", "unsqueeze", "expand", "expand_as", "pad", "constant_pad_nd"),
        ),
        False,
    ),
}


@dataclass(frozen=True)
class Note:
    """What is known of one tensor. ``path`` leads from the input to it, None if it is something else; ``inside``
    [1, ...] is 0 at padding; ``layer`` is what the watch keeps for a linear layer's output, whatever the order of its
    axes."""

    path: tuple[Callable[[Tensor], Tensor], ...] | None = None
    inside: Tensor | None = None
    layer: Reader | None = None
    gate: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is known."""
        return self.path is None and self.inside is None and self.layer is None and not self.gate

    def then(self, step: Callable[[Tensor], Tensor]) -> Note:
        """What is known after every value went through ``step`` by itself."""
        return Note(path=None if self.path is None else (*self.path, step), gate=self.gate)


class Notes:
    """Notes by tensor. Tensors are held weakly, and a note ends with any change of its tensor in place."""

    def __init__(self) -> None:
        self._notes: dict[int, tuple[weakref.ref[Tensor], int, Note]] = {}

    def of(self, tensor: Any) -> Note:
        """What is known of ``tensor``; an empty note if nothing is."""
        entry = self._notes.get(id(tensor))
        if not isinstance(tensor, Tensor) or entry is None or entry[0]() is not tensor or entry[1] != tensor._version:
            return Note()
        return entry[2]

    def put(self, tensor: Any, note: Note) -> None:
        """Know ``note`` of ``tensor``."""
        if isinstance(tensor, Tensor) and not tensor.is_inference() and not note.empty:
            self._notes[id(tensor)] = weakref.ref(tensor), tensor._version, note

    def clear(self) -> None:
        """Forget everything: the forward is over."""
        self._notes.clear()

    def moved(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """A handler for `MOVES`: what is known of the argument is known of the result."""
        source = call.args[0] if call.args else call.kwargs["input"]
        known = self.of(source)
        out = proceed(call)
        if out is source or not isinstance(out, Tensor):
            return out
        if MOVES[call.name]:
            self.put(out, known)
            return out
        rest, kwargs = call.args[1:], {key: value for key, value in call.kwargs.items() if key != "input"}
        note = known.then(lambda t: call.func(t, *rest, **kwargs)) if call.args else Note(gate=known.gate)
        if call.name == "permute" and call.args:
            axes = kwargs["dims"] if "dims" in kwargs else rest[0] if isinstance(rest[0], Sequence) else rest
            layer = None if known.layer is None else known.layer.permuted(tuple(axes))
            note = replace(note, layer=layer, inside=None if known.inside is None else known.inside.permute(*axes))
        if call.name in ("pad", "constant_pad_nd") and call.args and _constant(rest, kwargs):
            inside = torch.ones_like(source[:1]) if known.inside is None else known.inside
            inside = call.func(inside.detach(), *rest, **_zero(kwargs))
            note = replace(note, inside=inside)
        self.put(out, note)
        return out


def _constant(rest: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether padding is with a number; 0 in practice, since only then does the mask below hold."""
    mode = rest[1] if len(rest) > 1 and isinstance(rest[1], str) else kwargs.get("mode", "constant")
    value = rest[2] if len(rest) > 2 else rest[1] if len(rest) > 1 and not isinstance(rest[1], str) else None
    return mode == "constant" and not (kwargs.get("value", value) or 0)


def _zero(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kwargs.items() if key != "value"}
