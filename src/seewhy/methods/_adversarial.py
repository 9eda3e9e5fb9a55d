"""The ball of an attack: takes an input, its black and white and a size in pixel units, gives steps that stay inside;
what attacks share; never runs a model."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Interrupted, Progress, Score, Stream
from seewhy.core.folds import Collect
from seewhy.core.streams import ChangedInput
from seewhy.errors import UsageError
from seewhy.methods._looking import look

__all__ = ["Ball", "ascend"]


@dataclass(frozen=True, eq=False)
class Ball:
    """All pictures whose pixels differ from those of ``x`` [B, C, *size] by at most ``epsilon`` of 255 levels.

    Raises `UsageError` for an ``epsilon`` that is no size.
    """

    x: Tensor
    bounds: tuple[Tensor, Tensor]
    epsilon: float

    def __post_init__(self) -> None:
        if isinstance(self.epsilon, bool) or not 0 < self.epsilon <= 255:
            raise UsageError(f"epsilon={self.epsilon!r}: levels that a pixel may move, above 0, at most 255; e.g. 8")

    @property
    def level(self) -> Tensor:
        """One of 255 levels in input units, [B, C, 1...]."""
        low, high = self.bounds
        return (high - low) / 255

    def clip(self, moved: Tensor) -> Tensor:
        """The nearest picture inside."""
        reach = self.epsilon * self.level
        inside = torch.maximum(torch.minimum(moved, self.x + reach), self.x - reach)
        return torch.maximum(torch.minimum(inside, self.bounds[1]), self.bounds[0])


def ascend(ball: Ball, start: Tensor, step: float, steps: int, name: str) -> Generator[Any, Any, Attribution]:
    """Steps of ``step`` levels along the sign of the gradient, each clipped to the ball; gives the difference, of each
    image, that had the largest score of all that were met, the start among them.

    An interrupted run gives the best so far. Raises `UsageError` for steps that cannot be made.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1 or not step > 0:
        raise UsageError(f"{name}: steps={steps!r}, step={step!r}: a whole number from 1 on, and levels above 0")
    x, done = start, 0
    best, most = start, torch.full((len(start),), -torch.inf, dtype=start.dtype, device=start.device)
    try:
        for _ in range(steps):
            gradient, score = yield from look(x)
            best, most = _better(x, score, best, most)
            x = ball.clip(x + step * ball.level * gradient.sign())
            done += 1
            yield Progress(done, steps)
        last = x
        source = ChangedInput(1, lambda samples, indices: last[samples])
        score = yield Stream(source, (Score(),), Collect(len(x), 1), quiet=True)
        best, _ = _better(x, score[:, 0], best, most)
    except Interrupted:
        if not done:
            raise
    note = f"{done} of {steps} steps"
    finished = done == steps
    return Attribution(
        best - ball.x, notes=(note if finished else f"interrupted after {note}",) * len(x), finished=finished
    )


def _better(x: Tensor, score: Tensor, best: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
    wins = score > most
    return torch.where(wins.reshape(-1, *(1 for _ in x.shape[1:])), x, best), torch.where(wins, score, most)
