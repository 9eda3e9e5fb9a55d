"""One look at given inputs: takes points, asks for the gradient and the score at each; what methods that go step by
step share."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Gradient, Score, Stream
from seewhy.core.perturb.folds import Gather
from seewhy.core.perturb.sources import ChangedInput

__all__ = ["look", "look_at_views"]


def look_at_views(views: Tensor) -> Generator[Any, Any, tuple[Tensor, Tensor]]:
    """Gradients [B, k, C, *size] and scores [B, k] of k inputs for each image, ``views`` [B, k, C, *size]."""
    batch, count = views.shape[:2]
    source = ChangedInput(count, lambda samples, indices: views[samples, indices])
    gradients_and_scores = yield Stream(source, (Gradient(), Score()), Gather(batch, count), quiet=True)
    return gradients_and_scores  # type: ignore[no-any-return]


def look(points: Tensor) -> Generator[Any, Any, tuple[Tensor, Tensor]]:
    """Gradients [B, C, *size] and scores [B] of one input for each image, ``points`` [B, C, *size]."""
    gradient, score = yield from look_at_views(points[:, None])
    return gradient[:, 0], score[:, 0]
