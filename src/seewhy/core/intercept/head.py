"""The last steps of a forward: takes intercepted calls, gives the final softmax and linear head; never changes a
value.

What hands the numbers of a softmax on (another type, another shape, a copy, a rounding to whole numbers) is followed:
the model's output is that softmax's, however it is dressed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from seewhy.core.intercept.functions import Call, Handler

__all__ = ["ENDINGS", "HeadWatch", "Linear", "Squash"]

_SQUASHES = {
    "softmax": "softmax",
    "_softmax": "softmax",
    "log_softmax": "log_softmax",
    "_log_softmax": "log_softmax",
    "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid",
    "log_sigmoid": "log_sigmoid",
    "special_softmax": "softmax",
    "special_log_softmax": "log_softmax",
    "special_expit": "sigmoid",
}

#: calls that give the same numbers as another type
_TYPES = ("to", "type", "half", "float", "double", "bfloat16", "_to_copy", "type_as")

#: those, or copied
_SAME = (
    *_TYPES, "contiguous", "clone", "detach", "alias", "lift_fresh_copy", "quantize_per_tensor", "dequantize",
    "fake_quantize_per_tensor_affine",
)  # fmt: skip

#: calls that give the same numbers in another shape
_SHAPES = ("view", "reshape", "_unsafe_view", "flatten", "squeeze", "unsqueeze", "__getitem__", "select", "slice")

#: calls that make one squash of another: by name, what it was and what it is
_TURNED = {
    "exp": {"log_softmax": "softmax", "log_sigmoid": "sigmoid"},
    "log": {"softmax": "log_softmax", "sigmoid": "log_sigmoid"},
}

#: calls that put several together along an axis, the first unless said
_JOINS = ("cat", "concat", "concatenate", "stack")

#: every call that an output can end in without being another one
ENDINGS = frozenset((*_SQUASHES, *_SAME, *_SHAPES, *_TURNED, *_JOINS))


@dataclass(frozen=True)
class Squash:
    """A softmax or sigmoid call, or of the logarithm of one: its input and its output, or what handed that on;
    ``dense``: of maps, not of rows of scores. ``versions`` are those of the two: what somebody writes into afterwards
    is not what was squashed any more, or not its squash."""

    kind: str
    source: Tensor
    result: Tensor
    dense: bool = False
    versions: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", self._now)

    @property
    def _now(self) -> tuple[int, int]:
        source, result = (-1 if end.is_inference() else end._version for end in (self.source, self.result))
        return source, result

    @property
    def holds(self) -> bool:
        """Whether nobody has written into either since."""
        return self._now == self.versions

    def produced(self, output: Tensor) -> bool:
        """Whether ``output`` is this call's result; rows of scores also by value, since not all copies are seen."""
        if not self.holds:
            return False
        if output is self.result:
            return True
        if self.dense or output.shape != self.result.shape or output.dtype != self.result.dtype:
            return False
        return bool(torch.equal(output.detach(), self.result.detach()))


@dataclass(frozen=True)
class Linear:
    """A linear call: pooled features [B, C], weights [K, C], result [B, K], and that as another type, if anybody made
    it one."""

    features: Tensor
    weight: Tensor
    result: Tensor
    retyped: Tensor | None = None


@dataclass
class HeadWatch:
    """Remembers the squashing and the linear calls of a forward on rows of scores, in order; of those on maps, of which
    attention has many, the last one."""

    squashes: list[Squash] = field(default_factory=list)
    linears: list[Linear] = field(default_factory=list)
    #: whether rows of scores were squashed behind the last linear call: by what the output may have been made
    squashed: bool = False
    _by_result: dict[int, Squash] = field(default_factory=dict)
    _dense: Squash | None = None

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name. Made when asked for: kept, they would tie the watch and the graph that it holds into a
        cycle, which only the garbage collector could undo."""
        matrices: dict[str, Handler] = dict.fromkeys(("matmul", "__matmul__", "mm"), self._matrix)
        passing: dict[str, Handler] = dict.fromkeys((*_SAME, *_SHAPES, *_TURNED), self._passed)
        squashing: dict[str, Handler] = dict.fromkeys(_SQUASHES, self._squashed)
        joining: dict[str, Handler] = dict.fromkeys(_JOINS, self._joined)
        return squashing | passing | joining | {"linear": self._linear, "add": self._added} | matrices

    def _squashed(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        source = call.args[0] if call.args else call.kwargs["input"]
        if call.name.endswith("_"):
            source = source.clone()
        result = proceed(call)
        # rows of scores may have axes of length 1 left; maps have positions
        dense = source.ndim > 2 and max(source.shape[2:]) > 1
        self._note(Squash(_SQUASHES[call.name], source, result, dense))
        return result

    def _passed(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        result = proceed(call)
        given = call.args[0] if call.args else call.kwargs.get("input")
        if call.name in _TYPES and self.linears and self._given_by_last(given):
            self.linears[-1] = replace(self.linears[-1], retyped=result)
        known = self._by_result.get(id(given))
        if known is None or not isinstance(result, Tensor) or result.numel() != known.result.numel():
            return result
        if not known.holds:
            return result
        kind, source = known.kind, known.source
        if call.name in _TURNED:
            if known.kind not in _TURNED[call.name]:
                return result
            kind = _TURNED[call.name][known.kind]
        elif call.name in _SHAPES:
            picks = call.name == "__getitem__" and _picks(call.args[1])
            if picks and not _stays(call, known):
                return result
            if picks or result.shape != known.result.shape:
                source = Call(call.func, call.name, (source, *call.args[1:]), call.kwargs).run()
        if result is not known.result:
            self._note(Squash(kind, source, result, known.dense))
        return result

    def _joined(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Several put together, image by image or chunk by chunk, are the squash of what they were made of put
        together: of a softmax where no row gets longer."""
        result = proceed(call)
        parts = call.args[0] if call.args else call.kwargs.get("tensors")
        known = [self._by_result.get(id(part)) for part in parts] if isinstance(parts, list | tuple) else []
        squashes = [squash for squash in known if squash is not None and squash.holds]
        if not known or len(squashes) != len(known) or len({(squash.kind, squash.dense) for squash in squashes}) > 1:
            return result
        axis = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", call.kwargs.get("axis", 0))
        if axis != 0 and "softmax" in squashes[0].kind:
            return result
        sources = [squash.source for squash in squashes]
        joined = torch.stack(sources, axis) if call.name == "stack" else torch.cat(sources, axis)
        self._note(Squash(squashes[0].kind, joined, result, squashes[0].dense))
        return result

    def _note(self, squash: Squash) -> None:
        if squash.dense:
            if self._dense is not None:
                self._by_result.pop(id(self._dense.result), None)
                self.squashes[:] = [earlier for earlier in self.squashes if earlier is not self._dense]
            self._dense = squash
        self.squashes.append(squash)
        self.squashed |= not squash.dense
        # the squash holds its result: no other tensor is given its number
        self._by_result[id(squash.result)] = squash

    def _linear(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        result = proceed(call)
        features = call.args[0] if call.args else call.kwargs["input"]
        weight = call.args[1] if len(call.args) > 1 else call.kwargs.get("weight")
        if features.ndim == 2 and isinstance(weight, Tensor):
            self._append(Linear(features, weight, result))
        return result

    def _matrix(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """A linear layer spelled as a product with a matrix of constants..."""
        result = proceed(call)
        weight = call.args[1] if len(call.args) > 1 else None
        if call.args and call.args[0].ndim == 2 and isinstance(weight, Tensor) and weight.ndim == 2:
            self._append(Linear(call.args[0], weight.T, result))
        return result

    def _added(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """...and the addition of its bias, to another type of it where libraries multiply in a wider one."""
        result = proceed(call)
        adds_to_last = bool(self.linears) and len(call.args) > 1 and self._given_by_last(call.args[0])
        if adds_to_last and isinstance(call.args[1], Tensor | float | int):
            self.linears[-1] = replace(self.linears[-1], result=result, retyped=None)
        return result

    def _append(self, linear: Linear) -> None:
        self.squashed = False
        self.linears.append(linear)

    def _given_by_last(self, value: Any) -> bool:
        """Whether ``value`` is what the last linear call gave, as whatever type."""
        last = self.linears[-1]
        return value is not None and (value is last.result or value is last.retyped)


def _picks(index: Any) -> bool:
    """Whether an index takes numbers one by one, in an order of its own, rather than a part as it lies."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(not isinstance(part, int | slice | None | type(...)) or isinstance(part, bool) for part in parts)


def _stays(call: Call, known: Squash) -> bool:
    """Whether the numbers that an index picks of a squash are the squash of those that it picks of the source: always
    where each is squashed by itself; of a softmax where whole rows of classes move, each in one order."""
    if "softmax" not in known.kind:
        return True
    shape = known.result.shape
    numbers = torch.arange(known.result.numel(), device=known.result.device).reshape(shape)
    picked = Call(call.func, call.name, (numbers, *call.args[1:]), call.kwargs).run()
    if picked.shape != shape or len(shape) < 2:
        return bool(torch.equal(picked.flatten(), numbers.flatten()))
    columns = picked // shape[2:].numel() % shape[1]
    rows = picked - columns * shape[2:].numel()
    each_once = columns.sort(1).values.movedim(1, -1) == torch.arange(shape[1], device=columns.device)
    return bool((rows == rows[:, :1]).all()) and bool(each_once.all())
