"""Relevance through a forward: takes intercepted calls, gives backward passes that carry relevance; never changes a
value or a module.

Every function that is met becomes a `Ruled` call. Which rule holds is read when the backward pass runs, from
its state, so that all composites and all targets share one forward.

* Convolutions and linear layers follow the composite. The batch norm that reads exactly such a layer's output is taken
  into it: the rule sees w' = w g / s and b' = (b - m) g / s + beta. So are constants of each channel that are added or
  multiply there. Whether they were alone in reading it is known when relevance arrives: then what arrives at the layer
  is what they passed on. Any other batch norm passes.
* Pooling, sums over positions and sums of two activations share in proportion to the values.
* A signal times a gate: the signal takes all. Constants that multiply or are added pass.
* Activation functions pass; max pooling is its own gradient, since the winner takes all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from seewhy.core.intercept.autograd import Backward, is_live, nodes_behind, ruled
from seewhy.core.intercept.backward_rules import RECTIFIERS, out_of_place
from seewhy.core.intercept.functions import PRODUCTS, SUMS, Call, Handler
from seewhy.core.relevance.arithmetic import Arithmetic, Ledger, State, written_back
from seewhy.core.relevance.canonization import Reader, Step, Tails
from seewhy.core.relevance.composites import LinearCall
from seewhy.core.relevance.linear import NORMS, POOLINGS, WEIGHTED, WeightedCall, pool_again, read_norm, read_weighted
from seewhy.core.relevance.origins import MONOTONE, MOVES, Note, Way
from seewhy.core.relevance.redistribution import LinearMap, Shares
from seewhy.core.relevance.rules import Rule

__all__ = ["ACTIVATIONS", "RelevanceWatch"]

#: functions of one value that open and close rather than carry
_GATES = ("sigmoid", "hardsigmoid", "tanh", "softmax")
_ELEMENTWISE = (
    "sigmoid", "hardsigmoid", "tanh", "logsigmoid", "log_sigmoid", "softsign", "tanhshrink", "softshrink", "hardshrink",
)  # fmt: skip
#: every activation function, by name
ACTIVATIONS = (*RECTIFIERS, *_ELEMENTWISE, "clamp", "clamp_min", "clamp_max")


@dataclass(eq=False)
class _Layer:
    """A linear layer's call, and what followed it."""

    call: WeightedCall
    index: int
    note: Note
    tails: Tails
    #: whether no other one is between the input and it
    lowest: bool


@dataclass
class RelevanceWatch:
    """Lets every function of a forward carry relevance by the composite that is active in the backward pass."""

    #: what sums and products do, and which functions make gates
    arithmetic: ClassVar[type[Arithmetic]] = Arithmetic
    gates: ClassVar[tuple[str, ...]] = _GATES

    state: State = field(default_factory=State)
    count: int = 0
    _size: torch.Size = field(default_factory=torch.Size)

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name. Made when asked for: kept, they would tie the watch and the graph that it holds into a
        cycle, which only the garbage collector could undo."""
        both, arithmetic = ("", "_"), self.arithmetic(self.state).handle
        return {
            **dict.fromkeys(WEIGHTED, self._weighted),
            **dict.fromkeys(NORMS, self._norm),
            **dict.fromkeys(POOLINGS, self._pooling),
            **{name + tail: self._activation for name in ACTIVATIONS for tail in both},
            **{name + tail: arithmetic for name in (*SUMS, *PRODUCTS) for tail in both},
            **dict.fromkeys(("__rsub__", "rsub", "neg"), arithmetic),
            **dict.fromkeys(MOVES, self.state.notes.moved),
            **dict.fromkeys(("__setitem__", "copy_"), self.state.notes.written),
            **dict.fromkeys(MONOTONE - {*ACTIVATIONS}, self._largest),
            "__get__": self.state.notes.turned,
            "softmax": self._gate,
        }

    def begin(self, x: Tensor) -> None:
        """``x`` is what the model is about to be given."""
        self._size = x.shape
        self.state.notes.put(x, Note(way=lambda ends: ends))

    def _weighted(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        layer = self.count
        self.count += 1
        read = read_weighted(call)
        if read is None or not self._recorded(read.tensors[0]) or is_live(read.tensors[1]):
            return proceed(call)
        note = self.state.notes.of(read.tensors[0])
        known = _Layer(read, layer, note, Tails(1), note.way is not None or _lowest(read.tensors[0]))
        out = ruled(read.exactly, _Through(self._back_through_layer, known), *read.tensors[: len(read.places)])
        if read.kind == "linear":
            known.tails.channel = out.ndim - 1
        self.state.notes.put(out, Note(layer=Reader(known.tails)))
        return out

    def _back_through_layer(
        self, layer: _Layer, relevance: Tensor, tensors: Sequence[Any]
    ) -> tuple[Tensor | None, ...] | None:
        if self.state.active is None:
            return None
        composite, ledger = self.state.active
        x, weight, bias = (*tensors, None)[:3]
        taken = layer.tails.affine(relevance)
        if taken is not None:
            scale, shift = taken
            weight = layer.call.scaled(weight, scale)
            bias = shift if bias is None else bias * scale + shift
        shaped = None if bias is None else layer.call.shaped(bias, relevance.ndim)
        way = layer.note.way
        linear = LinearMap(
            layer.call.run, x, weight, shaped, layer.note.inside, None if way is None else _bound(self._carry, way)
        )
        asked = LinearCall(layer.call.kind, layer.index, self.count, way is not None, layer.lowest)
        rule = composite.choose(asked)
        if layer.lowest and not asked.first:
            wanted = composite.choose(replace(asked, first=True))
            if type(wanted) is not type(rule):
                ledger.said.append(
                    f"linear layer {layer.index + 1} of {self.count} has the rule {_words(rule)} instead of "
                    f"{_words(wanted)}: what it reads could not be followed from the input, so that its range is not "
                    "known"
                )
        return self._book(rule(linear, relevance), ledger, len(tensors))

    def _carry(self, way: Way, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        return way((low.expand(self._size), high.expand(self._size)))

    @staticmethod
    def _book(shares: Shares, ledger: Ledger, count: int) -> tuple[Tensor | None, ...]:
        ledger.book(shares.bias, shares.stabiliser)
        return shares.values, *(None for _ in range(count - 1))

    def _norm(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        read = read_norm(call)
        x = read.tensors[0]
        if not self._recorded(x):
            return proceed(call)
        layer = self.state.notes.of(x).layer
        known = layer is not None and read.fixed and layer.channel == 1
        step = layer.follow(read.affine).tail if layer is not None and known else None
        several: list[Any] = []

        def function(*tensors: Any) -> Tensor:
            out = read.exactly(*tensors)
            if isinstance(out, Tensor):
                return out
            several[:] = out[1:]
            return out[0]  # type: ignore[no-any-return]

        out = ruled(function, _bound(self._back_through_norm, step), *read.tensors)
        if read.fixed:
            scale, shift = read.affine()
            shape = (-1, *(1 for _ in x.shape[2:]))
            self.state.notes.put(
                out, self.state.notes.of(x).handed(lambda t: t * scale.reshape(shape) + shift.reshape(shape))
            )
        return (out, *several) if several else out

    def _back_through_norm(self, step: Step | None, relevance: Tensor, tensors: Sequence[Any]) -> Any:
        if self.state.active is None:
            return None
        if step is not None:
            step.passed = relevance
        return relevance, None, None

    def _pooling(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        x = call.args[0] if call.args else call.kwargs["input"]
        if not self._recorded(x) or "out" in call.kwargs:
            return proceed(call)
        again, known = pool_again(call), self.state.notes.of(x)
        back: Backward = _bound(self._back_through_pooling, again)
        if known.way is not None and _mode(call).startswith("nearest"):
            back = _as_it_is  # every value is one of the input's: nothing is averaged
        # a clone: averages do not keep their argument, so a model may go on to rewrite it
        out = ruled(again, back, x.clone())
        if _mode(call) != "bicubic":  # which has weights below 0
            self.state.notes.put(out, known.handed(again))
        return out

    def _largest(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        x = call.args[0] if call.args else call.kwargs["input"]
        known = self.state.notes.of(x)
        out = proceed(call)
        if isinstance(out, Tensor):
            self.state.notes.put(out, known.handed(pool_again(call)))
        return out

    def _back_through_pooling(self, again: Any, relevance: Tensor, tensors: Sequence[Any]) -> Any:
        if self.state.active is None:
            return None
        composite, ledger = self.state.active
        linear = LinearMap(lambda x, _: again(x), tensors[0])
        return self._book(composite.pooling(linear, relevance), ledger, 1)

    def _activation(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        z = call.args[0] if call.args else call.kwargs["input"]
        if not self._recorded(z):
            out = proceed(call)
            if call.name.rstrip("_") in self.gates and self.state.of_held(z):
                self.state.notes.put(out, Note(gate=True))
            return out
        function, known = out_of_place(call), self.state.notes.of(z)
        out = written_back(call, z, lambda at: ruled(function, self.state.passes, at))
        if call.name.rstrip("_") in self.gates:
            self.state.notes.put(out, Note(gate=True))
        elif call.name.rstrip("_") in MONOTONE:
            self.state.notes.put(out, known.handed(function))
        return out

    def _gate(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        out = proceed(call)
        self.state.notes.put(out, Note(gate=True))
        return out

    @staticmethod
    def _recorded(x: Any) -> bool:
        return isinstance(x, Tensor) and torch.is_grad_enabled() and is_live(x)


@dataclass(frozen=True, eq=False)
class _Through:
    """The way back through a linear layer."""

    method: Callable[..., Any]
    layer: _Layer

    def __call__(self, relevance: Tensor, tensors: Sequence[Any]) -> Any:
        """What goes on to each tensor of the call."""
        return self.method(self.layer, relevance, tensors)


def _words(rule: Rule) -> str:
    """``ZBox`` is z-box."""
    return re.sub(r"(?<=.)(?=[A-Z])", "-", getattr(rule, "__name__", type(rule).__name__)).lower()


def _lowest(x: Tensor) -> bool:
    """Whether there is no linear layer behind ``x``."""
    return not any(
        node.name() == "RuledBackward" and isinstance(getattr(node, "rule", None), _Through) for node in nodes_behind(x)
    )


def _as_it_is(relevance: Tensor, tensors: Sequence[Any]) -> None:
    """The plain gradient, as a way back."""


def _mode(call: Call) -> str:
    """How values between places are made, of a call that may be an interpolation."""
    if call.name == "interpolate":
        return str(call.args[3] if len(call.args) > 3 else call.kwargs.get("mode", "nearest"))
    return re.sub(r"^upsample_|\dd$", "", call.name) if call.name.startswith("upsample_") else ""


def _bound(method: Callable[..., Any], first: Any) -> Callable[..., Any]:
    return lambda *args: method(first, *args)
