"""Closed forms: takes a forward without a graph, a layer and the linear layer that reads its mean, gives gradients of
scores at that layer for any number of targets; runs no pass.

With scores z = W mean(A) + b of N positions, d score / d A_cp = sum_k (d score / d z_k) W_kc / N at every position p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.core.graph.agreement import gap, rounding
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
}


@dataclass(frozen=True, eq=False)
class Closed:
    """The end of one forward in closed form: of the layer ``place``, activation [B, C, *positions]."""

    made: Pass
    place: str
    tail: Tail

    def proven(self) -> bool:
        """Whether the forward's own scores are what the closed form says, on its own activation."""
        features = self.made.activation(self.place).flatten(2).mean(2)
        logits = self.made.forward.logits
        if not isinstance(self.made.forward.raw, Tensor) or logits.ndim != 2:
            return False
        with torch.no_grad():
            said = F.linear(features, self.tail.weight.to(features), self.tail.bias)
        return gap(logits, said) <= rounding(logits.dtype)

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
        return slope.detach() @ self.tail.weight.detach().to(slope)

    def gradient(self, targets: Sequence[Target]) -> tuple[Tensor, bool]:
        """d score / d activation, [B, C, *positions], and whether the score depends on it at all."""
        activation = self.made.activation(self.place)
        weights = self.weights(targets)
        assert weights is not None
        weights = weights / activation.shape[2:].numel()
        grad = weights.reshape(*weights.shape, *(1 for _ in activation.shape[2:])).expand(activation.shape)
        return grad.to(activation), True
