"""Windows: takes a prepared graph, an image and windows in which its variants differ from it, gives the network's
output for every variant while computing only what changes; exact, but for rounding.

What a window changes in a layer is a patch. Convolutions, pools, batch norms, activation functions, sums, products,
concatenations and margins are run on all windows' patches together, each with as much of the unchanged map around it as
it needs. From the layer on where patches would cover most of the map, or where something global comes (squeeze and
excite, attention, group norm, a flattening), the whole maps are put together and the rest of the network runs on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from seewhy.core.compile.building import picture_order
from seewhy.core.compile.export import ATEN
from seewhy.core.compile.graphs import assemble, tensor_of
from seewhy.core.compile.window_extents import Crop, Extent, Kernel

__all__ = ["WindowPlan", "plan_windows"]

#: a patch that covers more of its map than this is no patch any more
_MOST = 0.6

#: how much less work there has to be
_GAIN = 1.15

_ALONE = frozenset(
    getattr(ATEN, name).default
    for name in (
        "relu", "hardtanh", "relu6", "silu", "gelu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "leaky_relu", "elu",
        "selu", "celu", "mish", "softplus", "neg", "abs", "exp", "sqrt", "square", "clamp", "clone", "batch_norm",
        "prelu", "threshold", "detach", "alias",
    )
    if hasattr(ATEN, name)
)  # fmt: skip

_PAIRS = frozenset((ATEN.add.Tensor, ATEN.sub.Tensor, ATEN.mul.Tensor, ATEN.div.Tensor, ATEN.maximum.default))

#: what a node's patches are made of: those of other nodes, for the windows in question
Patches = dict[fx.Node, Tensor]

Run = Callable[[Patches, Sequence[int]], Tensor]


@dataclass
class WindowPlan:
    """What every window changes in every layer; made for one shape of input and one set of windows.

    ``gain`` is how much less the convolutions have to compute; ``patched`` are those of fused convolutions, with
    weights packed for patches. `of` binds it to an image.
    """

    graph: fx.Graph
    tensors: Mapping[str, Tensor]
    windowed: dict[fx.Node, Extent]
    late: list[fx.Node]
    gain: float
    spec: pytree.TreeSpec
    patched: dict[fx.Node, Callable[[Tensor, Tensor | None], Tensor]]

    def of(self, x: Tensor) -> Windows:
        """The plan for one image [1, C, H, W]."""
        return Windows(self, x)


@dataclass
class Windows:
    """One image under many windows."""

    plan: WindowPlan
    x: Tensor
    _runs: dict[fx.Node, Run] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        with torch.inference_mode():
            self._bases = _bases(self.plan, self.x)
            for node, region in self.plan.windowed.items():
                if node.op != "placeholder":
                    self._runs[node] = _Planner(self.plan, self._bases).run(node, region)
            late = set(self.plan.late)
            # the output reads maps, too, where the network ends in them
            ends = {node for node in self.plan.graph.nodes if node.op == "output"}
            self._handed = [n for n in self.plan.windowed if any(user in late or user in ends for user in n.users)]
            self._whole = {
                node: Crop(self._bases[node], self.plan.windowed[node], _zero(self.plan.windowed[node]), _shape(node))
                for node in self._handed
            }
        output = next(iter(reversed(self.plan.graph.nodes)))
        self._rest = assemble(self.plan.late, self._handed, list(output.args[0]), self.plan.tensors, {})

    def __call__(self, variants: Tensor, rows: Sequence[int]) -> Any:
        """What comes of ``variants`` [m, C, H, W], which differ from the image only in windows ``rows``."""
        with torch.inference_mode():
            (first, region), *_ = self.plan.windowed.items()
            patches: Patches = {first: _cut(variants, region, rows)}
            waiting = {node: len(node.users) for node in self.plan.windowed}
            for node, run in self._runs.items():
                patches[node] = run(patches, rows)
                for source in node.all_input_nodes:
                    if source in waiting:
                        waiting[source] -= 1
                        if not waiting[source]:
                            del patches[source]
            whole = [self._whole[node](patches[node], rows) for node in self._handed]
            outputs = self._rest(*whole)
        # copies, which are ordinary tensors
        return pytree.tree_unflatten([y.clone() if isinstance(y, Tensor) else y for y in outputs], self.plan.spec)


def plan_windows(
    graph: fx.Graph, tensors: dict[str, Tensor], spec: pytree.TreeSpec, lo: Tensor, hi: Tensor
) -> WindowPlan | None:
    """How far windows ``lo`` to ``hi`` [n, 2] of the input reach in each layer; None where following them saves less
    than a seventh of the work."""
    windowed: dict[fx.Node, Extent] = {}
    late: dict[fx.Node, None] = {}
    saved = whole = 0.0
    for node in graph.nodes:
        if node.op in ("get_attr", "output"):
            continue
        if node.op == "placeholder":
            if len(_full(node)) != 4:
                return None
            windowed[node] = Extent.of(_full(node), lo, hi)
            continue
        region = None if any(n in late for n in node.all_input_nodes) else _reached(node, windowed, tensors)
        work = _work(node)
        whole += work
        if region is None or region.share > _MOST:
            late[node] = None
        else:
            windowed[node] = region
            saved += work * (1 - region.share)
    if not whole or whole / (whole - saved) < _GAIN:
        return None
    patched = {
        n: n.meta["fused"].of_patches(region.size, tensors) for n, region in windowed.items() if "fused" in n.meta
    }
    return WindowPlan(graph, tensors, windowed, list(late), whole / (whole - saved), spec, patched)


def _reached(node: fx.Node, windowed: Mapping[fx.Node, Extent], tensors: Mapping[str, Tensor]) -> Extent | None:
    """What the windows change in a node's map; None for what no rule here covers."""
    sources = [windowed[source] for source in node.all_input_nodes if source in windowed]
    if not sources or len(_full(node)) != 4:
        return None
    kernel = _kernel(node)
    if kernel is not None:
        first = windowed[node.args[0]].behind(kernel, _full(node))  # type: ignore[index]
        return first if len(sources) == 1 else first.united(windowed[node.args[1]])  # type: ignore[index]
    if node.target in _ALONE or node.target is picture_order:
        return sources[0]
    if node.target in _PAIRS and not node.kwargs:
        constants = [tensor_of(argument, tensors) for argument in node.args]
        flat = all(t is None or t.ndim == 0 or (t.ndim >= 3 and t.shape[-2:] == (1, 1)) for t in constants)
        return sources[0].united(*sources[1:]) if flat and _same_maps(node, windowed) else None
    if node.target is ATEN.cat.default and node.args[1:] in ((1,), (-3,)):
        return sources[0].united(*sources[1:]) if all(source in windowed for source in node.all_input_nodes) else None
    if (margin := _margin(node)) is not None:
        return sources[0].moved(margin, _full(node))
    return None


def _same_maps(node: fx.Node, windowed: Mapping[fx.Node, Extent]) -> bool:
    return all(windowed[source].shape == _shape(node) for source in node.all_input_nodes if source in windowed)


class _Planner:
    """Makes functions of patches for the nodes of a plan, given the maps of the image as it is."""

    def __init__(self, plan: WindowPlan, bases: Mapping[fx.Node, Tensor]) -> None:
        self._plan, self._bases = plan, bases

    def run(self, node: fx.Node, region: Extent) -> Run:
        """What makes the patches of ``node``, which lie in ``region``."""
        kernel = _kernel(node)
        if kernel is not None:
            return self._moving(node, region, kernel)
        if _margin(node) is not None:
            (source,) = (n for n in node.all_input_nodes if n in self._plan.windowed)
            return lambda patches, rows: patches[source]
        sources = {n: self._aligned(n, region) for n in node.all_input_nodes if n in self._plan.windowed}
        tensors = self._plan.tensors
        return lambda patches, rows: _call(
            node, node.args, {n: get(patches, rows) for n, get in sources.items()}, tensors
        )

    def _moving(self, node: fx.Node, region: Extent, kernel: Kernel) -> Run:
        """A convolution or a pool, without padding on patches that were cut out with their surroundings."""
        source: Any = node.args[0]
        own = self._plan.windowed[source]
        start = region.start * torch.tensor(kernel.stride) - torch.tensor(kernel.padding)
        size = (torch.tensor(region.size) - 1) * torch.tensor(kernel.stride) + kernel.span + 1
        outside = float("-inf") if node.target is ATEN.max_pool2d.default else 0.0
        alone = kernel.local and own.same_patches(region)
        crop = None if alone else Crop(self._bases[source], own, start, (int(size[0]), int(size[1])), outside)

        def moved(patches: Patches, rows: Sequence[int]) -> Tensor:
            return patches[source] if crop is None else crop(patches[source], rows)

        fused = self._plan.patched.get(node)
        if fused is None:
            tensors, args = self._plan.tensors, _without_padding(node)
            return lambda patches, rows: _call(node, [moved(patches, rows), *args[1:]], {}, tensors)
        # what a fused sum adds, which may be the very map that the kernel moves over: told apart by their places
        added = [self._aligned(n, region) for n in node.args[1:2] if isinstance(n, fx.Node) and n.op != "get_attr"]
        return lambda patches, rows: fused(moved(patches, rows), added[0](patches, rows) if added else None)

    def _aligned(self, source: fx.Node, region: Extent) -> Run:
        """The patches of ``source`` as large as ``region``'s, and where they are."""
        own = self._plan.windowed[source]
        if own.same_patches(region):
            return lambda patches, rows: patches[source]
        crop = Crop(self._bases[source], own, region.start, region.size)
        return lambda patches, rows: crop(patches[source], rows)


def _bases(plan: WindowPlan, x: Tensor) -> dict[fx.Node, Tensor]:
    """The maps of the image as it is, of all nodes that windows are followed through."""
    maps: dict[fx.Node, Tensor] = {}
    for node in plan.windowed:
        if node.op == "placeholder":
            maps[node] = x
            continue
        maps[node] = _call(node, node.args, maps, plan.tensors)
    return maps


def _call(
    node: fx.Node, args: Sequence[Any], values: Mapping[fx.Node, Tensor], tensors: Mapping[str, Tensor]
) -> Tensor:
    """A node's function of ``args``, other nodes among them replaced by their values."""
    given: Any = fx.map_arg(tuple(args), lambda n: values[n] if n in values else tensors[str(n.target)])
    value: Tensor = node.target(*given, **node.kwargs)  # type: ignore[operator]
    return value


def _kernel(node: fx.Node) -> Kernel | None:
    """How a convolution or a pool moves; None for other calls, and for those whose border is special."""
    args: list[Any] = list(node.args)
    shape: Any
    if node.target is ATEN.conv2d.default:
        shape = node.meta.get("kernel")
        stride, padding, dilation = _filled(args[3:6], [[1, 1], [0, 0], [1, 1]])
    elif (fused := node.meta.get("fused")) is not None:
        shape = node.meta.get("kernel")
        padding, stride, dilation, _ = fused.how.numbers
    elif node.target is ATEN.max_pool2d.default and args[5:6] != [True]:
        shape = args[1]
        stride, padding, dilation = _filled(args[2:5], [None, [0, 0], [1, 1]])
        stride = stride or shape
    elif node.target is ATEN.avg_pool2d.default and args[4:5] in ([], [False]) and _plain_mean(args):
        shape, dilation = args[1], [1, 1]
        stride, padding = _filled(args[2:4], [None, [0, 0]])
        stride = stride or shape
    else:
        return None
    if shape is None or isinstance(padding, str):
        return None
    return Kernel(_two(shape), _two(stride), _two(padding), _two(dilation))


def _filled(given: list[Any], defaults: list[Any]) -> list[Any]:
    return given + defaults[len(given) :]


def _plain_mean(args: Sequence[Any]) -> bool:
    """Whether an average pool divides by the same number everywhere."""
    padding = args[3] if len(args) > 3 else [0, 0]
    return not any(_two(padding)) or list(args[5:6]) in ([], [True])


def _without_padding(node: fx.Node) -> list[Any]:
    """The arguments of a convolution or a pool whose padding has been added already."""
    args = list(node.args)
    if node.target is ATEN.conv2d.default:
        args[4:5] = [[0, 0]] if len(args) > 4 else []
    elif len(args) > 3:
        args[3] = [0, 0]
    return args


def _margin(node: fx.Node) -> tuple[int, int] | None:
    """(top, left) of what a constant margin adds; None for other calls."""
    name = getattr(getattr(node.target, "_schema", None), "name", "")
    constant = name == "aten::constant_pad_nd" or (name == "aten::pad" and node.args[2:3] in ((), ("constant",)))
    if not constant:
        return None
    widths: Any = node.args[1]
    if len(widths) > 4 or any(width < 0 for width in widths):
        return None
    return (int(widths[2]) if len(widths) > 2 else 0, int(widths[0]))


def _work(node: fx.Node) -> float:
    """Multiplications of a convolution; 0 for other calls."""
    if node.meta.get("kernel") is None:
        return 0.0
    return float(node.meta["multiplications"]) * _shape(node)[0] * _shape(node)[1]


def _cut(variants: Tensor, region: Extent, rows: Sequence[int]) -> Tensor:
    """The variants' own patches, channels last in memory."""
    height, width = region.size
    starts = region.start[list(rows)].tolist()
    cut = [variants[m, :, y : y + height, x : x + width] for m, (y, x) in enumerate(starts)]
    return torch.stack(cut).contiguous(memory_format=torch.channels_last)


def _full(node: fx.Node) -> tuple[int, ...]:
    """A node's shape, the batch's first number meaningless; () for what is no tensor."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        return ()
    return (1, *(int(n) for n in value.shape[1:])) if value.ndim else ()


def _shape(node: fx.Node) -> tuple[int, int]:
    full = _full(node)
    return full[2], full[3]


def _zero(region: Extent) -> Tensor:
    return torch.zeros_like(region.start)


def _two(values: Any) -> tuple[int, int]:
    if isinstance(values, int):
        return values, values
    return (int(values[0]), int(values[-1]))
