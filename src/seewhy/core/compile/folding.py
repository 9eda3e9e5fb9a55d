"""Folding: takes a graph, gives it with every batch norm that follows a convolution made a part of it; runs nothing.

With s = gamma / sqrt(variance + eps) the pair is one convolution of weights s w and bias s (b - mean) + beta: the same
function up to rounding. A convolution that is looked at itself, or used twice, keeps its batch norm.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from torch import Tensor, fx

from seewhy.core.compile.export import ATEN
from seewhy.core.compile.graphs import derived, tensor_of

__all__ = ["CONVOLUTIONS", "fold_batch_norms"]

CONVOLUTIONS = (ATEN.conv1d.default, ATEN.conv2d.default, ATEN.conv3d.default)


def fold_batch_norms(
    graph: fx.Graph, tensors: dict[str, Tensor], left: Collection[fx.Node] = ()
) -> tuple[int, set[str]]:
    """Fold what can be folded, in place, but for the nodes ``left``; gives how many there were and the names of the
    tensors that went in."""
    folded, used = 0, set[str]()
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target is not ATEN.batch_norm.default or node in left:
            continue
        conv = node.args[0]
        if not _foldable(conv, node):
            continue
        weight, bias = conv.args[1], conv.args[2] if len(conv.args) > 2 else None
        sources = [weight, bias, *node.args[1:5]]
        values = [tensor_of(source, tensors) for source in sources]
        if any(source is not None and tensor is None for source, tensor in zip(sources, values, strict=True)):
            continue  # computed in the forward
        w, b, gamma, beta, mean, variance = values
        if w is None or mean is None or variance is None:
            continue
        make = partial(_folded, w, b, gamma, beta, mean, variance, float(node.args[7]))
        args = list(conv.args) + [None] * (3 - len(conv.args))
        args[1] = derived(conv, f"{node.name}.folded", tensors, lambda: make()[0])  # noqa: B023 - made at once
        args[2] = derived(conv, f"{node.name}.folded bias", tensors, lambda: make()[1])  # noqa: B023
        conv.args = tuple(args)
        conv.meta = conv.meta | node.meta
        node.replace_all_uses_with(conv)
        graph.erase_node(node)
        folded += 1
        used |= {str(source.target) for source in sources if source is not None}
    return folded, used


def _foldable(conv: object, norm: fx.Node) -> bool:
    return isinstance(conv, fx.Node) and conv.target in CONVOLUTIONS and list(conv.users) == [norm]


def _folded(
    w: Tensor, b: Tensor | None, gamma: Tensor | None, beta: Tensor | None, mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """The pair's weights and bias, computed in double precision."""
    scale = 1 / (variance.double() + eps).sqrt()
    scale = scale if gamma is None else scale * gamma.double()
    shift = (0 if b is None else b.double()) - mean.double()
    shift = scale * shift + (0 if beta is None else beta.double())
    weight = w.double() * scale.reshape(-1, *(1 for _ in w.shape[1:]))
    return weight.to(w.dtype), shift.to(w.dtype)
