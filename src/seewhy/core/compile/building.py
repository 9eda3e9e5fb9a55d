"""Building: takes an exported graph and the layers that are looked at, gives a module that computes the same, faster;
measures nothing.

What runs before the first layer looked at is one part, in inference mode; what follows, of which gradients may be
asked, is the other. Layers that are looked at are taps: submodules of the same names, for hooks.

The first part is the one place where a forward is split into pieces of some samples. Whoever watches calls (for the
final softmax, for the linear head) sees the second part only, which runs on the whole batch and always has the end of
the network in it: everything from where there are no positions any more.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from seewhy.core.compile.checksums import Contents
from seewhy.core.compile.export import ATEN, Exported
from seewhy.core.compile.folding import fold_batch_norms
from seewhy.core.compile.functional import erase_unused
from seewhy.core.compile.fusing import fuse_convolutions, fuse_linear
from seewhy.core.compile.graphs import assemble, derived, place_nodes, tensor_of
from seewhy.core.compile.onnx_part import OnnxPart, Sessions
from seewhy.core.forward.demand import Recorded
from seewhy.core.intercept.functions import canonical_name
from seewhy.core.intercept.head import ENDINGS

__all__ = ["TORCH", "Build", "Prepared", "Steps", "picture_order"]

#: how many images weights are packed for, where it is not one
_SEVERAL = 16

#: the engine that runs what no other one does
TORCH = "torch"


@dataclass(frozen=True)
class Steps:
    """What is done to a graph: batch norms folded into convolutions, pictures and weights channels last in memory,
    convolutions run together with what follows them and linear layers by oneDNN, convolutions of 3 x 3 by tiles where
    that is faster; what gradients are not asked of run by another ``engine`` than torch, which then does the rest but
    folding its own way."""

    fold: bool = False
    channels_last: bool = False
    fuse: bool = False
    tiles: bool = False
    engine: str = TORCH


class _Tap(nn.Module):
    """A layer that is looked at: hands its input on."""

    def forward(self, x: Tensor) -> Tensor:
        """``x``."""
        return x


class Prepared(nn.Module):
    """A network as prepared: ``before`` (inference mode, nothing recorded), then ``after``, of the input and of what
    ``before`` gives.

    ``before`` runs ``chunk`` samples at a time, if that is set (more are slower, each) and ``together`` says how what
    it gives is put together again: True for what has a row for each sample, False for what is the same for all.
    """

    def __init__(
        self,
        before: Callable[..., tuple[Any, ...]] | None,
        after: Callable[..., tuple[Any, ...]],
        taps: Mapping[str, nn.Module],
        spec: pytree.TreeSpec,
        together: Sequence[bool] | None = None,
    ) -> None:
        super().__init__()
        self._before, self._after, self._spec, self._together = before, after, spec, together
        self.chunk: int | None = None
        for name, tap in taps.items():
            _put(self, name, tap)
        self.eval()

    def forward(self, x: Tensor) -> Any:
        """What the model gives for ``x`` [B, C, *size]."""
        return self.finish(*self.start(x))

    def start(self, x: Tensor) -> Sequence[Tensor | int]:
        """What `finish` takes: the input, and what the first part makes of it. Nothing that is called here is for
        anyone to watch."""
        if self._before is None:
            return (x,)
        # out of inference mode: what gradients are taken of must be ordinary tensors
        return [x, *map(_ordinary, self._pieces(x))]

    def _pieces(self, x: Tensor) -> Sequence[Tensor | int]:
        """What the first part makes of ``x``, some samples at a time."""
        assert self._before is not None
        if self.chunk is None or self._together is None or len(x) <= self.chunk:
            with torch.inference_mode():
                return self._before(x)
        with torch.inference_mode():
            pieces = [self._before(x[n : n + self.chunk]) for n in range(0, len(x), self.chunk)]
        columns = zip(self._together, zip(*pieces, strict=True), strict=True)
        return [torch.cat(column) if rows else column[0] for rows, column in columns]

    def finish(self, *live: Tensor | int) -> Any:
        """What the model gives, from what `start` gave."""
        return pytree.tree_unflatten(list(self._after(*live)), self._spec)


@dataclass
class Build:
    """Builds programs of one exported network.

    ``sources`` are the names of the model's tensors of which programs hold changed copies: made once for all programs
    that use them, and kept as long as one does.
    """

    exported: Exported
    sources: set[str] = field(default_factory=set)
    _copies: WeakValueDictionary[str, Tensor] = field(default_factory=WeakValueDictionary)
    _sessions: WeakValueDictionary[str, Sessions] = field(default_factory=WeakValueDictionary)

    def __post_init__(self) -> None:
        self.places = place_nodes(self.exported.graph)

    def forget(self) -> None:
        """Drop what was made of the model's tensors, which have changed."""
        self._copies, self._sessions, self.sources = WeakValueDictionary(), WeakValueDictionary(), set()

    def contents(self) -> Contents:
        """What the model's tensors hold of which programs have changed copies."""
        return Contents(self.exported.tensors[name] for name in sorted(self.sources))

    def program(
        self, looked_at: Sequence[str], recorded: Recorded, steps: Steps, *, single: bool = False
    ) -> tuple[Prepared, dict[str, int]]:
        """The network with taps for the layers ``looked_at``, gradients possible as ``recorded``, at its best for
        ``single`` images or for several; and how often each step applied."""
        graph, taps, tensors, counts = self._changed(looked_at, recorded, steps, 1 if single else _SEVERAL)
        prepared = self._prepared(graph, taps, recorded, tensors, steps.engine)
        self._keep(tensors)
        return prepared, counts

    def graph_of(self, steps: Steps) -> tuple[fx.Graph, dict[str, Tensor]]:
        """The graph with ``steps`` done to it for torch to run, nothing looked at and nothing recorded, and the tensors
        it reads."""
        graph, _, tensors, _ = self._changed((), "none", replace(steps, engine=TORCH), _SEVERAL)
        self._keep(tensors)
        return graph, tensors

    def _keep(self, tensors: Mapping[str, Tensor]) -> None:
        """Remember copies for other programs."""
        self._copies.update({name: tensor for name, tensor in tensors.items() if name not in self.exported.tensors})

    def _part(
        self, nodes: Sequence[fx.Node], placeholder: fx.Node, live: Sequence[fx.Node], tensors: Mapping[str, Tensor]
    ) -> OnnxPart:
        """The first part of a graph for onnxruntime; one that does the same with the same tensors is taken again."""
        part = OnnxPart(nodes, placeholder, live, tensors, self._sessions)
        self.sources |= part.reads & set(self.exported.tensors)
        return part

    def _changed(
        self, looked_at: Sequence[str], recorded: Recorded, steps: Steps, batch: int
    ) -> tuple[fx.Graph, list[fx.Node], dict[str, Tensor], dict[str, int]]:
        """A copy of the graph with ``steps`` done to it, its taps, the tensors it reads, and how often each step
        applied."""
        graph, taps = self._tapped(looked_at)
        own = self.exported.tensors
        tensors = {**own, **self._copies}
        counts = {"batch norms": 0, "fused": 0, "tiled": 0, "linear": 0}
        used: set[str] = set()
        # what another engine runs it folds for itself, of the model's own weights, and has no need of copies of ours
        late = set[fx.Node]() if recorded == "none" and steps.engine == TORCH else _late(graph, taps, recorded)
        left = set[fx.Node]() if steps.engine == TORCH else set(graph.nodes) - late
        if steps.fold:
            counts["batch norms"], used = fold_batch_norms(graph, tensors, left)
            late = _late(graph, taps, recorded) if late else late
        if steps.channels_last:
            used |= _channels_last(graph, tensors, left)
        if steps.fuse:
            recordable = late if recorded != "none" else set[fx.Node]()
            fused, packed = fuse_convolutions(graph, tensors, batch, recordable, left, tiles=steps.tiles)
            counts.update(fused, linear=fuse_linear(graph, tensors, left))
            used |= packed
        self.sources |= used & set(own)
        erase_unused(graph)
        return graph, taps, tensors, counts

    def _tapped(self, looked_at: Sequence[str]) -> tuple[fx.Graph, list[fx.Node]]:
        """A copy of the graph in which every call of each layer goes through a tap, an inner layer's first."""
        graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
        graph.output(graph.graph_copy(self.exported.graph, copies))
        for node, copy in copies.items():
            copy.meta = dict(node.meta)
        taps = []
        for name in sorted(looked_at, key=lambda name: -name.count(".")):
            for node in self.places[name]:
                place = copies[node]
                with graph.inserting_after(place):
                    tap = graph.call_module(name, (place,))
                tap.meta = dict(place.meta)
                place.replace_all_uses_with(tap, delete_user_cb=partial(operator.is_not, tap))
                copies[node] = tap
                taps.append(tap)
        return graph, taps

    def _prepared(
        self,
        graph: fx.Graph,
        taps: Sequence[fx.Node],
        recorded: Recorded,
        tensors: Mapping[str, Tensor],
        engine: str,
    ) -> Prepared:
        """The two parts of a graph, the first of them for the ``engine``, assembled."""
        late = _late(graph, taps, recorded)
        (placeholder,) = (node for node in graph.nodes if node.op == "placeholder")
        output = next(iter(reversed(graph.nodes)))
        results = list(output.args[0])
        first = [node for node in graph.nodes if node not in late and node.op == "call_function"]
        second = [node for node in graph.nodes if node in late and node.op in ("call_function", "call_module")]
        live: list[fx.Node] = []
        if first:
            needed = {source for node in second for source in node.all_input_nodes} | set(results)
            # sizes of the input are read anew: a piece has another number of samples than the whole
            sizes = _sizes(placeholder)
            second = [node for node in first if node in sizes & needed] + second
            live = [node for node in first if node in needed - sizes]
        modules = {str(tap.target): _Tap() for tap in taps}
        before: Callable[..., tuple[Any, ...]] | None = None
        if first and engine == TORCH:
            before = assemble(first, [placeholder], live, tensors, modules)
        elif first:
            before = self._part(first, placeholder, live, tensors)
        after = assemble(second, [placeholder, *live], results, tensors, modules)
        return Prepared(before, after, modules, self.exported.spec, _together(placeholder, live))


def _channels_last(graph: fx.Graph, tensors: dict[str, Tensor], left: Collection[fx.Node]) -> set[str]:
    """Pictures, and the weights of their convolutions, channels last, but for the nodes ``left`` as they are; gives the
    names of the tensors copied."""
    used = set()
    for node in (each for each in list(graph.nodes) if each not in left):
        if node.op == "placeholder" and _rank(node) == 4:
            with graph.inserting_after(node):
                turned = graph.call_function(picture_order, (node,))
            turned.meta = dict(node.meta)
            # sizes are read of the input itself
            node.replace_all_uses_with(turned, delete_user_cb=lambda user: user is not turned and _is_tensor(user))  # noqa: B023
        weight = tensor_of(node.args[1], tensors) if node.target is ATEN.conv2d.default else None
        if weight is not None and not weight.is_contiguous(memory_format=torch.channels_last):
            source = str(node.args[1].target)
            last = derived(node, f"{source}.last", tensors, partial(picture_order, weight.detach()))
            node.update_arg(1, last)
            used.add(source)
        if node.target is ATEN.group_norm.default and _rank(node) == 4:
            _in_own_order(graph, node)
    return used


def _in_own_order(graph: fx.Graph, node: fx.Node) -> None:
    """Have a group norm read pictures channels first. Torch's other kernel takes the variance for the mean square less
    the square of the mean: where all values lie far from 0, few digits of it are left (findings/)."""
    (given,) = (each for each in node.all_input_nodes if each is node.args[0])
    with graph.inserting_before(node):
        plain = graph.call_function(torch.Tensor.contiguous, (given,))
    plain.meta = dict(given.meta)
    node.update_arg(0, plain)
    with graph.inserting_after(node):
        turned = graph.call_function(picture_order, (node,))
    turned.meta = dict(node.meta)
    node.replace_all_uses_with(turned, delete_user_cb=lambda user: user is not turned)


def _late(graph: fx.Graph, taps: Sequence[fx.Node], recorded: Recorded) -> set[fx.Node]:
    """The nodes of the second part: everything, or the taps and all that depends on them, and the end."""
    if recorded == "all":
        return set(graph.nodes)
    late = set(taps) | _end(graph)
    for node in graph.nodes:
        if any(source in late for source in node.all_input_nodes):
            late.add(node)
    return late


def _end(graph: fx.Graph) -> set[fx.Node]:
    """The calls behind which there are rows [B, n] alone, on all ways to the output, and those that squash, or hand on,
    what is the output."""
    tail: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        ends = node.op == "call_function" and (_rank(node) <= 2 or canonical_name(node.target) in ENDINGS)
        if ends and node.users and all(user in tail or user.op == "output" for user in node.users):
            tail.add(node)
    return tail


def _sizes(placeholder: fx.Node) -> set[fx.Node]:
    """The numbers that are computed of the input's own shape alone."""
    known = {placeholder}
    for node in placeholder.graph.nodes:
        if node.op == "call_function" and not _is_tensor(node) and known.issuperset(node.all_input_nodes):
            known.add(node)
    return known - {placeholder}


def _together(placeholder: fx.Node, live: Sequence[fx.Node]) -> list[bool] | None:
    """How what the first part gives for pieces is put together: see `Prepared`. None where that cannot be known."""
    batch = str(placeholder.meta["val"].shape[0]) if "val" in placeholder.meta else ""
    by_rows = []
    for node in live:
        value = node.meta.get("val")
        if not isinstance(value, Tensor):  # a number, of something that depends on the samples
            return None
        rows = bool(value.ndim) and str(value.shape[0]) == batch
        if not rows and any(
            isinstance(n, torch.SymInt) for n in value.shape
        ):  # windows of all images, one after another
            return None
        by_rows.append(rows)
    return by_rows


def _ordinary(value: Tensor | int) -> Tensor | int:
    """``value``, a copy of it where it was made in inference mode."""
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


def picture_order(x: Tensor) -> Tensor:
    """``x`` [B, C, H, W], channels last in memory."""
    return x.contiguous(memory_format=torch.channels_last)


def _is_tensor(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor)


def _rank(node: fx.Node) -> int:
    value = node.meta.get("val")
    return value.ndim if isinstance(value, Tensor) else 0


def _put(root: nn.Module, name: str, tap: nn.Module) -> None:
    """``tap`` as the submodule of that dotted name; what stands above it is a tap of its own or nothing but a name."""
    *path, last = name.split(".")
    for step in path:
        if step not in root._modules:
            root.add_module(step, _Tap())
        root = root._modules[step]  # type: ignore[assignment]
    for child, module in root._modules[last]._modules.items() if last in root._modules else ():  # type: ignore[union-attr]
        tap.add_module(child, module)
    root.add_module(last, tap)
