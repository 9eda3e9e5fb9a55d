"""Closed forms: takes a forward without a graph, a layer and the linear layer that reads its mean, gives gradients of
scores at that layer for any number of targets; runs no pass.

With scores z = W mean(A) + b of N positions, d score / d A_cp = sum_k (d score / d z_k) W_kc / N at every position p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from seewhy.core.compile.export import ATEN, Exported
from seewhy.core.compile.graphs import tensor_of
from seewhy.core.forward.agreement import rounding
from seewhy.core.forward.result import Forward
from seewhy.core.intercept.head import Squash
from seewhy.core.network.outputs import Outputs
from seewhy.core.targets import Logit, Target, scores

__all__ = ["Closed", "PooledHead", "find_head"]

_RESHAPES = (ATEN.flatten.using_ints, ATEN.reshape.default, ATEN.squeeze.dims, ATEN.squeeze.dim)

_SQUASHING = (ATEN.softmax.int, ATEN._softmax.default, ATEN.log_softmax.int, ATEN.sigmoid.default)


@dataclass(frozen=True, eq=False)
class PooledHead:
    """Scores = ``weight`` [K, C] @ mean over positions + ``bias`` [K]; what may follow is a softmax or sigmoid."""

    weight: Tensor
    bias: Tensor | None


def find_head(exported: Exported, place: fx.Node) -> PooledHead | None:
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
    weight, bias = (tensor_of(argument, exported.tensors) for argument in (*node.args[1:3], None)[:2])
    end = _only_reader(node)
    while end is not None and end.target in _SQUASHING:
        end = _only_reader(end)
    if weight is None or end is None or end.op != "output" or len(end.args[0]) != 1:  # type: ignore[arg-type]
        return None
    return PooledHead(weight, bias)


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


_SQUASHES: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda z: z.softmax(1),
    "log_softmax": lambda z: z.log_softmax(1),
    "sigmoid": torch.sigmoid,
    "log_sigmoid": torch.nn.functional.logsigmoid,
}


#: whose targets say themselves how they depend on the scores
_OURS = tuple(kind.__module__ for kind in (Target, Logit))


@dataclass(frozen=True, eq=False)
class Closed:
    """The end of one forward in closed form: of the layer ``place``, activation [B, C, *positions]."""

    forward: Forward
    place: str
    tail: PooledHead

    def proven(self) -> bool:
        """Whether the forward's own scores, all of them numbers, are what its own call of the linear layer gave for the
        mean of its own activation."""
        logits = self.forward.outputs.logits
        if not isinstance(self.forward.outputs.raw, Tensor) or logits.ndim != 2 or not self.forward.outputs.finite:
            return False
        read = [c.features for c in self.forward.linears if c.weight is self.tail.weight and c.result is logits]
        mean = self.forward.activation(self.place).detach().flatten(2).mean(2)
        if not read or read[0].shape != mean.shape or read[0].dtype != mean.dtype:
            return False
        return bool(torch.dist(mean, read[0].detach(), torch.inf) <= rounding(mean.dtype) * mean.abs().max())

    def serves(self, targets: Sequence[Target]) -> bool:
        """Whether the targets are functions of the scores alone."""
        return not any(target.layers for target in targets)

    def weights(self, targets: Sequence[Target], *, linear: bool = False) -> Tensor | None:
        """d score / d mean of each channel, [B, C]; None if it has to be ``linear`` in the scores and is not."""
        slope = self._slope(targets, linear=linear)
        if slope is None:
            return None
        # most targets read few of the scores; the others' weights are numbers, as the scores are, and count for nothing
        read = slope.any(0).nonzero()[:, 0]
        return slope[:, read] @ self.tail.weight.detach()[read].to(slope)

    def _slope(self, targets: Sequence[Target], *, linear: bool) -> Tensor | None:
        """d score / d logits, [B, K]; None if it has to be ``linear`` and is not."""
        logits = self.forward.outputs.logits.detach()
        if (known := _slopes(targets, logits)) is not None:
            return known
        logits.requires_grad_()
        kind = self.forward.outputs.ends_in
        with torch.enable_grad():
            squash = _SQUASHES.get(kind)
            raw = logits if squash is None else squash(logits)
            if raw.shape != self.forward.outputs.main.shape:  # a vector of one score a sample
                raw = raw.reshape(self.forward.outputs.main.shape)
            again = Outputs(raw, self.forward.outputs.batch, [] if squash is None else [Squash(kind, logits, raw)])
            score = scores(again, targets)
            if not score.requires_grad:
                return torch.zeros_like(logits).detach()
            (slope,) = torch.autograd.grad(score.sum(), logits, create_graph=linear)
        return None if linear and slope.requires_grad else slope.detach()

    def gradient(self, targets: Sequence[Target]) -> tuple[Tensor, bool]:
        """d score / d activation, [B, C, *positions], and whether the score depends on it at all."""
        activation = self.forward.activation(self.place)
        weights = self.weights(targets)
        assert weights is not None
        weights = weights / activation.shape[2:].numel()
        grad = weights.reshape(*weights.shape, *(1 for _ in activation.shape[2:])).expand(activation.shape)
        return grad.to(activation), True


def _slopes(targets: Sequence[Target], logits: Tensor) -> Tensor | None:
    """The targets' slopes, a row for each sample, where all of them are the same whatever the ``logits`` [B, K] are;
    None where some are not. What somebody has made of a class of ours may score in another way."""
    slopes = {
        target: target.slope(logits) if type(target).__module__ in _OURS else None for target in dict.fromkeys(targets)
    }
    rows = [slope for target in targets if (slope := slopes[target]) is not None]
    return torch.stack(rows) if len(rows) == len(targets) else None
