"""Differences from a reference: takes intercepted calls on a batch whose second half is the reference of its first,
gives backward passes that carry multipliers; never changes a value or a module.

DeepLIFT's rescale rule (Shrikumar, Greenside & Kundaje 2017, arXiv:1704.02685, eq. 12): an activation function f with
input x and reference x' passes g (f(x) - f(x')) / (x - x'), and its own gradient where x and x' differ by little more
than rounding (functions without a kink: the mean of their gradients at x and x', where those are close). A maximum over
places (max pooling) passes what it rose by to the winner of each of the two windows. Everything else, products of
activations included, keeps its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from seewhy.core.intercept.autograd import ruled
from seewhy.core.intercept.backward_rules import RECTIFIERS, in_place, out_of_place
from seewhy.core.intercept.functions import Call, Handler
from seewhy.core.relevance.linear import pool_again
from seewhy.core.relevance.watch import ACTIVATIONS

__all__ = ["ROUNDING", "DifferenceWatch"]

#: machine epsilons of the values themselves: what differs by less has no ratio worth taking, whatever the scale
ROUNDING = 4
#: functions without a kink, whose ratio the slopes at both ends give better where those are close
_SMOOTH = {"sigmoid", "tanh", "logsigmoid", "log_sigmoid", "tanhshrink", "gelu", "silu", "mish", "softplus"}
#: what takes the largest of several places
_MAXIMA = (*(f"{kind}max_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3)), "amax")


@dataclass
class DifferenceWatch:
    """Lets activation functions and max pooling carry multipliers while ``active``; the gradient otherwise."""

    active: bool = False

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name. Made when asked for: kept, they would tie the watch and the graph that it holds into a
        cycle, which only the garbage collector could undo."""
        return {
            **{name + tail: self._activation for name in ACTIVATIONS for tail in ("", "_")},
            **dict.fromkeys(_MAXIMA, self._maximum),
        }

    def _activation(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        z = call.args[0] if call.args else call.kwargs["input"]
        if not (torch.is_grad_enabled() and z.requires_grad):
            return proceed(call)
        function = out_of_place(call)

        def back(g: Tensor, tensors: Sequence[Any]) -> Any:
            return (self._rescaled(function, tensors[0], g, smooth),) if self.active else None

        smooth = call.name.rstrip("_") in _SMOOTH
        name = call.name
        writes = in_place(call) if name.rstrip("_") in RECTIFIERS else name.endswith("_")
        return z.copy_(ruled(function, back, z.clone())) if writes else ruled(function, back, z)

    @staticmethod
    def _rescaled(function: Callable[[Tensor], Tensor], z: Tensor, g: Tensor, smooth: bool) -> Tensor:
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            at = z if graph and z.requires_grad else z.detach().requires_grad_()
            out = function(at)
            (slope,) = torch.autograd.grad(out.sum(), at, create_graph=graph, retain_graph=True)
        if smooth:  # the mean of the slopes at both ends: of the ratio to the square of their distance
            slope = torch.cat([sum(slope.chunk(2)) / 2] * 2)  # type: ignore[list-item]
        out = out if graph else out.detach()
        near = torch.finfo(z.dtype).eps ** (1 / 3) if smooth else ROUNDING * torch.finfo(z.dtype).eps
        return _where_apart(_difference(z), near * _size(z, out), _difference(out) * g, slope * g)

    def _maximum(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        z = call.args[0] if call.args else call.kwargs["input"]
        if not (torch.is_grad_enabled() and z.requires_grad) or call.kwargs.get("return_indices"):
            return proceed(call)
        function = pool_again(call)

        def back(g: Tensor, tensors: Sequence[Any]) -> Any:
            return (_risen(function, tensors[0], g),) if self.active else None

        return ruled(function, back, z)


def _difference(both: Tensor) -> Tensor:
    """First half less second half, for either half."""
    first, second = both.chunk(2)
    return torch.cat([first - second] * 2)


def _size(*tensors: Tensor) -> Tensor:
    """The largest magnitude among the values of both halves, for either half."""
    halves = [half.detach().abs() for tensor in tensors for half in tensor.chunk(2)]
    return torch.cat([reduce(torch.maximum, halves)] * 2)


def _where_apart(difference: Tensor, near: Tensor, numerator: Tensor, otherwise: Tensor) -> Tensor:
    close = difference.abs() <= near
    return torch.where(close, otherwise, numerator / difference.masked_fill(close, 1.0))


def _risen(function: Callable[[Tensor], Tensor], z: Tensor, g: Tensor) -> Tensor:
    """What each maximum rose by goes to two places: as far as it lies above the reference's to the input's winner, as
    far as it lies below to the reference's winner; each divided by what that place rose by itself."""
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        at = z if graph and z.requires_grad else z.detach().requires_grad_()
        out = function(at)

    def to_winners(values: Tensor) -> Tensor:
        (grad,) = torch.autograd.grad(out, at, values, create_graph=graph, retain_graph=True)
        return grad

    here, there = (out if graph else out.detach()).chunk(2)
    most = torch.maximum(here, there)
    rises = torch.cat([most - there, here - most])
    # each half of the batch has multipliers of its own, equal where nothing is degenerate
    parts = [sum(to_winners(torch.cat([half, half]) * rises).chunk(2)) for half in g.chunk(2)]
    near = ROUNDING * torch.finfo(z.dtype).eps * _size(z)
    return _where_apart(_difference(z), near, torch.cat(parts), to_winners(g))  # type: ignore[arg-type]
