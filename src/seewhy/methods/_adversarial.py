"""The ball of an attack: takes an input, its black and white and a size in pixel units, gives steps that stay inside;
what attacks share; never runs a model."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Interrupted, Progress, Score, Stream
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError
from seewhy.methods._gradient_steps import look

__all__ = ["Ball", "ascend", "felt", "uphill"]


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


def uphill(gradient: Tensor) -> Tensor:
    """Which way each pixel goes, -1, 0 or 1; 0 where the gradient is no number, which says nothing."""
    return torch.where(gradient.isfinite(), gradient, torch.zeros_like(gradient)).sign()


def felt(gradient: Tensor) -> Tensor:
    """Whether there is a way up at all, [B]: without one, nothing was attacked."""
    return uphill(gradient).detach().flatten(1).bool().any(1)


def ascend(
    ball: Ball, start: Tensor, step: float, steps: int, stop: float | None, name: str
) -> Generator[Any, Any, Attribution]:
    """Steps of ``step`` levels along the sign of the gradient, each clipped to the ball; gives the difference, of each
    image, that had the largest score of all that were met, the start among them.

    An image whose score has reached ``stop`` stays where it is, and nothing more is computed once all have. An
    interrupted run gives the best so far. Raises `UsageError` for steps that cannot be made.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1 or not step > 0:
        raise UsageError(f"{name}: steps={steps!r}, step={step!r}: a whole number from 1 on, and levels above 0")
    x, done, enough = start, 0, torch.inf if stop is None else stop
    best, most = start, torch.full((len(start),), -torch.inf, dtype=start.dtype, device=start.device)
    taken, moves = torch.zeros(len(start), dtype=torch.long), torch.zeros_like(most, dtype=torch.bool)
    try:
        for _ in range(steps):
            gradient, score = yield from look(x)
            best, most = _better(x, score, best, most)
            going, moves = most < enough, moves | felt(gradient)
            if not bool(going.any()):
                break
            x = torch.where(_wide(going, x), ball.clip(x + step * ball.level * uphill(gradient)), x)
            taken += going.cpu()
            done += 1
            yield Progress(done, steps)
        else:
            best, most = _better(x, (yield from _score(x)), best, most)
    except Interrupted:
        if not done:
            raise
        return Attribution(
            best - ball.x,
            notes=(f"interrupted after {done} of {steps} steps",) * len(x),
            finished=False,
            moves=moves,
        )
    notes = tuple(f"{count} of {steps} steps" for count in taken.tolist())
    return Attribution(best - ball.x, notes=notes, moves=moves | (most >= enough))


def _score(x: Tensor) -> Generator[Any, Any, Tensor]:
    source = ChangedInput(1, lambda samples, indices: x[samples])
    scores = yield Stream(source, (Score(),), Collect(len(x), 1), quiet=True)
    return scores[:, 0]  # type: ignore[no-any-return]


def _wide(rows: Tensor, like: Tensor) -> Tensor:
    return rows.reshape(-1, *(1 for _ in like.shape[1:]))


def _better(x: Tensor, score: Tensor, best: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
    wins = score > most
    return torch.where(_wide(wins, x), x, best), torch.where(wins, score, most)
