"""Differences from a reference: takes the intercepted calls of two forwards, of a reference and of an input, gives
backward passes that carry multipliers; never changes a value or a module.

Which value is the reference of which is known by the order of calls: both forwards run the same code, and what the k-th
call is given in one is the reference of what it is given in the other, however a network divides, doubles or loops over
its batch. A network whose forwards do not make the same calls on tensors of the same shapes is refused.

DeepLIFT's rescale rule (Shrikumar, Greenside & Kundaje 2017, arXiv:1704.02685, eq. 12): an activation function f with
input x and reference x' passes g (f(x) - f(x')) / (x - x'), and its own gradient where x and x' differ by little more
than rounding (functions without a kink: the mean of their gradients at x and x', where those are close). A maximum over
places (max pooling) passes what it rose by to the winner of each of the two windows. Steps (rounding, signs) are
functions like any other, though their gradient says nothing. Everything else, products of
activations included, keeps its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from seewhy.core.intercept.autograd import ruled
from seewhy.core.intercept.backward_rules import RECTIFIERS, in_place, out_of_place
from seewhy.core.intercept.functions import Call, Handler
from seewhy.core.relevance.linear import pool_again
from seewhy.core.relevance.watch import ACTIVATIONS
from seewhy.errors import CapabilityError

__all__ = ["ROUNDING", "DifferenceWatch"]

#: machine epsilons of the values themselves: what differs by less has no ratio worth taking, whatever the scale
ROUNDING = 4
#: functions without a kink, whose ratio the slopes at both ends give better where those are close
_SMOOTH = {"sigmoid", "tanh", "logsigmoid", "log_sigmoid", "tanhshrink", "gelu", "silu", "mish", "softplus"}
#: functions of one value whose gradient is 0 wherever there is one, and whose ratio is not
_STEPS = ("round", "floor", "ceil", "trunc", "fix", "sign", "sgn")
#: machine epsilons of the largest value by which two places that may win a maximum have to differ
_ALIKE = 1024
#: what takes the largest of several places
_MAXIMA = (*(f"{kind}max_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3)), "amax")


#: one end of a difference: a function, and what it is given there
_End = tuple[Callable[[Tensor], Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class _Met:
    """One call of a forward: its name, its argument's shape, whether something differentiates it; of a reference's
    also the function and what it was given."""

    name: str
    shape: tuple[int, ...]
    live: bool
    function: Callable[[Tensor], Tensor] | None = None
    z: Tensor | None = None


@dataclass
class DifferenceWatch:
    """Watches a forward of the reference, then, once it is ``paired``, one of the input: activation functions and max
    pooling of the latter carry multipliers while ``active``; the gradient otherwise. ``keep`` keeps the reference's
    graph, for differentiable maps."""

    keep: bool = False
    active: bool = False
    paired: bool = False
    _began: bool = False
    _references: list[_Met] = field(default_factory=list)
    _met: list[_Met] = field(default_factory=list)

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name. Made when asked for: kept, they would tie the watch and the graph that it holds into a
        cycle, which only the garbage collector could undo."""
        return {
            **{name + tail: self._activation for name in (*ACTIVATIONS, *_STEPS) for tail in ("", "_")},
            **dict.fromkeys(_MAXIMA, self._maximum),
        }

    def begin(self) -> None:
        """A forward begins, perhaps unwatched, perhaps the one before over again."""
        self._began = True

    def pair(self) -> None:
        """What was watched until now was the reference; what comes is the input."""
        self._references, self._met, self.paired = self._met, [], True

    def compare(self, method: str) -> None:
        """Raise `CapabilityError` unless the two forwards made the same calls, one after the other."""
        both = [[(met.name, met.shape, met.live) for met in calls] for calls in (self._met, self._references)]
        if both[0] != both[1]:
            at = next((n for n, (a, b) in enumerate(zip(*both, strict=False)) if a != b), min(map(len, both)))
            here, there = (_words(calls[at][:2] if at < len(calls) else None) for calls in both)
            raise CapabilityError(
                f"{method} compares every activation with the baseline's, and this network goes another way for its "
                f"baseline (activation {at + 1} is {here}, for the baseline {there}); integrated-gradients takes a "
                "baseline, too, and compares none"
            )

    def _activation(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        z = call.args[0] if call.args else call.kwargs["input"]
        function = out_of_place(call)
        number = self._meet(call, z, function)
        if number is None:
            return proceed(call)

        def back(g: Tensor, tensors: Sequence[Any]) -> Any:
            if not self.active:
                return None
            return (_rescaled((function, tensors[0]), self._reference(number), g, smooth),)

        smooth = call.name.rstrip("_") in _SMOOTH
        name = call.name
        writes = in_place(call) if name.rstrip("_") in RECTIFIERS else name.endswith("_")
        return z.copy_(ruled(function, back, z.clone())) if writes else ruled(function, back, z)

    def _maximum(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        z = call.args[0] if call.args else call.kwargs["input"]
        if call.kwargs.get("return_indices"):
            return proceed(call)
        function = pool_again(call)
        number = self._meet(call, z, function)
        if number is None:
            return proceed(call)

        def back(g: Tensor, tensors: Sequence[Any]) -> Any:
            return (_risen((function, tensors[0]), self._reference(number), g),) if self.active else None

        return ruled(function, back, z)

    def _meet(self, call: Call, z: Tensor, function: Callable[[Tensor], Tensor]) -> int | None:
        """Note a call; its number where it is to carry multipliers. A reference is copied, since the model may go on to
        rewrite it."""
        if self._began:
            self._began, self._met = False, []
        live = torch.is_grad_enabled() and z.requires_grad
        met = _Met(call.name, tuple(z.shape), live)
        if live and not self.paired:
            met = replace(met, function=function, z=z.clone() if self.keep else z.detach().clone())
        self._met.append(met)
        return len(self._met) - 1 if live and self.paired else None

    def _reference(self, number: int) -> _End:
        met = self._references[number]
        assert met.function is not None
        assert met.z is not None
        # as `Ruled` hands over what a call of 16 bits was given
        return met.function, met.z.float() if met.z.dtype in (torch.float16, torch.bfloat16) else met.z


def _words(call: tuple[str, tuple[int, ...]] | None) -> str:
    return "none" if call is None else f"{call[0]} of {list(call[1])}"


def _rescaled(here: _End, there: _End, g: Tensor, smooth: bool) -> Tensor:
    graph = torch.is_grad_enabled()
    (out, slope), (out_there, slope_there) = _sloped(*here, graph), _sloped(*there, graph)
    if smooth:  # the mean of the slopes at both ends: of the ratio to the square of their distance
        slope = (slope + slope_there) / 2
    z, start = here[1], there[1]
    near = torch.finfo(z.dtype).eps ** (1 / 3) if smooth else ROUNDING * torch.finfo(z.dtype).eps
    near = near * _size(z, start, out, out_there)
    return _where_apart(z - start, near, (out - out_there) * g, slope * g)


def _sloped(function: Callable[[Tensor], Tensor], z: Tensor, graph: bool) -> tuple[Tensor, Tensor]:
    """The function at ``z``, and its slope there."""
    with torch.enable_grad():
        at = z if graph and z.requires_grad else z.detach().requires_grad_()
        out = function(at)
        (slope,) = torch.autograd.grad(out.sum(), at, create_graph=graph, retain_graph=True)
    return out if graph else out.detach(), slope


def _size(*tensors: Tensor) -> Tensor:
    """The largest magnitude among the values in one place."""
    return reduce(torch.maximum, [tensor.detach().abs() for tensor in tensors])


def _where_apart(difference: Tensor, near: Tensor, numerator: Tensor, otherwise: Tensor) -> Tensor:
    close = difference.abs() <= near
    return torch.where(close, otherwise, numerator / difference.masked_fill(close, 1.0))


def _risen(here: _End, there: _End, g: Tensor) -> Tensor:
    """What each maximum rose by goes to two places: as far as it lies above the reference's to the input's winner, as
    far as it lies below to the reference's winner; each divided by what that place rose by itself."""
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        places = [_levels(z) for _, z in (here, there)]
        winners = [function(at) for (function, _), at in zip((here, there), places, strict=True)]

    def to_winners(end: int, values: Tensor) -> Tensor:
        (grad,) = torch.autograd.grad(winners[end], places[end], values, create_graph=graph, retain_graph=True)
        return grad

    top, top_there = (function(z if graph else z.detach()) for function, z in (here, there))
    most = torch.maximum(top, top_there)
    parts = to_winners(0, g * (most - top_there)) + to_winners(1, g * (top - most))
    z, start = here[1], there[1]
    near = ROUNDING * torch.finfo(z.dtype).eps * _size(z, start)
    return _where_apart(z - start, near, parts, to_winners(0, g))


def _levels(z: Tensor) -> Tensor:
    """``z`` on so coarse a scale that places which differ by rounding alone (as those of an even baseline do) are
    alike: the first of them wins, whatever adds up first on this machine."""
    largest = z.detach().abs().flatten(1).amax(1) if z.ndim > 1 else z.detach().abs().amax()
    step = (_ALIKE * torch.finfo(z.dtype).eps * largest).clamp(min=torch.finfo(z.dtype).tiny)
    step = step.reshape(-1, *(1 for _ in z.shape[1:]))
    return (z.detach() / step).round().contiguous().requires_grad_()
