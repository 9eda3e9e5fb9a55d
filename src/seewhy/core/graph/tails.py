"""Tails: takes an exported graph and a layer, gives the linear layer that reads its mean over positions and gives the
scores, where that is all that follows; runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx

from seewhy.core.graph.assembling import tensor_of
from seewhy.core.graph.exporting import ATEN, Exported

__all__ = ["Tail", "find_tail"]

_RESHAPES = (ATEN.flatten.using_ints, ATEN.reshape.default, ATEN.squeeze.dims, ATEN.squeeze.dim)
_SQUASHES = (ATEN.softmax.int, ATEN._softmax.default, ATEN.log_softmax.int, ATEN.sigmoid.default)


@dataclass(frozen=True, eq=False)
class Tail:
    """Scores = ``weight`` [K, C] @ mean over positions + ``bias`` [K]; what may follow is a softmax or sigmoid."""

    weight: Tensor
    bias: Tensor | None


def find_tail(exported: Exported, place: fx.Node) -> Tail | None:
    """The tail behind ``place``, a layer of pictures [B, C, H, W]; None where anything else reads the layer, or lies
    between."""
    shape = _shape(place)
    node = _only_reader(place) if len(shape) == 4 else None
    if node is None or not _is_mean(node, shape):
        return None
    node = _only_reader(node)
    while node is not None and node.target in _RESHAPES:
        node = _only_reader(node)
    if node is None or node.target is not ATEN.linear.default or len(_shape(node)) != 2:
        return None
    weight, bias = (tensor_of(each, exported.tensors) for each in (*node.args[1:3], None)[:2])
    end = _only_reader(node)
    while end is not None and end.target in _SQUASHES:
        end = _only_reader(end)
    if weight is None or end is None or end.op != "output" or len(end.args[0]) != 1:  # type: ignore[arg-type]
        return None
    return Tail(weight, bias)


def _is_mean(node: fx.Node, shape: tuple[Any, ...]) -> bool:
    """Whether a call takes the mean over all positions of a picture."""
    if node.target is ATEN.adaptive_avg_pool2d.default:
        return node.args[1] in ([1, 1], (1, 1), 1)
    if node.target is ATEN.mean.dim:
        return sorted(axis % 4 for axis in node.args[1]) == [2, 3]  # type: ignore[union-attr,operator]
    if node.target is ATEN.avg_pool2d.default:
        kernel, padding = list(node.args[1]), node.args[3] if len(node.args) > 3 else [0, 0]  # type: ignore[arg-type]
        return kernel == [int(n) for n in shape[2:]] and not any(padding)  # type: ignore[arg-type]
    return False


def _only_reader(node: fx.Node) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 else None


def _shape(node: fx.Node) -> tuple[Any, ...]:
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else ()
