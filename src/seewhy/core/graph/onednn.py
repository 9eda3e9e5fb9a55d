"""oneDNN: takes a convolution's numbers, gives the library's own call for it and weights in the order that it works in;
changes no graph.

CPU and float32 only: see `can_fuse` in `seewhy.core.graph.fusing`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["FUSED", "FUSED_SUM", "Numbers", "fused_call", "pack"]

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
