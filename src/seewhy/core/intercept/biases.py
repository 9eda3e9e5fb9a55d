"""Implicit biases: takes intercepted calls, gives what every function adds beyond its linearisation; never changes a
value.

Around its input z a function f is f'(z) z + b with b = f(z) - f'(z) z, its implicit bias (Srinivas & Fleuret 2019,
arXiv:1905.00780). For affine functions that is f(0); for activations that are linear through the origin it is zero;
for ReLU6 it is 6 where it saturates. Products of two activations (gates) are not covered and show up as a residual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from seewhy.core.intercept.autograd import is_live
from seewhy.core.intercept.backward_rules import RECTIFIERS, out_of_place
from seewhy.core.intercept.functions import SUMS, Call, Handler

__all__ = ["BiasTerm", "BiasWatch"]

_AFFINE = (
    *(f"conv{n}d" for n in (1, 2, 3)),
    *(f"conv_transpose{n}d" for n in (1, 2, 3)),
    "convolution",
    "linear",
    "addmm",
    "batch_norm",
    "_native_batch_norm_legit_no_training",
)

#: those in which each value depends on others
_MIXING = ("softmax", "layer_norm", "group_norm", "instance_norm", "normalize")

_CURVED = ("sigmoid", "tanh", "hardsigmoid", *_MIXING)

#: those whose second axis is the channels'; the others take every value by itself
_BY_CHANNEL = ("group_norm", "instance_norm", "normalize")

#: rectifiers that are linear on each side of the origin and so have no implicit bias
_HOMOGENEOUS = ("relu", "leaky_relu", "prelu", "_prelu_kernel")


@dataclass(frozen=True)
class BiasTerm:
    """One call's output, by its place in the graph, its implicit bias (broadcastable to it) and its axis of channels;
    None where the function knows no channels, and they are where the network has them."""

    output: GradientEdge
    bias: Tensor
    channel: int | None


@dataclass
class BiasWatch:
    """Collects the bias terms of a forward, in order."""

    terms: list[BiasTerm] = field(default_factory=list)

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name. Made when asked for: kept, they would tie the watch and the graph that it holds into a
        cycle, which only the garbage collector could undo."""
        table: dict[str, Handler] = dict.fromkeys(_AFFINE, self._affine)
        for name in (*RECTIFIERS, *_CURVED):
            if name not in _HOMOGENEOUS:
                table |= {name: self._curved, f"{name}_": self._curved}
        for name in SUMS:
            table |= {name: self._added, f"{name}_": self._added}
        return table

    def _added(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """A constant that is added is a bias: what libraries whose layers have none in the convolution itself do."""
        z = call.args[0] if call.args else call.kwargs["input"]
        b = call.args[1] if len(call.args) > 1 else call.kwargs.get("other")
        if len(call.args) > 2 or call.kwargs.keys() & {"out", "alpha"} or is_live(z) == is_live(b):
            return proceed(call)
        added = b if is_live(z) else z
        out = proceed(call)
        if not (isinstance(out, Tensor) and out.requires_grad and isinstance(added, Tensor | float | int)):
            return out
        bias = torch.as_tensor(added, dtype=out.dtype, device=out.device).detach()
        bias = -bias if "sub" in call.name and added is b else bias
        if not bool(bias.any()):
            return out
        return self._caught(out, bias.expand(out.shape), None)

    def _caught(self, out: Tensor, bias: Tensor, channel: int | None) -> Tensor:
        """Note a term by its place in the graph, which no later function that writes into the tensor can change; gives
        the tensor."""
        self.terms.append(BiasTerm(get_gradient_edge(out), bias, channel))
        return out

    def _affine(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        out = proceed(call)
        if not (isinstance(out, Tensor) and out.requires_grad):
            return out
        z = call.args[0] if call.args else call.kwargs["input"]
        last = call.name in ("linear", "addmm")
        with torch.no_grad():
            # one sample and, for convolutions, the bias alone: f(0) without running f on a whole image of zeros
            bias = self._at_zero(call, z, last)
        if bias is None or not bool(bias.any()):
            return out
        shape = (-1,) if last else (-1, *(1 for _ in out.shape[2:]))
        return self._caught(out, bias.reshape(shape), out.ndim - 1 if last else 1)

    @staticmethod
    def _at_zero(call: Call, z: Tensor, last: bool) -> Tensor | None:
        statistics = call.args[1] if len(call.args) > 1 else call.kwargs.get("running_mean")
        if "batch_norm" in call.name and statistics is None:
            return None  # the batch's own statistics: not affine, and shown as a residual
        if "batch_norm" in call.name:
            zero = z.new_zeros((1, z.shape[1], *(1 for _ in z.shape[2:])))
            at = Call(
                call.func, call.name, (zero, *call.args[1:]), {k: v for k, v in call.kwargs.items() if k != "input"}
            )
            out = at.run()
            return (out[0] if isinstance(out, tuple) else out).flatten()  # type: ignore[no-any-return]
        if call.name == "addmm":
            return None if z.ndim != 1 else z.detach()
        bias = call.args[2] if len(call.args) > 2 else call.kwargs.get("bias")
        return bias.detach().flatten() if isinstance(bias, Tensor) else None

    def _curved(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        z = call.args[0] if call.args else call.kwargs["input"]
        if not (torch.is_grad_enabled() and z.requires_grad):
            return proceed(call)
        beyond = _beyond_linear if call.name.rstrip("_") in _MIXING else _beyond_slope
        bias = beyond(out_of_place(call), z.detach())
        out = proceed(call)
        if not bool(bias.any()):
            return out
        channel = z.ndim - 1 if call.name == "layer_norm" else 1 if call.name in _BY_CHANNEL else None
        return self._caught(out, bias, channel)


def _beyond_slope(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """f(z) - f'(z) z of a function that takes every value by itself."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = f(z)
        (slope,) = torch.autograd.grad(value.sum(), z)
    return value.detach() - slope * z.detach()


def _beyond_linear(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """f(z) - f'(z) z.

    The product with the Jacobian is taken by differentiating the backward pass, which is linear in the gradient it is
    given; torch's forward mode would compile decompositions on first use, with a warning.
    """
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = f(z)
        probe = torch.zeros_like(value, requires_grad=True)
        (pulled,) = torch.autograd.grad(value, z, probe, create_graph=True)
        (product,) = torch.autograd.grad(pulled, probe, z.detach(), allow_unused=True)
    return value.detach() - (torch.zeros_like(value) if product is None else product)
