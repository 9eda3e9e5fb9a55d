"""Closed forms: takes a forward without a graph, a layer and the linear layer that reads its mean, gives gradients of
scores at that layer for any number of targets; runs no pass.

With scores z = W mean(A) + b of N positions, d score / d A_cp = sum_k (d score / d z_k) W_kc / N at every position p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.core.graph.agreement import rounding
from seewhy.core.graph.tails import Tail
from seewhy.core.head import Squash
from seewhy.core.outputs import Forward
from seewhy.core.passes import Pass
from seewhy.core.targets import Target, scores

__all__ = ["Closed"]

_SQUASHES: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda z: z.softmax(1),
    "log_softmax": lambda z: z.log_softmax(1),
    "sigmoid": torch.sigmoid,
    "log_sigmoid": torch.nn.functional.logsigmoid,
}


@dataclass(frozen=True, eq=False)
class Closed:
    """The end of one forward in closed form: of the layer ``place``, activation [B, C, *positions]."""

    made: Pass
    place: str
    tail: Tail

    def proven(self) -> bool:
        """Whether the forward's own scores, all of them numbers, are what its own call of the linear layer gave for the
        mean of its own activation."""
        logits = self.made.forward.logits
        if not isinstance(self.made.forward.raw, Tensor) or logits.ndim != 2 or not bool(logits.isfinite().all()):
            return False
        read = [c.features for c in self.made.linears if c.weight is self.tail.weight and c.result is logits]
        mean = self.made.activation(self.place).detach().flatten(2).mean(2)
        if not read or read[0].shape != mean.shape or read[0].dtype != mean.dtype:
            return False
        return bool(torch.dist(mean, read[0].detach(), torch.inf) <= rounding(mean.dtype) * mean.abs().max())

    def serves(self, targets: Sequence[Target]) -> bool:
        """Whether the targets are functions of the scores alone."""
        return not any(target.layers for target in targets)

    def weights(self, targets: Sequence[Target], *, linear: bool = False) -> Tensor | None:
        """d score / d mean of each channel, [B, C]; None if it has to be ``linear`` in the scores and is not."""
        logits = self.made.forward.logits.detach().requires_grad_()
        kind = self.made.forward.ends_in
        with torch.enable_grad():
            squash = _SQUASHES.get(kind)
            raw = logits if squash is None else squash(logits)
            if raw.shape != self.made.forward.main.shape:  # a vector of one score a sample
                raw = raw.reshape(self.made.forward.main.shape)
            again = Forward(raw, self.made.forward.batch, [] if squash is None else [Squash(kind, logits, raw)])
            score = scores(again, targets)
            if not score.requires_grad:
                return torch.zeros_like(logits @ self.tail.weight.to(logits)).detach()
            (slope,) = torch.autograd.grad(score.sum(), logits, create_graph=linear)
        if linear and slope.requires_grad:
            return None
        # most targets read few of the scores; the others' weights are numbers, as the scores are, and count for nothing
        read = slope.detach().any(0).nonzero()[:, 0]
        return slope.detach()[:, read] @ self.tail.weight.detach()[read].to(slope)

    def gradient(self, targets: Sequence[Target]) -> tuple[Tensor, bool]:
        """d score / d activation, [B, C, *positions], and whether the score depends on it at all."""
        activation = self.made.activation(self.place)
        weights = self.weights(targets)
        assert weights is not None
        weights = weights / activation.shape[2:].numel()
        grad = weights.reshape(*weights.shape, *(1 for _ in activation.shape[2:])).expand(activation.shape)
        return grad.to(activation), True
