"""Backward rules: takes intercepted activation calls, gives gradients changed at every rectifier; never edits a module.

=============  ==========================================================================================
``none``       the gradient: f'(z) g
``guided``     f'(z) max(g, 0) [f(z) > 0]                       Springenberg et al. 2014, arXiv:1412.6806
``deconvnet``  max(g, 0)                                        Zeiler & Fergus 2013, arXiv:1311.2901
=============  ==========================================================================================

g is the gradient that arrives, z the rectifier's input, f the rectifier. Squashing functions (sigmoid, tanh, softmax)
gate or normalise rather than rectify and keep their gradient. The rule is read when the backward pass runs, so every
rule shares one forward.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.intercept.autograd import nodes_behind
from seewhy.core.intercept.functions import Call, Handler
from seewhy.errors import UnknownName

__all__ = [
    "RECTIFIERS",
    "RULES",
    "RuleWatch",
    "bounds_of",
    "clipped",
    "in_place",
    "out_of_place",
    "rule_name",
    "unseen",
]

RULES = ("none", "guided", "deconvnet")

_ALIASES = {"relu": "deconvnet", "deconv": "deconvnet", "guided-backprop": "guided", "plain": "none", "": "none"}

#: rectifier -> position of its ``inplace`` flag among positional arguments (None: it has none)
RECTIFIERS: dict[str, int | None] = {
    "relu": 1,
    "relu6": 1,
    "hardtanh": 3,
    "leaky_relu": 2,
    "prelu": None,
    "_prelu_kernel": None,
    "rrelu": None,
    "elu": 2,
    "selu": 1,
    "celu": 2,
    "gelu": None,
    "silu": 1,
    "mish": 1,
    "hardswish": 1,
    "softplus": None,
    "threshold": 3,
    "_threshold": 3,
}

#: torch's own backward functions of rectifiers, which stand in a graph where no rule has met the call; and what may
#: hold some
_UNRULED = re.compile(
    r"(Relu|Relu6|Hardtanh|LeakyRelu|Prelu|PreluKernel|RreluWithNoise|Elu|Selu|Celu|Gelu|Silu|Mish|Hardswish|Softplus|"
    r"Threshold)Backward\d|torch::jit"
)


def unseen(score: Tensor) -> str:
    """A rectifier in the graph of ``score`` that ran unseen (TorchScript runs its functions so), by the name of its
    backward function; '' where there is none."""
    names = (node.name() for node in nodes_behind(score))
    return next((name for name in names if _UNRULED.match(name)), "")


def rule_name(asked: str | None) -> str:
    """The rule meant by ``asked`` (``"relu"`` is keras-vis' word for ``"deconvnet"``); raises `UnknownName`."""
    name = _ALIASES.get(asked or "", asked or "none")
    if name not in RULES:
        raise UnknownName("backward rule", str(asked), (*RULES, "relu"), "seewhy methods")
    return name


def in_place(call: Call) -> bool:
    """Whether the call rewrites its first argument."""
    if call.name.endswith("_"):
        return True
    position = RECTIFIERS.get(call.name)
    positional = position is not None and len(call.args) > position and call.args[position] is True
    return bool(call.kwargs.get("inplace", positional))


def out_of_place(call: Call) -> Callable[[Tensor], Tensor]:
    """The call as a pure function of its first argument."""
    name, rest, kwargs = call.name.rstrip("_"), call.args[1:], dict(call.kwargs)
    kwargs.pop("inplace", None)
    kwargs.pop("input", None)
    position = RECTIFIERS.get(name)
    if position is not None and len(call.args) > position:
        rest = tuple(False if at == position - 1 else value for at, value in enumerate(rest))
    func = call.func
    if call.name.endswith("_"):
        # the in-place spelling on a copy is the same function
        return lambda z: func(z.clone(), *rest, **kwargs)
    return lambda z: func(z, *rest, **kwargs)


class _Rectify(torch.autograd.Function):
    """f(z) forward; backward by whatever rule stands in ``watch`` at that time. Kept is what torch's own would keep,
    the input: a model may rewrite the output."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, f: Callable[[Tensor], Tensor], watch: RuleWatch) -> Tensor:
        ctx.f, ctx.watch = f, watch
        ctx.save_for_backward(z)
        return f(z)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (g,), (z,), rule = grads, ctx.saved_tensors, ctx.watch.active
        if rule == "deconvnet":
            return g.clamp(min=0), None, None
        if rule == "guided":
            return _slope(ctx.f, z, g.clamp(min=0)) * (ctx.f(z) > 0), None, None
        return _slope(ctx.f, z, g), None, None


class _Clip(torch.autograd.Function):
    """`_Rectify` for a rectifier that is the identity between two bounds and constant outside: no second look at the
    forward. Kept is what torch's own would keep: a model may rewrite the other."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, low: float, high: float, watch: RuleWatch, rewrites: bool) -> Tensor:
        ctx.bounds, ctx.watch = (low, high), watch
        most = None if high == math.inf else high
        if rewrites:
            ctx.mark_dirty(z)
        out = z.clamp_(low, most) if rewrites else z.clamp(low, most)
        ctx.save_for_backward(out if rewrites or most is None else z)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (g,), (at,) = grads, ctx.saved_tensors
        return clipped(g, at, ctx.bounds, ctx.watch.active), *(None,) * 4


def clipped(g: Tensor, at: Tensor, bounds: tuple[float, float], rule: str, *, reuse: bool = False) -> Tensor:
    """The gradient g behind a rectifier that clips to ``bounds``, taken before it under ``rule``; ``at`` is its input
    or its output, which lie at or beyond a bound in the same places. ``reuse``: nobody else needs g, and the result is
    written into it."""
    if rule != "none":
        g = g.clamp_(min=0) if reuse else g.clamp(min=0)
    if rule == "deconvnet":
        return g
    low, high = bounds
    operation: Any = torch.ops.aten.threshold_backward if high == math.inf else torch.ops.aten.hardtanh_backward
    given = (g, at, low) if high == math.inf else (g, at, low, high)
    return operation.grad_input(*given, grad_input=g) if reuse else operation(*given)  # type: ignore[no-any-return]


def bounds_of(
    name: str, rest: Sequence[Any] = (), given: Mapping[str, Any] | None = None
) -> tuple[float, float] | None:
    """The bounds of the rectifier ``name`` called with ``rest`` and what is ``given`` by name, if it clips and neither
    bound is negative."""
    if name == "relu":
        return 0.0, math.inf
    if name == "relu6":
        return 0.0, 6.0
    if name != "hardtanh":
        return None
    known = dict(zip(("min_val", "max_val"), rest, strict=False)) | dict(given or {})
    low, high = known.get("min_val", -1.0), known.get("max_val", 1.0)
    return (float(low), float(high)) if low >= 0 else None


def _slope(f: Callable[[Tensor], Tensor], z: Tensor, g: Tensor) -> Tensor:
    """f'(z) g, differentiable again when a graph of the backward pass is being made."""
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        at = z if graph and z.requires_grad else z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(f(at), at, g, create_graph=graph)
    return slope


@dataclass
class RuleWatch:
    """Lets every rectifier of a forward obey ``active`` in the backward passes that follow.

    ``seen`` counts the rectifiers met: a rule that met none is an error, never a plain gradient in disguise.
    """

    active: str = "none"
    seen: int = 0

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name. Made when asked for: kept, they would tie the watch and the graph that it holds into a
        cycle, which only the garbage collector could undo."""
        spellings = [name + tail for name in RECTIFIERS for tail in ("", "_")]
        return dict.fromkeys(spellings, self._rectify) | {"convolve": self._convolve}

    def _rectify(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        self.seen += 1
        z = call.args[0] if call.args else call.kwargs["input"]
        if not torch.is_grad_enabled() or not z.requires_grad:
            return proceed(call)
        bounds, rewrites = bounds_of(call.name.rstrip("_"), call.args[1:3], call.kwargs), in_place(call)
        if bounds is not None:
            return _Clip.apply(z, *bounds, self, rewrites)
        pure = out_of_place(call)
        if not rewrites:
            return _Rectify.apply(z, pure, self)
        # copy_ keeps the aliasing for models that use self.relu(x) for its side effect
        return z.copy_(_Rectify.apply(z.clone(), pure, self))

    def _convolve(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """A prepared network's convolution, with its rectifier in it: see `seewhy.core.compile.convolution`."""
        self.seen += call.args[-1].bounds is not None
        return call.func(*call.args, watch=self)
