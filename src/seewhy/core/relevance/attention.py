"""Relevance through attention: takes intercepted calls of softmax, layer norms, products of signals and attention
itself, gives backward passes that carry relevance by AttnLRP's rules; never changes a value by more than rounding.

Achtibat et al. 2024, arXiv:2402.05602, section 3.3; CP-LRP (Ali et al. 2022) differs in one line. R is what arrives.

==========================  =========================================================  ==============================
function                    what goes on                                               source
==========================  =========================================================  ==============================
s = softmax(x)              x_i (R_i - s_i sum_j R_j); the rest counts as a bias's     proposition 3.1
product of two signals      half of R each                                             proposition 3.2
product of two matrices     a_ji sum_p b_ip R_jp / (2 z_jp + epsilon), b alike         proposition 3.3
.. with held weights        the values get all of it, the weights of attention none    Ali et al. 2022, eq. 5
layer norm, group norm      epsilon rule of (x - mean) / sigma w + b, sigma constant   proposition 3.4
RMS norm, x / ||x||         R, since sigma or the norm is constant                     proposition 3.4
a function of one value     R: GELU, SiLU, roots, powers, written out or not           eq. 9
a tensor of constants       shares a sum by its values: positions absorb as biases do  eq. 8
==========================  =========================================================  ==============================

Fused attention is computed step by step, and each step follows its rule. A quotient by a norm or a root of fewer values
than it divides is a norm that is written out. Gates are signals like others here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from seewhy.core.intercept.attention import AttentionWatch
from seewhy.core.intercept.autograd import Backward, is_live, ruled
from seewhy.core.intercept.functions import SUMS, Call, Handler, Interceptor
from seewhy.core.relevance.arithmetic import Arithmetic, of_both, weight_in, written_back
from seewhy.core.relevance.linear import WEIGHTED, argument, pool_again
from seewhy.core.relevance.origins import Note
from seewhy.core.relevance.redistribution import share_normalised, share_product, share_shifted, share_softmax
from seewhy.core.relevance.watch import RelevanceWatch

__all__ = ["AttentiveWatch"]

_FUSED = ("scaled_dot_product_attention", "multi_head_attention_forward")
_SOFTMAX = ("softmax", "_softmax", "special_softmax")
_MATRICES = ("matmul", "__matmul__", "mm", "bmm")
_QUOTIENTS = ("div", "divide", "true_divide")
#: functions of one value that are none of the activation functions
_ELEMENTWISE = ("erf", "square", "sqrt", "rsqrt", "pow", "__pow__")
#: what a norm that is written out divides by
_ROOTS = ("sqrt", "rsqrt")
_SIZES = ("norm", "linalg_norm", "linalg_vector_norm", "std")
_NORMS = ("layer_norm", "group_norm")
_INVERSES = ("reciprocal", "__rdiv__", "__rtruediv__")
_SCALED = ("rms_norm", "normalize")


class _Signals(Arithmetic):
    """Sums and products where both factors of a product are signals, and constants take their share of a sum."""

    def handle(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """The call; a quotient by a norm that is written out passes."""
        if call.name.strip("_") in _QUOTIENTS and len(call.args) == 2 and is_live(call.args[1]):
            a, b = call.args
            if not is_live(a):
                out = proceed(call)
                self.state.notes.put(out, Note(gate=self.state.notes.of(b).gate))
                return out
            if self._signal(a, b) == 0:
                return written_back(call, a, lambda at: self._product(call, at, b, 0))
        return super().handle(call, proceed)

    def _signal(self, a: Tensor, b: Tensor) -> int | None:
        """Which of two factors the other only scales: by a norm of it."""
        for n, (scale, other) in enumerate(((a, b), (b, a))):
            if self.state.notes.of(scale).gate and scale.numel() < other.numel():
                return 1 - n
        return None

    def _of_signals(self, call: Call, a: Tensor, b: Tensor, proceed: Callable[[Call], Any]) -> Any:
        function = of_both(call)

        def back(relevance: Tensor, tensors: Sequence[Any]) -> Any:
            if self.state.active is None:
                return None
            return tuple((0.5 * relevance).sum_to_size(tensor.shape) for tensor in tensors)

        return written_back(call, a, lambda at: ruled(function, back, at, b))

    def _beside(self, call: Call, a: Tensor, b: Tensor, first: bool) -> Backward:
        if call.name.strip("_") in (*SUMS, "rsub"):
            return self._shifted(call, first)
        return super()._beside(call, a, b, first)

    def _beside_signal(self, other: Tensor) -> Backward:
        """Half is the other's, as of any product of two signals; masks and places are none."""
        if self.state.held is None or not self.state.held.explainable(other):
            return self.state.passes
        return lambda relevance, tensors: self.state.passes(0.5 * relevance, tensors)

    def _past(self, call: Call, constant: Any, known: Note, first: bool) -> Backward:
        name = call.name.strip("_")
        number = not isinstance(constant, Tensor) or constant.ndim == 0
        # what is still the input, or the size of something, is as a whole: constants give it its scale
        if name not in (*SUMS, "rsub") or number or known.way is not None or known.gate:
            return self.state.passes
        return self._shifted(call, first)

    def _shifted(self, call: Call, first: bool) -> Backward:
        """The way back past what takes its share of a sum."""
        weight, function = weight_in(call, first), of_both(call)

        def back(relevance: Tensor, tensors: Sequence[Any]) -> Any:
            if self.state.active is None:
                return None
            composite, ledger = self.state.active
            live, other = tensors
            z = function(live, other) if first else function(other, live)
            shares = share_shifted(weight * live, z, relevance, composite.epsilon)
            ledger.book(shares.bias, shares.stabiliser)
            return shares.values.sum_to_size(live.shape), None

        return back


@dataclass
class AttentiveWatch(RelevanceWatch):
    """`RelevanceWatch` with rules for what transformers are made of; only for composites that are ``attentive``."""

    arithmetic: ClassVar[type[Arithmetic]] = _Signals
    gates: ClassVar[tuple[str, ...]] = ()

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name."""
        return self._steps | dict.fromkeys(_FUSED, self._fused)

    @property
    def _steps(self) -> dict[str, Handler]:
        return {
            **super().handlers,
            **dict.fromkeys(_SOFTMAX, self._softmax),
            **dict.fromkeys(_MATRICES, self._matrices),
            **dict.fromkeys((*_ELEMENTWISE, *_SCALED), self._elementwise),
            **dict.fromkeys(_NORMS, self._normalised),
            **dict.fromkeys(_SIZES, self._size_of),
            **dict.fromkeys(_INVERSES, self._inverse),
            "masked_fill": self._masked,
        }

    def _fused(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Attention in one call: its steps, each by its rule. What cannot be told apart shows in the graph."""
        if not torch.is_grad_enabled():
            return proceed(call)
        with Interceptor([self._steps]):
            return AttentionWatch(any_rank=True).handlers[call.name](call, proceed)

    def _softmax(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        x, dim = argument(call, 0, "input"), argument(call, 1, "dim")
        if not self._recorded(x) or dim is None or call.kwargs.get("out") is not None:
            return proceed(call)

        def back(relevance: Tensor, tensors: Sequence[Any]) -> Any:
            if self.state.active is None:
                return None
            values, taken = share_softmax(tensors[0], relevance, dim)
            self.state.active[1].book(taken, torch.zeros_like(taken))
            return (values,)

        out = ruled(pool_again(call), back, x)
        self.state.notes.put(out, Note(weights=True))
        return out

    def _matrices(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        if len(call.args) != 2 or not torch.is_grad_enabled() or call.kwargs.get("out") is not None:
            return super()._weighted(call, proceed) if call.name in WEIGHTED else proceed(call)
        a, b = call.args
        live = is_live(a), is_live(b)
        if not any(live):
            return proceed(call)
        if all(live) and min(a.ndim, b.ndim) >= 2:
            weights = self.state.notes.of(a).weights, self.state.notes.of(b).weights

            def back(relevance: Tensor, tensors: Sequence[Any]) -> Any:
                if self.state.active is None:
                    return None
                composite, ledger = self.state.active
                held = composite.held and weights[0] != weights[1]
                takes = (not weights[0], not weights[1]) if held else (True, True)
                shares, taken = share_product((tensors[0], tensors[1]), relevance, composite.epsilon, takes)
                ledger.book(None, taken)
                return tuple(shares)

            return ruled(call.func, back, a, b)
        if not live[0] and min(a.ndim, b.ndim) >= 2:
            # a layer whose weight comes first: of two axes the other one is the batch, and a layer has that first
            return self._weighted(Call(torch.matmul, "matmul", (b.mT, a.mT), {}), Call.run).mT
        return self._weighted(call if call.name in WEIGHTED else Call(torch.matmul, "matmul", call.args, {}), Call.run)

    def _normalised(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        x = argument(call, 0, "input")
        if not self._recorded(x):
            return proceed(call)
        weight, bias, variance = (
            argument(call, at, name, default)
            for at, name, default in ((2, "weight", None), (3, "bias", None), (4, "eps", 1e-5))
        )
        if call.name == "group_norm":
            grouped, spread = (len(x), argument(call, 1, "num_groups"), -1), (-1, *(1 for _ in x.shape[2:]))
        else:
            spread = tuple(argument(call, 1, "normalized_shape"))
            grouped = (*x.shape[: x.ndim - len(spread)], -1)

        def rows(affine: Any) -> Any:
            """Numbers of each channel, laid out as what is normalised together."""
            return None if affine is None else affine.reshape(spread).expand_as(x).reshape(grouped)

        def back(relevance: Tensor, tensors: Sequence[Any]) -> Any:
            if self.state.active is None:
                return None
            composite, ledger = self.state.active
            x, arrived = tensors[0].reshape(grouped), relevance.reshape(grouped)
            shares = share_normalised(x, rows(weight), rows(bias), variance, arrived, composite.epsilon)
            ledger.book(shares.bias, shares.stabiliser)
            return (shares.values.reshape(relevance.shape),)

        return ruled(pool_again(call), back, x)

    def _elementwise(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        x = argument(call, 0, "input")
        exponent = argument(call, 1, "exponent") if call.name in ("pow", "__pow__") else None
        if not self._recorded(x) or call.kwargs.get("out") is not None or is_live(exponent):
            return proceed(call)
        out = ruled(pool_again(call), self.state.passes, x.clone())
        root = isinstance(exponent, int | float) and (exponent < 0 or exponent != int(exponent))
        self.state.notes.put(out, Note(gate=root or call.name in _ROOTS))
        return out

    def _activation(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        known = self.state.notes.of(argument(call, 0, "input"))
        out = super()._activation(call, proceed)
        if known.gate:  # a norm that is kept away from 0
            self.state.notes.put(out, Note(gate=True))
        return out

    def _size_of(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        out = proceed(call)
        self.state.notes.put(out, Note(gate=True))
        return out

    def _inverse(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        out = proceed(call)
        self.state.notes.put(out, Note(gate=self.state.notes.of(call.args[0]).gate))
        return out

    def _masked(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """What is written over gets nothing: the plain gradient."""
        x = argument(call, 0, "input")
        return ruled(pool_again(call), lambda relevance, tensors: None, x) if self._recorded(x) else proceed(call)
