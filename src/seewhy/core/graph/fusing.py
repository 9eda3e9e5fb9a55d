"""Fusing: takes a graph, gives it with each convolution, the sum and the activation function that follow it as one call
of oneDNN, weights in the order that it works in; runs nothing.

CPU and float32 only. What is fused computes the same up to rounding. Where gradients are asked, activation functions
that clip are fused alone: see `seewhy.core.graph.convolving`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from seewhy.core.graph.assembling import derived, tensor_of
from seewhy.core.graph.convolving import FUSED, Convolution, convolve, fused_call, pack
from seewhy.core.graph.exporting import ATEN
from seewhy.core.graph.functional import erase_unused
from seewhy.core.rules import bounds_of

__all__ = ["can_fuse", "fuse_convolutions"]

_DEFAULTS = ([1, 1], [0, 0], [1, 1], 1)


def can_fuse(x: Tensor) -> bool:
    """Whether this build of torch has what is needed, for such inputs."""
    has = FUSED is not None and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    return has and x.device.type == "cpu" and x.dtype == torch.float32 and bool(torch._C._has_mkldnn)


def fuse_convolutions(
    graph: fx.Graph, tensors: dict[str, Tensor], batch: int, late: Collection[fx.Node]
) -> tuple[int, set[str]]:
    """Fuse every two-dimensional convolution, in place, with weights packed for a ``batch`` (others give the same,
    slower), so that gradients can be asked of the nodes ``late``; gives how many and the names of the tensors that
    went in."""
    fused, used = 0, set[str]()
    early = set(graph.nodes) - set(late)
    for conv in list(graph.nodes):
        if conv.target is not ATEN.conv2d.default:
            continue
        weight = tensor_of(conv.args[1], tensors)
        if weight is None or any(_shape(each) is None for each in (conv, conv.args[0])):
            continue
        if any(isinstance(each, str) for each in conv.args[3:]):
            continue
        group = _Group.of(conv, early if conv in early else late, clips=conv not in early)
        size = batch, *(int(n) for n in conv.args[0].meta["val"].shape[1:])
        packed = _derived(conv, f"packed {batch}", tensors, partial(pack, weight, size, group.how))
        made = (
            _with_gradients(conv, group, packed, weight, tensors, batch)
            if conv in late
            else _without(conv, group, packed)
        )
        made.meta = conv.meta | group.last.meta
        group.last.replace_all_uses_with(made)
        used.add(str(conv.args[1].target))
        fused += 1
    erase_unused(graph)
    return fused, used


@dataclass(frozen=True, eq=False)
class _Group:
    """What is fused: a convolution of such numbers, what is added, the function behind it in oneDNN's words, and the
    node that gives it all."""

    how: Convolution
    added: fx.Node | None
    function: str
    numbers: list[Any]
    last: fx.Node

    @classmethod
    def of(cls, conv: fx.Node, allowed: Collection[fx.Node], *, clips: bool) -> _Group:
        """As much as follows a convolution among the nodes ``allowed``; ``clips``: no function but one that clips."""
        given: tuple[Any, ...] = (*conv.args[3:], *_DEFAULTS[len(conv.args[3:]) :])
        stride, padding, dilation, groups = given
        how = Convolution(tuple(stride), tuple(padding), tuple(dilation), groups)
        last, added = _followed_by_sum(conv, allowed)
        name, numbers, after = _followed_by_function(last, allowed)
        if added is not None and name != "relu":  # the one that oneDNN takes behind a sum
            name, numbers, after = "none", [], last
        bounds = bounds_of(name, numbers)
        if clips and bounds is None:
            name, numbers, after = "none", [], last
        return cls(replace(how, bounds=bounds), added, name, numbers, after)


def _without(conv: fx.Node, group: _Group, packed: fx.Node) -> fx.Node:
    """The node that stands for ``group`` where no gradients are asked."""
    given = conv.args[0], group.added, packed, _bias(conv), group.how, group.function, group.numbers
    with conv.graph.inserting_before(group.last):
        return conv.graph.call_function(*fused_call(*given))


def _with_gradients(
    conv: fx.Node, group: _Group, packed: fx.Node, weight: Tensor, tensors: dict[str, Tensor], batch: int
) -> fx.Node:
    """The node that stands for ``group`` where they are."""
    how, back = group.how, conv.args[1]
    way = how.reversed(weight.detach())
    if way is not None:
        size = batch, *(int(n) for n in conv.meta["val"].shape[1:])
        how = replace(how, back=way[0])
        back = _derived(conv, f"turned {batch}", tensors, partial(pack, way[1], size, way[0]))
    given: tuple[Any, ...] = (conv.args[0], group.added, packed, _bias(conv), back, how)
    with conv.graph.inserting_before(group.last):
        return conv.graph.call_function(convolve, given)


def _bias(conv: fx.Node) -> Any:
    return conv.args[2] if len(conv.args) > 2 else None


def _derived(conv: fx.Node, word: str, tensors: dict[str, Tensor], make: Callable[[], Tensor]) -> fx.Node:
    """A node that reads what is made of the convolution's weights, ``word`` by name."""
    return derived(conv, f"{conv.args[1].target}.{word}", tensors, make)  # type: ignore[union-attr]


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


def _followed_by_function(node: fx.Node, allowed: Collection[fx.Node]) -> tuple[str, list[Any], fx.Node]:
    """What oneDNN calls the activation function that alone reads ``node``, its numbers, and its node."""
    user = _only_user(node, allowed)
    found: tuple[str, list[Any]] | None = None
    if user is not None and user.args[:1] == (node,) and not user.kwargs:
        rest: list[Any] = list(user.args[1:])
        target: Any = user.target
        found = {
            ATEN.relu.default: ("relu", []),
            ATEN.sigmoid.default: ("sigmoid", []),
            ATEN.tanh.default: ("tanh", []),
            ATEN.silu.default: ("swish", []),
            ATEN.hardswish.default: ("hardswish", []),
            ATEN.hardtanh.default: ("hardtanh", (rest + [-1.0, 1.0][len(rest) :])[:2]),
            ATEN.leaky_relu.default: ("leaky_relu", (rest or [0.01])[:1]),
        }.get(target)
    return ("none", [], node) if found is None or user is None else (*found, user)


def _shape(node: fx.Node) -> tuple[Any, ...] | None:
    value = node.meta.get("val")
    return tuple(str(n) for n in value.shape) if isinstance(value, Tensor) else None
