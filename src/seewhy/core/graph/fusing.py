"""Fusing: takes a graph that needs no gradients, gives it with each convolution, the sum and the activation function
that follow it as one call of oneDNN, weights in the order that it works in; runs nothing.

CPU and float32 only. What is fused computes the same up to rounding; nothing of it can be differentiated.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from seewhy.core.graph.assembling import derived, tensor_of
from seewhy.core.graph.exporting import ATEN
from seewhy.core.graph.functional import erase_unused

__all__ = ["FUSED", "FUSED_SUM", "can_fuse", "fuse_convolutions"]

#: a convolution and a function of it as one call, and the same with a sum between; None in a torch without oneDNN
_POINTWISE: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
FUSED = _POINTWISE and _POINTWISE.default
FUSED_SUM = _POINTWISE and _POINTWISE.binary

_DEFAULTS = ([1, 1], [0, 0], [1, 1], 1)


def can_fuse(x: Tensor) -> bool:
    """Whether this build of torch has what is needed, for such inputs."""
    has = _POINTWISE is not None and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    return has and x.device.type == "cpu" and x.dtype == torch.float32 and bool(torch._C._has_mkldnn)


def fuse_convolutions(
    graph: fx.Graph, allowed: Collection[fx.Node], tensors: dict[str, Tensor], batch: int
) -> tuple[int, set[str]]:
    """Fuse every two-dimensional convolution among the nodes ``allowed``, in place, with weights packed for a ``batch``
    (others give the same, slower); gives how many and the names of the tensors that went in."""
    fused, used = 0, set[str]()
    for conv in list(graph.nodes):
        if conv not in allowed or conv.target is not ATEN.conv2d.default:
            continue
        weight = tensor_of(conv.args[1], tensors)
        shape = conv.args[0].meta.get("val")
        if weight is None or shape is None or any(isinstance(each, str) for each in conv.args[3:]):
            continue
        given: tuple[Any, ...] = (*conv.args[3:], *_DEFAULTS[len(conv.args[3:]) :])
        stride, padding, dilation, groups = given
        bias = conv.args[2] if len(conv.args) > 2 else None
        packed = derived(
            conv,
            f"{conv.args[1].target}.packed {batch}",
            tensors,
            partial(_packed, weight, (batch, *shape.shape[1:]), padding, stride, dilation, groups),
        )
        used.add(str(conv.args[1].target))
        last, added = _followed_by_sum(conv, allowed)
        name, scalars, algorithm, last = _followed_by_function(last, allowed)
        settings = (packed, bias, padding, stride, dilation, groups)
        with graph.inserting_before(last):
            if added is None:
                new = graph.call_function(FUSED, (conv.args[0], *settings, name, scalars, algorithm))
            else:
                given = (
                    conv.args[0],
                    added,
                    *settings,
                    "add",
                    None,
                    name if name != "none" else None,
                    scalars,
                    algorithm,
                )
                new = graph.call_function(FUSED_SUM, given)
        new.meta = conv.meta | last.meta
        last.replace_all_uses_with(new)
        fused += 1
    erase_unused(graph)
    return fused, used


def _packed(weight: Tensor, size: Any, padding: Any, stride: Any, dilation: Any, groups: int) -> Tensor:
    """The weights in the order that oneDNN likes best for pictures of ``size`` [B, C, H, W]."""
    shape = [int(n) for n in size]
    dense = weight.detach().contiguous().to_mkldnn()
    reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight  # its stub lacks the last parameter
    packed: Tensor = reorder(dense, padding, stride, dilation, groups, shape)
    return packed


def _only_user(node: fx.Node, allowed: Collection[fx.Node]) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0] in allowed else None


def _followed_by_sum(conv: fx.Node, allowed: Collection[fx.Node]) -> tuple[fx.Node, fx.Node | None]:
    """The sum that alone reads a convolution, and what is added; of two convolutions that are added, the later one."""
    user = _only_user(conv, allowed)
    if user is None or user.target is not ATEN.add.Tensor or user.kwargs or len(user.args) != 2:
        return conv, None
    a, b = user.args
    other = b if a is conv else a
    if not isinstance(other, fx.Node) or other is conv or other.op == "get_attr" or _shape(other) != _shape(conv):
        return conv, None
    return (user, other) if other < conv else (conv, None)


def _followed_by_function(node: fx.Node, allowed: Collection[fx.Node]) -> tuple[str, list[Any], str | None, fx.Node]:
    """What oneDNN calls the activation function that alone reads ``node``, its numbers, and its node."""
    user = _only_user(node, allowed)
    found: tuple[str, list[Any], str | None] | None = None
    if user is not None and user.args[:1] == (node,) and not user.kwargs:
        rest: list[Any] = list(user.args[1:])
        target: Any = user.target
        found = {
            ATEN.relu.default: ("relu", [], ""),
            ATEN.sigmoid.default: ("sigmoid", [], ""),
            ATEN.tanh.default: ("tanh", [], ""),
            ATEN.silu.default: ("swish", [], ""),
            ATEN.hardswish.default: ("hardswish", [], ""),
            ATEN.hardtanh.default: ("hardtanh", (rest + [-1.0, 1.0][len(rest) :])[:2], ""),
            ATEN.leaky_relu.default: ("leaky_relu", (rest or [0.01])[:1], ""),
        }.get(target)
    if found is None or user is None:
        return "none", [], "", node
    return *found, user


def _shape(node: fx.Node) -> tuple[Any, ...] | None:
    value = node.meta.get("val")
    return tuple(str(n) for n in value.shape) if isinstance(value, Tensor) else None
