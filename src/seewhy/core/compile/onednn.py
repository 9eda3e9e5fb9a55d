"""oneDNN's own calls of a convolution and of a linear layer, and weights in the order that it works in; no graph.

For a few rows torch's own call of a linear layer reads the weights once for every one or two of them, oneDNN's once for
all; for many rows oneDNN's uses wider registers on some processors. The model's weights are read where they lie.

CPU and float32 only: see `can_fuse` in `seewhy.core.compile.fusing`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

__all__ = ["FUSED", "FUSED_SUM", "LINEAR", "Numbers", "fused_call", "linear", "pack"]

#: a convolution and a function of it as one call, and the same with a sum between; None in a torch without oneDNN
_POINTWISE: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
FUSED = _POINTWISE and _POINTWISE.default
FUSED_SUM = _POINTWISE and _POINTWISE.binary


class Numbers(NamedTuple):
    """How a two-dimensional convolution moves, in the order in which oneDNN is told."""

    padding: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


def fused_call(
    x: Any, added: Any, packed: Any, bias: Any, how: Numbers, function: str, numbers: list[Any]
) -> tuple[Any, tuple[Any, ...]]:
    """The operation of oneDNN for a function of a convolution and of what is ``added``, and its arguments: tensors, or
    nodes of a graph."""
    if added is None:
        return FUSED, (x, packed, bias, *how, function, numbers, "")
    return FUSED_SUM, (x, added, packed, bias, *how, "add", None, None if function == "none" else function, numbers, "")


def pack(weight: Tensor, size: tuple[int, ...], how: Numbers) -> Tensor:
    """The weights in the order that oneDNN likes best for pictures of ``size`` [B, C, H, W]."""
    reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight  # its stub lacks the last parameter
    packed: Tensor = reorder(weight.detach().contiguous().to_mkldnn(), *how, list(size))
    return packed


#: a linear layer and a function of it as one call; None in a torch without oneDNN
_LINEAR_POINTWISE: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
LINEAR = _LINEAR_POINTWISE and _LINEAR_POINTWISE.default


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.weight = weight
        return LINEAR(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), weight = grads, ctx.weight
        if grad.numel() == len(weight):  # of one row torch's is the faster
            return grad @ weight, None, None
        return LINEAR(grad, weight.t(), None, "none", [], ""), None, None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x`` [..., in] times ``weight`` [out, in], plus ``bias`` [out]; only ``x`` is differentiated.

    Seen by function modes as a call of this name: see `seewhy.core.intercept.head`.
    """
    if has_torch_function_unary(x):
        return handle_torch_function(linear, (x,), x, weight, bias)
    return _Linear.apply(x, weight.detach(), None if bias is None else bias.detach())  # type: ignore[no-any-return]
