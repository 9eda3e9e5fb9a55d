"""Sums, products and constants in a forward: takes intercepted calls of two arguments, gives backward passes that carry
relevance by them; never changes a value.

A sum of two activations shares in proportion to their values. In a product the signal takes all: the larger factor, or
the one that is not a gate. Constants pass; what is made of an input that is held is none, and meets the rules that it
would meet were it explained. What is left as it is (quotients by an activation, products of two
signals) shows in the graph and is refused there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from seewhy.core.intercept.autograd import Backward, is_live, ruled
from seewhy.core.intercept.backward_rules import RECTIFIERS, in_place
from seewhy.core.intercept.functions import SUMS, Call
from seewhy.core.relevance.canonization import Step
from seewhy.core.relevance.composites import Composite
from seewhy.core.relevance.held import Held
from seewhy.core.relevance.origins import Note, Notes
from seewhy.core.relevance.redistribution import share_sum

__all__ = ["Arithmetic", "Ledger", "State", "of_both", "weight_in", "written_back"]


@dataclass
class Ledger:
    """What one backward pass took out of the flow, [B] each."""

    bias: Tensor
    stabiliser: Tensor
    #: rules that could not be used where the composite has them, in words
    said: list[str] = field(default_factory=list)

    def book(self, bias: Tensor | None, stabiliser: Tensor) -> None:
        """Enter what one call took, [rows] with the images' rows together."""
        batch = len(self.bias)
        if len(stabiliser) % batch == 0:
            self.stabiliser += stabiliser.reshape(batch, -1).sum(1)
            if bias is not None:
                self.bias += bias.reshape(batch, -1).sum(1)


@dataclass
class State:
    """What the calls of one forward share. ``active`` is None where the backward pass is to be the gradient; ``keep``
    keeps graphs to gates and constants as well, for differentiable maps. ``held`` knows what is made of inputs that are
    held, where there are any."""

    keep: bool = False
    held: Held | None = None
    active: tuple[Composite, Ledger] | None = None
    notes: Notes = field(default_factory=Notes)

    def of_held(self, constant: Any) -> bool:
        """Whether a constant comes of an input that is held, and not of the network alone."""
        return self.held is not None and self.held.has(constant)

    def passes(self, relevance: Tensor, tensors: Sequence[Any]) -> Any:
        """A backward pass that hands relevance on to the first tensor as it is."""
        if self.active is None:
            return None
        return relevance.sum_to_size(tensors[0].shape), *(None for _ in tensors[1:])


def written_back(call: Call, first: Any, apply: Callable[[Any], Tensor]) -> Tensor:
    """``apply`` on the first argument; on a copy and written back for calls that rewrite it."""
    name = call.name
    writes = in_place(call) if name.rstrip("_") in RECTIFIERS else name.endswith("_") and not name.startswith("__")
    return first.copy_(apply(first.clone())) if writes else apply(first)


@dataclass
class Arithmetic:
    """The handler of `SUMS`, `PRODUCTS` and negation."""

    state: State

    def handle(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """The call, carrying relevance by what its arguments are."""
        a = call.args[0] if call.args else call.kwargs["input"]
        b: Any = None if call.name == "neg" else call.args[1] if len(call.args) > 1 else call.kwargs.get("other")
        name = call.name.strip("_")
        live = is_live(a), is_live(b)
        if not any(live) or not torch.is_grad_enabled() or "out" in call.kwargs or len(call.args) > 2:
            return proceed(call)
        if name in ("rsub", "div", "divide", "true_divide") and live[1]:
            return proceed(call)  # the graph shows it: a quotient by an activation has no rule
        if all(live):
            if name in SUMS:
                note = self.state.notes.of(a).with_other(self.state.notes.of(b), of_both(call))
                total = written_back(call, a, lambda at: self._sum(call, at, b))
                self.state.notes.put(total, note)
                return total
            signal = self._signal(a, b)
            if signal is None:
                return self._of_signals(call, a, b, proceed)
            return written_back(call, a, lambda at: self._product(call, at, b, signal))
        known = self.state.notes.of(a if live[0] else b)
        function = of_both(call)
        constant = b if live[0] else a
        order = (lambda t: function(t, constant)) if live[0] else (lambda t: function(constant, t))
        taken = None
        own = not self.state.of_held(constant)
        if own and known.layer is not None and not call.kwargs.keys() & {"alpha", "rounding_mode"}:
            taken = known.layer.taking(name, constant, a if live[0] else b, live[0])
        if taken is None or taken.tail is None:
            back = self._past(call, constant, known, live[0]) if own else self._beside(call, a, b, live[0])
        else:
            back = _noted(self.state, taken.tail)
        out = written_back(call, a, lambda at: self._with_constant(function, at, b, live, back))
        note = known.then(order)
        self.state.notes.put(out, note if taken is None else replace(note, layer=taken))
        return out

    def _of_signals(self, call: Call, a: Tensor, b: Tensor, proceed: Callable[[Call], Any]) -> Any:
        """A product of two signals: no rule here, as the graph shows."""
        return proceed(call)

    def _past(self, call: Call, constant: Any, known: Note, first: bool) -> Backward:
        """The way back past a constant of the network's own; ``first``: it is the second argument."""
        return self.state.passes

    def _beside(self, call: Call, a: Tensor, b: Tensor, first: bool) -> Backward:
        """The way back past what is made of a held input, as it would be were that explained; ``first``: it is the
        second argument."""
        name = call.name.strip("_")
        if name not in (*SUMS, "rsub"):
            if "div" in name:  # what is divided carries, whatever it is divided by
                return self.state.passes
            signal = self._signal(a, b)
            if signal is None:
                return self._beside_signal(b if first else a)
            return self._beside_gate(signal == (0 if first else 1))
        weight, function = weight_in(call, first), of_both(call)

        def back(relevance: Tensor, tensors: Sequence[Any]) -> Any:
            if self.state.active is None:
                return None
            composite, ledger = self.state.active
            live, other = tensors
            term = weight * live
            rest = (function(live, other) if first else function(other, live)) - term
            rest = rest.masked_fill(~rest.isfinite(), 0.0)  # what a mask hides: nothing arrives there
            shares, taken = share_sum((term, rest), relevance, composite.epsilon, positive=composite.positive)
            ledger.book(None, taken)
            return shares[0], None

        return back

    def _beside_signal(self, other: Tensor) -> Backward:
        """Past a product with another signal, of which these rules know nothing: all is the explained one's."""
        return self.state.passes

    def _beside_gate(self, carries: bool) -> Backward:
        """Past a product of which one factor takes all: the explained one, if that ``carries``."""

        def nothing(relevance: Tensor, tensors: Sequence[Any]) -> Any:
            return None if self.state.active is None else (torch.zeros_like(tensors[0]), *(None for _ in tensors[1:]))

        return self.state.passes if carries else nothing

    def _with_constant(self, function: Any, a: Any, b: Any, live: tuple[bool, bool], back: Backward) -> Tensor:
        """Relevance passes by the constant; its own gradient is wanted for differentiable maps only. Of a clone: such
        calls do not keep their argument, so a model may go on to rewrite it."""
        if live[0]:
            a = a.clone()
            if not isinstance(b, Tensor):
                return ruled(lambda t: function(t, b), back, a)
            return ruled(function, back, a, b if self.state.keep else b.detach())
        flipped = lambda t, c: function(c, t)  # noqa: E731 - the live tensor comes first, as `_pass` has it
        return ruled(flipped, back, b.clone(), a if self.state.keep or not isinstance(a, Tensor) else a.detach())

    def _sum(self, call: Call, a: Tensor, b: Tensor) -> Tensor:
        function = of_both(call)
        sign = call.kwargs.get("alpha", 1) * (-1 if "sub" in call.name else 1)

        def back(relevance: Tensor, tensors: Sequence[Any]) -> Any:
            if self.state.active is None:
                return None
            composite, ledger = self.state.active
            terms = tensors[0], sign * tensors[1]
            shares, taken = share_sum(terms, relevance, composite.epsilon, positive=composite.positive)
            ledger.book(None, taken)
            return tuple(shares)

        # clones: sums do not keep their arguments, so a model may go on to rewrite them
        return ruled(function, back, a.clone(), b.clone())

    def _signal(self, a: Tensor, b: Tensor) -> int | None:
        """Which of two factors carries: the larger one, or the one that does not come out of a squashing function."""
        if a.numel() != b.numel():
            return 0 if a.numel() > b.numel() else 1
        gates = self.state.notes.of(a).gate, self.state.notes.of(b).gate
        return None if gates[0] == gates[1] else int(gates[0])

    def _product(self, call: Call, a: Tensor, b: Tensor, signal: int) -> Tensor:
        function = of_both(call)

        def back(relevance: Tensor, tensors: Sequence[Any]) -> Any:
            if self.state.active is None:
                return None
            carried = relevance.sum_to_size(tensors[signal].shape)
            return (carried, None) if signal == 0 else (None, carried)

        factors = [a, b]
        if not self.state.keep:  # nothing flows into the gate, so that whatever computed it needs no rule
            factors[1 - signal] = factors[1 - signal].detach()
        return ruled(function, back, *factors)


def _noted(state: State, tail: Step) -> Backward:
    """A backward pass that hands relevance on as it is, and notes on the tail what that was."""

    def back(relevance: Tensor, tensors: Sequence[Any]) -> Any:
        if state.active is not None:
            tail.passed = relevance
        return state.passes(relevance, tensors)

    return back


def weight_in(call: Call, first: bool) -> float:
    """What a sum or difference counts its first argument with, or else its second."""
    name = call.name.strip("_")
    if (name == "rsub") == first:
        return float(call.kwargs.get("alpha", 1)) * (1 if name == "add" else -1)
    return 1.0


def of_both(call: Call) -> Callable[..., Tensor]:
    """The call as a pure function of both its arguments."""
    func, kwargs = call.func, {key: value for key, value in call.kwargs.items() if key not in ("input", "other")}
    if call.name == "neg":
        return lambda a, b: func(a)
    if call.name.endswith("_") and not call.name.startswith("__"):
        return lambda a, b: func(a.clone(), b, **kwargs)
    return lambda a, b: func(a, b, **kwargs)
