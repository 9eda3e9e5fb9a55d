"""Fusing: takes a graph, gives it with each convolution, the sum and the activation function that follow it as one call
of oneDNN, weights in the order that it works in, and linear layers as its calls; runs nothing.

CPU and float32 only. What is fused computes the same up to rounding. Where gradients are asked, activation functions
that clip are fused alone: see `seewhy.core.graph.convolving`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx

from seewhy.core.graph.assembling import tensor_of
from seewhy.core.graph.convolving import Convolution, convolve
from seewhy.core.graph.exporting import ATEN
from seewhy.core.graph.functional import erase_unused
from seewhy.core.graph.linear import LINEAR, linear
from seewhy.core.graph.onednn import FUSED
from seewhy.core.graph.packing import Fused, Packing
from seewhy.core.rules import bounds_of

__all__ = ["can_fuse", "fuse_convolutions", "fuse_linear"]

#: where `convolve` is told how
_HOW = 5
_DEFAULTS = ([1, 1], [0, 0], [1, 1], 1)


def can_fuse(x: Tensor) -> bool:
    """Whether this build of torch has what is needed, for such inputs."""
    has = FUSED is not None and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    return has and x.device.type == "cpu" and x.dtype == torch.float32 and bool(torch._C._has_mkldnn)


def fuse_convolutions(
    graph: fx.Graph, tensors: dict[str, Tensor], batch: int, late: Collection[fx.Node], *, tiles: bool
) -> tuple[Counter[str], set[str]]:
    """Fuse every two-dimensional convolution, in place, with weights packed for a ``batch`` (others give the same,
    slower), so that gradients can be asked of the nodes ``late``; with ``tiles``, 3 x 3 convolutions are computed by
    Winograd's algorithm where that is faster. Gives how many there are of each kind, and the names of the tensors that
    went in."""
    counts, used = Counter[str](), set[str]()
    early = set(graph.nodes) - set(late)
    for conv in list(graph.nodes):
        if conv.target is not ATEN.conv2d.default or any(_shape(each) is None for each in (conv, conv.args[0])):
            continue
        if any(isinstance(each, str) for each in conv.args[3:]):
            continue
        names = [str(each.target) for each in conv.args[1:3] if tensor_of(each, tensors) is not None]
        if len(names) != sum(each is not None for each in conv.args[1:3]):  # weights that are computed
            continue
        group = _Group.of(conv, early if conv in early else late, clips=conv not in early)
        packing = Packing(names[0], names[1] if len(names) > 1 else None, batch, tiles)
        sizes = _size(conv.args[0]), _size(conv)
        how, *read = packing.forth(group.how, *sizes, tensors)
        weight, bias = (None if name is None else _reads(conv, name) for name in read)
        if conv in late:
            how, back = packing.back(how, *sizes, tensors)
            call: Any = convolve, (conv.args[0], group.added, weight, bias, _reads(conv, back), how)
        else:
            call = how.call(conv.args[0], group.added, weight, bias, group.function, group.numbers)
        with graph.inserting_before(group.last):
            made = graph.call_function(*call)
        made.meta = conv.meta | group.last.meta | {"fused": Fused(packing, how, group.function, group.numbers)}
        group.last.replace_all_uses_with(made)
        # without tiles, a bias is read where it lies
        used |= set(names if tiles else names[:1])
        counts += Counter(fused=1, tiled=int(how.tiles))
    erase_unused(graph)
    _note_alone(graph)
    return counts, used


def _note_alone(graph: fx.Graph) -> None:
    """Tell each convolution that another alone reads: the gradient that comes from there was made for it."""
    for node in graph.nodes:
        readers = list(node.users) if node.target is convolve else []
        if len(readers) == 1 and readers[0].target is convolve and readers[0].args[1] is not node:
            node.update_arg(_HOW, replace(node.args[_HOW], alone=True))


def fuse_linear(graph: fx.Graph, tensors: Mapping[str, Tensor]) -> int:
    """Hand every linear layer of constant weights to oneDNN, in place; gives how many."""
    found = 0
    for node in list(graph.nodes):
        if LINEAR is None or node.target is not ATEN.linear.default or node.kwargs:
            continue
        weight, bias = tensor_of(node.args[1], tensors), tensor_of(node.args[2], tensors) if node.args[2:] else None
        if weight is None or weight.ndim != 2 or (bias is None and node.args[2:] not in ((), (None,))):
            continue
        node.target, node.args = linear, (*node.args[:2], node.args[2] if bias is not None else None)
        found += 1
    return found


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


def _reads(conv: fx.Node, name: str) -> fx.Node:
    """A node before ``conv`` that reads a tensor."""
    with conv.graph.inserting_before(conv):
        return conv.graph.get_attr(name)


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


def _size(node: fx.Node) -> tuple[int, int]:
    """Rows and columns of a node's maps."""
    *_, height, width = node.meta["val"].shape
    return int(height), int(width)


def _shape(node: fx.Node) -> tuple[Any, ...] | None:
    value = node.meta.get("val")
    return tuple(str(n) for n in value.shape) if isinstance(value, Tensor) else None
