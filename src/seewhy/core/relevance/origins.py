"""Where a tensor comes from: takes tensors as a forward makes them, gives what is known of them; holds none of them.

What is known: how its smallest and largest values follow from the input's (moved, put together, padded, averaged,
added up, scaled by constants), which of its values are padding, which linear layer put it out, and that it opens and
closes rather than carries (a gate), or is a softmax (weights).
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from seewhy.core.intercept.autograd import is_live
from seewhy.core.intercept.functions import Call
from seewhy.core.relevance.canonization import Reader

__all__ = ["MONOTONE", "MOVES", "Ends", "Note", "Notes", "Way"]

#: the smallest and the largest that every value can be
Ends = tuple[Tensor, Tensor]
#: the input's ends -> those of a tensor that comes from it
Way = Callable[[Ends], Ends]

#: functions that only move values, or put several tensors together; with whether the output is the argument itself,
#: value by value
MOVES: dict[str, bool] = {
    **dict.fromkeys(
        (
            *("clone", "contiguous", "to", "_to_copy", "alias", "lift_fresh", "dropout", "positive"),
            *("double", "float", "half", "bfloat16", "type", "type_as", "cpu", "cuda"),
        ),
        True,
    ),
    **dict.fromkeys(
        (
            *("flatten", "ravel", "reshape", "reshape_as", "view", "view_as", "_unsafe_view", "unflatten"),
            *("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "adjoint", "t", "numpy_T"),
            *("squeeze", "unsqueeze", "atleast_1d", "atleast_2d", "atleast_3d"),
            *("expand", "expand_as", "broadcast_to", "repeat", "tile", "repeat_interleave"),
            *("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d"),
            *("replication_pad1d", "replication_pad2d", "replication_pad3d", "_pad_circular"),
            *("__getitem__", "index", "index_select", "select", "slice", "narrow", "gather", "take_along_dim"),
            *("diagonal", "unfold", "as_strided"),
            *("flip", "fliplr", "flipud", "roll", "rot90"),
            *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle"),
            *("split", "split_with_sizes", "unsafe_split", "tensor_split", "hsplit", "vsplit", "dsplit"),
            *("chunk", "unsafe_chunk", "unbind"),
            *("cat", "concat", "concatenate", "stack", "hstack", "vstack", "row_stack", "dstack", "column_stack"),
        ),
        False,
    ),
}
#: functions that never fall where their argument rises, so that they take its smallest value to their smallest
MONOTONE = {
    *("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max"),
    *(f"{kind}max_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3)),
}
#: what moves values and is asked for as an attribute
_TURNED = {"T", "mT", "H", "mH"}
_PADS = ("pad", "constant_pad_nd")


@dataclass(frozen=True)
class Note:
    """What is known of one tensor. ``way`` leads from the input's ends to its own, None if it is something else;
    ``inside`` is 0 at padding, and may leave out what is the same for every image; ``layer`` is what the watch keeps
    for a linear layer's output, whatever the order of its axes."""

    way: Way | None = None
    inside: Tensor | None = None
    layer: Reader | None = None
    gate: bool = False
    weights: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is known."""
        return self.way is None and self.inside is None and self.layer is None and not (self.gate or self.weights)

    def then(self, step: Callable[[Tensor], Tensor]) -> Note:
        """What is known after ``step``, which never falls where its argument rises, or falls there everywhere: a
        product with a constant may do either, place by place."""
        return Note(way=None if self.way is None else _stepped(self.way, step), gate=self.gate)

    def with_other(self, other: Note, function: Callable[[Tensor, Tensor], Tensor]) -> Note:
        """What is known of a sum or difference of this and ``other``: a range that holds it, whether or not the two may
        go their ways apart."""
        one, two = self.way, other.way
        if one is None or two is None:
            return Note()

        def added(ends: Ends) -> Ends:
            corners = [function(a, b) for a, b in itertools.product(one(ends), two(ends))]
            return reduce(torch.minimum, corners), reduce(torch.maximum, corners)

        return Note(way=added)

    def handed(self, step: Callable[[Tensor], Tensor]) -> Note:
        """The same of values that are not single ones any more."""
        return replace(self.then(step), gate=False)


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
        """A handler for `MOVES`: what is known of the arguments is known of the result, or of each of several."""
        given = call.args[0] if call.args else call.kwargs.get("input", call.kwargs.get("tensors"))
        pieces: list[Any] = list(given) if isinstance(given, list | tuple) else [given]
        known = [self.of(piece) for piece in pieces]
        out = proceed(call)
        if MOVES[call.name]:
            if out is not given:
                self.put(out, known[0])
            return out
        pads = call.name in _PADS and bool(call.args) and _constant(call.args[1:], call.kwargs)
        if not pads and all(note.empty for note in known):
            return out
        func, several = call.func, isinstance(given, list | tuple)
        rest, kwargs = call.args[1:], {key: call.kwargs[key] for key in call.kwargs if key not in ("input", "tensors")}

        if call.name == "as_strided" and not pieces[0].is_contiguous():
            return out  # it reads memory, in which what is known of a value lies elsewhere

        def again(values: Sequence[Tensor], **changed: Any) -> Any:
            # a step that only lays values out anew was none that is noted, and `view` asks for how they lie
            laid = [value.contiguous() for value in values]
            return func(laid if several else laid[0], *rest, **(changed or kwargs))

        way = _together(pieces, known, again)
        inside = _inside(call, pieces, known, again, pads)
        for n, each in enumerate(out if isinstance(out, list | tuple) else [out]):
            if any(each is piece for piece in pieces):
                continue
            pick = _picking(n if isinstance(out, list | tuple) else None)
            note = Note(
                way=None if way is None else _picked(way, pick),
                inside=None if inside is None else pick(inside),
                gate=all(note.gate for note in known),
                weights=all(note.weights for note in known),
            )
            if call.name == "permute" and call.args and known[0].layer is not None:
                axes = kwargs["dims"] if "dims" in kwargs else rest[0] if isinstance(rest[0], Sequence) else rest
                note = replace(note, layer=known[0].layer.permuted(tuple(axes)))
            self.put(each, note)
        return out

    def turned(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """A handler for attributes: those that are the tensor with its axes in another order."""
        out = proceed(call)
        if getattr(getattr(call.func, "__self__", None), "__name__", None) in _TURNED:
            self.put(out, self.of(call.args[0]).then(call.func))
        return out

    def written(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """A handler for ``x[index] = value`` and ``x.copy_(value)``: what is known of both is known of ``x``."""
        if len(call.args) != (3 if call.name == "__setitem__" else 2):
            return proceed(call)
        base, value = call.args[0], call.args[-1]
        known = self.of(base), self.of(value)
        if all(note.way is None for note in known):
            return proceed(call)
        index = call.args[1] if call.name == "__setitem__" else ...
        given = value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=base.dtype, device=base.device)
        pieces = [base.detach().clone() if known[0].way is None and not is_live(base) else base, given]

        def again(values: Sequence[Tensor]) -> Tensor:
            whole = values[0].clone()
            whole[index] = values[1].to(whole.dtype)
            return whole

        way = _together(pieces, known, again)
        inside = None if way is None else _inside(call, pieces, known, again, False)
        out = proceed(call)
        self.put(base, Note(way=way, inside=inside))
        return out


def _stepped(way: Way, step: Callable[[Tensor], Tensor]) -> Way:
    def stepped(ends: Ends) -> Ends:
        one, other = map(step, way(ends))
        return torch.minimum(one, other), torch.maximum(one, other)

    return stepped


def _picking(n: int | None) -> Callable[[Any], Tensor]:
    return lambda values: values if n is None else values[n]


def _picked(way: Callable[[Ends], tuple[Any, Any]], pick: Callable[[Any], Tensor]) -> Way:
    def picked(ends: Ends) -> Ends:
        low, high = way(ends)
        return pick(low), pick(high)

    return picked


def _together(
    pieces: Sequence[Tensor], known: Sequence[Note], again: Callable[[Sequence[Tensor]], Any]
) -> Callable[[Ends], tuple[Any, Any]] | None:
    """The way to what is made of ``pieces``: of those that come from the input and of constants, which are their own
    ends; None where there is anything else among them."""
    ways: list[Way] = []
    if all(note.way is None for note in known):
        return None
    for piece, note in zip(pieces, known, strict=True):
        if note.way is None and is_live(piece):
            return None
        ways.append(note.way or _always(piece.detach().clone()))

    def together(ends: Ends) -> tuple[Any, Any]:
        lows, highs = zip(*(way(ends) for way in ways), strict=True)
        return again(lows), again(highs)

    return together


def _always(constant: Tensor) -> Way:
    return lambda ends: (constant, constant)


def _inside(call: Call, pieces: Sequence[Tensor], known: Sequence[Note], again: Callable[..., Any], pads: bool) -> Any:
    """1 at what is made of ``pieces``, 0 at what is padding in it: zeros that were put beside other values, or padding
    of theirs; None where there is none."""
    zeros = [
        note.empty and len(pieces) > 1 and not is_live(piece) and not bool(piece.any())
        for piece, note in zip(pieces, known, strict=True)
    ]
    if not pads and not any(zeros) and all(note.inside is None for note in known):
        return None
    with torch.no_grad():
        if call.name in (*_PADS, "permute"):  # the same for every image
            one = torch.ones_like(pieces[0][:1]) if known[0].inside is None else known[0].inside
            return again([one.detach()], **_zero(call)) if pads else again([one])
        masks = [
            torch.zeros_like(piece) if zero
            else torch.ones_like(piece) if note.inside is None
            else note.inside.expand(piece.shape)
            for piece, note, zero in zip(pieces, known, zeros, strict=True)
        ]  # fmt: skip
        return again(masks)


def _constant(rest: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether padding is with a number; 0 in practice, since only then does the mask below hold."""
    mode = rest[1] if len(rest) > 1 and isinstance(rest[1], str) else kwargs.get("mode", "constant")
    value = rest[2] if len(rest) > 2 else rest[1] if len(rest) > 1 and not isinstance(rest[1], str) else None
    return mode == "constant" and not (kwargs.get("value", value) or 0)


def _zero(call: Call) -> dict[str, Any]:
    return {key: value for key, value in call.kwargs.items() if key not in ("input", "value")}
