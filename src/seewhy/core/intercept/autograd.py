"""Torch's recorded graph: takes tensors, gives the functions behind them, and calls whose backward pass is somebody
else's; never decides what that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

__all__ = ["Backward", "Ruled", "is_live", "leads_to", "nodes_behind", "release", "ruled"]


def nodes_behind(*tensors: Tensor) -> Iterator[Any]:
    """Every function of the recorded graph behind ``tensors``, once."""
    waiting: list[Any] = [tensor.grad_fn for tensor in tensors]
    met = set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in met:
            met.add(node)
            waiting.extend(before for before, _ in node.next_functions)  # first: whoever is given it may empty it
            yield node


def leads_to(tensor: Tensor, leaf: Tensor) -> bool:
    """Whether a path of the recorded graph leads from ``leaf`` to ``tensor``."""
    if not (tensor.requires_grad and leaf.requires_grad):
        return False
    goal = get_gradient_edge(leaf).node
    return any(node is goal for node in nodes_behind(tensor))


#: what arrives, the tensors of the call -> what goes on to each of them; None stands for the plain gradient
Backward = Callable[[Tensor, Sequence[Any]], "tuple[Tensor | None, ...] | None"]


class _Function(Protocol):
    def __call__(self, *tensors: Any) -> Tensor:
        """The call as a pure function of its tensors."""


class Ruled(torch.autograd.Function):
    """``function(*tensors)`` forward, bit for bit; ``backward`` decides at its own time what goes back."""

    @staticmethod
    def forward(ctx: Any, function: _Function, backward: Backward, *tensors: Any) -> Tensor:
        """The value."""
        ctx.function, ctx.rule = function, backward
        ctx.save_for_backward(*tensors)
        out = function(*tensors)
        # a function that hands its argument on must not make one tensor two nodes
        return out.view_as(out) if any(out is tensor for tensor in tensors) else out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """What ``backward`` says; the gradient where it says nothing."""
        tensors = ctx.saved_tensors
        # under autocast a call meets tensors of several types, and a rule divides: it needs all digits
        input_grads = ctx.rule(_full(grads[0]), [_full(tensor) for tensor in tensors])
        if input_grads is None:
            input_grads = _gradient(ctx.function, tensors, grads[0], ctx.needs_input_grad[2:])
        return None, None, *input_grads


def _full(value: Any) -> Any:
    """A tensor of 16 bits in float32; anything else as it is."""
    half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value


def ruled(function: _Function, backward: Backward, *tensors: Any) -> Tensor:
    """``function(*tensors)``, in the graph, with ``backward`` for its backward pass."""
    out: Tensor = Ruled.apply(function, backward, *tensors)
    return out


def _gradient(
    function: _Function, tensors: Sequence[Any], g: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """The plain gradient, differentiable again when a graph of the backward pass is being made."""
    graph = torch.is_grad_enabled()
    at = [
        tensor if not want or (graph and tensor.requires_grad) else tensor.detach().requires_grad_()
        for tensor, want in zip(tensors, wanted, strict=True)
    ]
    with torch.enable_grad():
        out = function(*at)
        leaves = [tensor for tensor, want in zip(at, wanted, strict=True) if want]
        grads = iter(torch.autograd.grad(out, leaves, g, create_graph=graph, allow_unused=True))
    return tuple(next(grads) if want else None for want in wanted)


def release(tensors: Iterable[Tensor]) -> None:
    """Take the rules out of the graph behind ``tensors``, which can pass nothing back any more.

    A rule may know of calls that came after its own, and so hold the graph that holds it; only the garbage collector
    would notice, and a graph is large.
    """
    for node in nodes_behind(*tensors):
        if node.name() == "RuledBackward":
            node.function = node.rule = None


def is_live(value: Any) -> bool:
    """Whether ``value`` is a tensor computed from what is explained, rather than a number, a buffer or a parameter or
    something computed from parameters alone."""
    if not (isinstance(value, Tensor) and value.requires_grad):
        return False
    if value.grad_fn is None:
        return not isinstance(value, torch.nn.Parameter)
    for node in nodes_behind(value):
        if node.name() == "RuledBackward":  # such calls are only ever made on live tensors
            return True
        if hasattr(node, "variable") and not isinstance(node.variable, torch.nn.Parameter):
            return True
    return False
