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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from seewhy.core.intercept.autograd import is_live, ruled
from seewhy.core.intercept.backward_rules import RECTIFIERS, out_of_place
from seewhy.core.intercept.functions import PRODUCTS, SUMS, Call, Handler
from seewhy.core.relevance.arithmetic import Arithmetic, Ledger, State, written_back
from seewhy.core.relevance.canonization import Reader, Step, Tails
from seewhy.core.relevance.composites import LinearCall
from seewhy.core.relevance.linear import NORMS, POOLINGS, WEIGHTED, WeightedCall, pool_again, read_norm, read_weighted
from seewhy.core.relevance.origins import MOVES, Note
from seewhy.core.relevance.redistribution import LinearMap, Shares

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


@dataclass
class RelevanceWatch:
    """Lets every function of a forward carry relevance by the composite that is active in the backward pass."""

    state: State = field(default_factory=State)
    count: int = 0
    _size: torch.Size = field(default_factory=torch.Size)

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name. Made when asked for: kept, they would tie the watch and the graph that it holds into a
        cycle, which only the garbage collector could undo."""
        both, arithmetic = ("", "_"), Arithmetic(self.state).handle
        return {
            **dict.fromkeys(WEIGHTED, self._weighted),
            **dict.fromkeys(NORMS, self._norm),
            **dict.fromkeys(POOLINGS, self._pooling),
            **{name + tail: self._activation for name in ACTIVATIONS for tail in both},
            **{name + tail: arithmetic for name in (*SUMS, *PRODUCTS) for tail in both},
            **dict.fromkeys(("__rsub__", "rsub", "neg"), arithmetic),
            **dict.fromkeys(MOVES, self.state.notes.moved),
            "softmax": self._gate,
        }

    def begin(self, x: Tensor) -> None:
        """``x`` is what the model is about to be given."""
        self._size = x.shape
        self.state.notes.put(x, Note(path=()))

    def _weighted(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        layer = self.count
        self.count += 1
        read = read_weighted(call)
        if read is None or not self._recorded(read.tensors[0]) or is_live(read.tensors[1]):
            return proceed(call)
        known = _Layer(read, layer, self.state.notes.of(read.tensors[0]), Tails(1))
        out = ruled(read.exactly, _bound(self._back_through_layer, known), *read.tensors[: len(read.places)])
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
        path = layer.note.path
        linear = LinearMap(
            layer.call.run, x, weight, shaped, layer.note.inside, None if path is None else _bound(self._carry, path)
        )
        rule = composite.choose(LinearCall(layer.call.kind, layer.index, self.count, path is not None))
        return self._book(rule(linear, relevance), ledger, len(tensors))

    def _carry(self, path: Sequence[Callable[[Tensor], Tensor]], value: Tensor) -> Tensor:
        value = value.expand(self._size)
        for step in path:
            value = step(value)
        return value

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
        again = pool_again(call)
        # a clone: averages do not keep their argument, so a model may go on to rewrite it
        return ruled(again, _bound(self._back_through_pooling, again), x.clone())

    def _back_through_pooling(self, again: Any, relevance: Tensor, tensors: Sequence[Any]) -> Any:
        if self.state.active is None:
            return None
        composite, ledger = self.state.active
        linear = LinearMap(lambda x, _: again(x), tensors[0])
        return self._book(composite.pooling(linear, relevance), ledger, 1)

    def _activation(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        z = call.args[0] if call.args else call.kwargs["input"]
        if not self._recorded(z):
            return proceed(call)
        function = out_of_place(call)
        out = written_back(call, z, lambda at: ruled(function, self.state.passes, at))
        if call.name.rstrip("_") in _GATES:
            self.state.notes.put(out, Note(gate=True))
        return out

    def _gate(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        out = proceed(call)
        self.state.notes.put(out, Note(gate=True))
        return out

    @staticmethod
    def _recorded(x: Any) -> bool:
        return isinstance(x, Tensor) and torch.is_grad_enabled() and is_live(x)


def _bound(method: Callable[..., Any], first: Any) -> Callable[..., Any]:
    return lambda *args: method(first, *args)
