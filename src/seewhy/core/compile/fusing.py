"""Packing: takes a convolution's weights and the sizes of its maps, gives the way in which it is computed fastest and
the weights in the order in which that reads them; changes no graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from seewhy.core.compile.convolution import Convolution, convolve
from seewhy.core.compile.export import ATEN
from seewhy.core.compile.functional import erase_unused
from seewhy.core.compile.graphs import kept, tensor_of
from seewhy.core.compile.onednn import FUSED, LINEAR, Numbers, linear, pack
from seewhy.core.compile.winograd import pays, tile_bias, tile_weight
from seewhy.core.intercept.backward_rules import bounds_of

__all__ = ["Fused", "Packing", "can_fuse", "fuse_convolutions", "fuse_linear"]

#: so many pixels, and no side longer, say which way is faster for more of them
_PIXELS, _SIDE = 8192, 128


@dataclass(frozen=True)
class Packing:
    """How one convolution's ``weight`` and ``bias``, known by their names, are packed: for a ``batch`` of pictures;
    with ``tiles``, 3 x 3 convolutions are computed by Winograd's algorithm where that is faster.

    What is made is put among the ``tensors`` handed over, once. None are held: graphs live until they are collected.
    """

    weight: str
    bias: str | None
    batch: int
    tiles: bool

    def forth(
        self, how: Convolution, in_size: tuple[int, int], out_size: tuple[int, int], tensors: dict[str, Tensor]
    ) -> tuple[Convolution, str, str | None]:
        """The convolution from maps of ``in_size`` (H, W) to ``out_size``, and the names of its weights and bias."""
        how, weight = self._best("packed", how, how, tensors[self.weight], in_size, out_size, tensors)
        if self.bias is None or not how.tiles:
            return how, weight, self.bias
        return how, weight, kept(f"{self.bias}.in tiles", tensors, partial(tile_bias, tensors[self.bias]))

    def back(
        self, how: Convolution, in_size: tuple[int, int], out_size: tuple[int, int], tensors: dict[str, Tensor]
    ) -> tuple[Convolution, str]:
        """The same with its way back to the gradient at what it reads, and the name of the weights of that."""
        way = how.reversed(tensors[self.weight].detach())
        if way is None:
            return how, self.weight
        best, name = self._best("turned", how, *way, out_size, in_size, tensors)
        return replace(how, back=best), name

    def _best(
        self,
        word: str,
        asked: Convolution,
        how: Convolution,
        weight: Tensor,
        in_size: tuple[int, int],
        out_size: tuple[int, int],
        tensors: dict[str, Tensor],
    ) -> tuple[Convolution, str]:
        # one weight may serve several convolutions, which move in other ways
        word = f"{word} of {tuple(asked.numbers)}"
        if self.tiles and _by_tiles(how, weight, self.batch, out_size):
            name = f"{self.weight}.{word} in tiles for {out_size}"
            return replace(how, tiles=True), kept(name, tensors, partial(tile_weight, weight, out_size))
        size = self.batch, weight.shape[1] * how.groups, *in_size
        name = f"{self.weight}.{word} for {size}"
        return replace(how, tiles=False), kept(name, tensors, partial(pack, weight, size, how.numbers))


def _by_tiles(how: Convolution, weight: Tensor, batch: int, out_size: tuple[int, int]) -> bool:
    """Whether Winograd's algorithm is for such a convolution, and faster."""
    if how.numbers._replace(padding=(0, 0)) != Numbers() or weight.shape[2:] != (3, 3):
        return False
    height, width = (min(n, _SIDE) for n in out_size)
    pictures = min(batch, max(1, _PIXELS // (height * width)))
    return pays(weight.shape[0], weight.shape[1], (pictures, height, width), torch.get_num_threads())


@dataclass(frozen=True, eq=False)
class Fused:
    """What a fused node computes: a function, in oneDNN's words, of a convolution and of what may be added."""

    packing: Packing
    how: Convolution
    function: str
    numbers: list[Any]

    def of_patches(
        self, size: tuple[int, int], tensors: dict[str, Tensor]
    ) -> Callable[[Tensor, Tensor | None], Tensor]:
        """The same, of patches that bring along what lies around them, to ones of ``size`` (H, W)."""
        kernel = tensors[self.packing.weight].shape[2:]
        axes = zip(self.how.stride, self.how.dilation, kernel, size, strict=True)
        height, width = (s * (n - 1) + d * (k - 1) + 1 for s, d, k, n in axes)
        how, weight, bias = self.packing.forth(replace(self.how, padding=(0, 0)), (height, width), size, tensors)
        packed, shift = tensors[weight], None if bias is None else tensors[bias]
        return lambda x, added: how.run(x, packed, shift, added, self.function, self.numbers)


#: where `convolve` is told how
_HOW = 5

_DEFAULTS = ([1, 1], [0, 0], [1, 1], 1)


def can_fuse(x: Tensor) -> bool:
    """Whether this build of torch has what is needed, for such inputs."""
    has = FUSED is not None and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    return has and x.device.type == "cpu" and x.dtype == torch.float32 and bool(torch._C._has_mkldnn)


def fuse_convolutions(
    graph: fx.Graph,
    tensors: dict[str, Tensor],
    batch: int,
    late: Collection[fx.Node],
    left: Collection[fx.Node] = (),
    *,
    tiles: bool,
) -> tuple[Counter[str], set[str]]:
    """Fuse every two-dimensional convolution, in place, with weights packed for a ``batch`` (others give the same,
    slower), so that gradients can be asked of the nodes ``late``; with ``tiles``, 3 x 3 convolutions are computed by
    Winograd's algorithm where that is faster; the nodes ``left`` stay as they are. Gives how many there are of each
    kind, and the names of the tensors that went in."""
    counts, used = Counter[str](), set[str]()
    early = set(graph.nodes) - set(late)
    for conv in list(graph.nodes):
        if conv.target is not ATEN.conv2d.default or conv in left:
            continue
        if any(_shape(node) is None for node in (conv, conv.args[0])):
            continue
        if any(isinstance(argument, str) for argument in conv.args[3:]):
            continue
        names = [str(argument.target) for argument in conv.args[1:3] if tensor_of(argument, tensors) is not None]
        if len(names) != sum(argument is not None for argument in conv.args[1:3]):  # weights that are computed
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
            fused = graph.call_function(*call)
        fused.meta = conv.meta | group.last.meta | {"fused": Fused(packing, how, group.function, group.numbers)}
        group.last.replace_all_uses_with(fused)
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


def fuse_linear(graph: fx.Graph, tensors: Mapping[str, Tensor], left: Collection[fx.Node] = ()) -> int:
    """Hand every linear layer of constant weights to oneDNN, in place, but for the nodes ``left``; gives how many."""
    count = 0
    for node in list(graph.nodes):
        if LINEAR is None or node.target is not ATEN.linear.default or node.kwargs or node in left:
            continue
        weight, bias = tensor_of(node.args[1], tensors), tensor_of(node.args[2], tensors) if node.args[2:] else None
        if weight is None or weight.ndim != 2 or (bias is None and node.args[2:] not in ((), (None,))):
            continue
        node.target, node.args = linear, (*node.args[:2], node.args[2] if bias is not None else None)
        count += 1
    return count


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
    function: tuple[str, list[Any]] | None = None
    if user is not None and user.args[:1] == (node,) and not user.kwargs:
        rest: list[Any] = list(user.args[1:])
        target: Any = user.target
        function = {
            ATEN.relu.default: ("relu", []),
            ATEN.sigmoid.default: ("sigmoid", []),
            ATEN.tanh.default: ("tanh", []),
            ATEN.silu.default: ("swish", []),
            ATEN.hardswish.default: ("hardswish", []),
            ATEN.hardtanh.default: ("hardtanh", (rest + [-1.0, 1.0][len(rest) :])[:2]),
            ATEN.leaky_relu.default: ("leaky_relu", (rest or [0.01])[:1]),
        }.get(target)
    return ("none", [], node) if function is None or user is None else (*function, user)


def _size(node: fx.Node) -> tuple[int, int]:
    """Rows and columns of a node's maps."""
    *_, height, width = node.meta["val"].shape
    return int(height), int(width)


def _shape(node: fx.Node) -> tuple[Any, ...] | None:
    value = node.meta.get("val")
    return tuple(str(n) for n in value.shape) if isinstance(value, Tensor) else None
