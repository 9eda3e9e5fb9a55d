"""Linear: a linear layer as oneDNN's own call, which can be differentiated; changes no graph.

For a few rows torch's own call reads the weights once for every one or two of them, oneDNN's once for all; for many
rows oneDNN's uses wider registers on some processors. The model's weights are read where they lie.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

__all__ = ["LINEAR", "linear"]

#: a linear layer and a function of it as one call; None in a torch without oneDNN
_POINTWISE: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
LINEAR = _POINTWISE and _POINTWISE.default


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

    Seen by function modes as a call of this name: see `seewhy.core.head`.
    """
    if has_torch_function_unary(x):
        return handle_torch_function(linear, (x,), x, weight, bias)
    return _Linear.apply(x, weight.detach(), None if bias is None else bias.detach())  # type: ignore[no-any-return]
