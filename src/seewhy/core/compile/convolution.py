"""A convolution, a sum and a rectifier as one call of oneDNN that can be differentiated; changes no graph.

Autograd keeps the input of a convolution and the input of a rectifier; here only the output is kept, which tells where
the rectifier clipped, and the gradient at the input is a convolution as well: of the gradient that arrives, with the
weights turned round, packed once in the order that oneDNN works in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from seewhy.core.compile.onednn import Numbers, fused_call
from seewhy.core.compile.winograd import by_tiles
from seewhy.core.intercept.backward_rules import RuleWatch, clipped

__all__ = ["Convolution", "convolve"]


@dataclass(frozen=True)
class Convolution:
    """The numbers of a convolution, the bounds outside of which what follows it is constant (if it clips), whether it
    is computed by ``tiles`` (`seewhy.core.compile.winograd`), and the convolution of gradients that leads ``back``.
    ``alone``: no gradient that arrives is read by anyone else.

    Where that undoes a stride, it gives squares of ``grain`` by ``grain`` pixels, as channels, of a picture that begins
    at ``start`` (Shi et al. 2016, arXiv:1609.07009).
    """

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bounds: tuple[float, float] | None = None
    tiles: bool = False
    back: Convolution | None = None
    grain: int = 1
    start: tuple[int, int] = (0, 0)
    alone: bool = False

    @property
    def numbers(self) -> Numbers:
        """How it moves, as oneDNN is told."""
        return Numbers(self.padding, self.stride, self.dilation, self.groups)

    def reversed(self, weight: Tensor) -> tuple[Convolution, Tensor] | None:
        """The convolution that leads from gradients at the output to those at the input, and its weights; None where
        that would take longer than oneDNN's own way."""
        out, inner, *kernel = weight.shape
        if self.stride == (1, 1):
            padding = [d * (k - 1) - p for d, k, p in zip(self.dilation, kernel, self.padding, strict=True)]
            by_group = weight.reshape(self.groups, out // self.groups, inner, *kernel).transpose(1, 2)
            turned = by_group.reshape(-1, out // self.groups, *kernel).flip(2, 3)
            how = Convolution((1, 1), (padding[0], padding[1]), self.dilation, self.groups)
            return None if min(padding) < 0 else (how, turned)
        rows, columns = (_Phases.of(*axis) for axis in zip(kernel, self.stride, self.padding, strict=True))
        strided = inner * rows.stride**2
        square = rows.stride == columns.stride and self.dilation == (1, 1) and self.groups == 1
        if not square or _blocks(strided) * rows.size * columns.size > _blocks(inner) * kernel[0] * kernel[1]:
            return None
        start = rows.start, columns.start
        turned = torch.einsum("oikl,aku,blv->iabouv", weight, rows.taps.to(weight), columns.taps.to(weight))
        how = Convolution((1, 1), (rows.padding, columns.padding), start=start, grain=rows.stride)
        return how, turned.reshape(strided, out, rows.size, columns.size)

    @property
    def clip(self) -> tuple[str, list[Any]]:
        """What clips to the bounds, in oneDNN's words, and its numbers."""
        if self.bounds is None:
            return "none", []
        return ("relu", []) if self.bounds == (0.0, math.inf) else ("hardtanh", list(self.bounds))

    def run(
        self, x: Tensor, packed: Tensor, bias: Tensor | None, added: Tensor | None, function: str, numbers: list[Any]
    ) -> Tensor:
        """A function, in oneDNN's words, of the convolution of ``x`` and of what is ``added``."""
        operation, given = self.call(x, added, packed, bias, function, numbers)
        return operation(*given)  # type: ignore[no-any-return]

    def call(
        self, x: Any, added: Any, packed: Any, bias: Any, function: str, numbers: list[Any]
    ) -> tuple[Any, tuple[Any, ...]]:
        """What computes that, and its arguments: tensors, or nodes of a graph."""
        if self.tiles:
            return by_tiles, (x, added, packed, bias, self.padding, function, numbers)
        return fused_call(x, added, packed, bias, self.numbers, function, numbers)

    def gradient(self, grad: Tensor, size: torch.Size, weight: Tensor) -> Tensor:
        """The gradient at an input of ``size``, of that at the output; ``weight`` turned and packed where there is a
        way ``back``."""
        if self.back is not None:
            at_input = self.back.run(grad, weight, None, None, "none", [])
            if self.back.grain == 1:
                return at_input
            (top, left), (height, width) = self.back.start, size[2:]
            return F.pixel_shuffle(at_input, self.back.grain)[..., top : top + height, left : left + width]
        # of the input itself only its size is read
        blank = torch.empty(size, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last)
        numbers = self.stride, self.padding, self.dilation, False, (0, 0), self.groups, (True, False, False)
        return torch.ops.aten.convolution_backward(grad, blank, weight, None, *numbers)[0]  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class _Phases:
    """Along one axis: which tap of a kernel reads which output, for every place within a stride, as ``taps`` [stride,
    kernel, size] of 0 and 1; and how a convolution of outputs with them is padded, and where the first input lies."""

    stride: int
    taps: Tensor
    padding: int
    start: int

    @classmethod
    def of(cls, kernel: int, stride: int, padding: int) -> _Phases:
        """Input s i + a meets output i + (a + p - k) / s by tap k, where that is whole."""
        pairs = [(a, k, (a + padding - k) // stride) for a in range(stride) for k in range(kernel)]
        pairs = [(a, k, at) for a, k, at in pairs if (a + padding - k) % stride == 0]
        low, high = min(at for *_, at in pairs), max(at for *_, at in pairs)
        taps = torch.zeros(stride, kernel, high - low + 1)
        for a, k, at in pairs:
            taps[a, k, at - low] = 1
        beyond = -(-(kernel - 2 * padding - 1) // stride)  # so many inputs, in strides, lie behind the last output's
        around = max(-low, high + max(beyond, 0), 0)
        return cls(stride, taps, around, stride * (low + around))

    @property
    def size(self) -> int:
        """How many outputs an input reads at most."""
        return self.taps.shape[2]


def _blocks(channels: int) -> int:
    """What so many channels cost: oneDNN computes sixteen at a time."""
    return -(-channels // 16)


class _Convolve(torch.autograd.Function):
    """Forward by oneDNN; backward by whatever rule stands in ``watch`` at that time."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        added: Tensor | None,
        packed: Tensor,
        bias: Tensor | None,
        back: Tensor,
        how: Convolution,
        watch: RuleWatch | None,
    ) -> Tensor:
        out = how.run(x, packed, bias, added, *how.clip)
        ctx.how, ctx.watch, ctx.back, ctx.size = how, watch, back, x.shape
        ctx.save_for_backward(*([] if how.bounds is None else [out]))
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), how = grads, ctx.how
        if how.bounds is not None:
            (out,), rule = ctx.saved_tensors, "none" if ctx.watch is None else ctx.watch.active
            # a third of the time less, if in place; what is no dense block would stay one that is read slowly
            reuse = how.alone and grad.is_contiguous(memory_format=torch.channels_last)
            grad = clipped(grad, out, how.bounds, rule, reuse=reuse)
        before = how.gradient(grad, ctx.size, ctx.back) if ctx.needs_input_grad[0] else None
        return before, grad if ctx.needs_input_grad[1] else None, *(None,) * 5


def convolve(
    x: Tensor,
    added: Tensor | None,
    packed: Tensor,
    bias: Tensor | None,
    back: Tensor,
    how: Convolution,
    *,
    watch: RuleWatch | None = None,
) -> Tensor:
    """The rectifier of a convolution and of what is ``added``: weights ``packed``, and those that lead ``back``.

    Seen by function modes as a call of this name, so that a ``watch`` may stand in: see
    `seewhy.core.intercept.backward_rules`.
    """
    if has_torch_function_unary(x):
        return handle_torch_function(convolve, (x,), x, added, packed, bias, back, how)
    return _Convolve.apply(x, added, packed, bias, back, how, watch)  # type: ignore[no-any-return]
