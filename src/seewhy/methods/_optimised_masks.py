"""Masks found by optimisation: takes a mask with free numbers in it and a penalty on it, asks for scores and gradients
step by step, gives the mask; what the methods of Fong and colleagues share."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Interrupted, Progress
from seewhy.core.perturb.fills import Fill
from seewhy.errors import CapabilityError, UsageError
from seewhy.methods._gradient_steps import look

__all__ = ["Search", "search"]


@dataclass(frozen=True, eq=False)
class Search:
    """How a search ended: the ``mask`` [B, 1, *size], how many steps were done, whether all of them; ``moved`` [B] is
    False where the score never depended on the mask; ``score`` [B] is the last one seen."""

    mask: Tensor
    steps: int
    finished: bool
    moved: Tensor
    score: Tensor

    def notes(self, steps: int) -> tuple[str, ...]:
        """How it ended, in words, for each image."""
        cut = "" if self.finished else "interrupted after "
        return tuple(f"{cut}{self.steps} of {steps} steps, score of what is left {s:.3g}" for s in self.score.tolist())


def search(
    input: Tensor,
    fill: Fill,
    score: Tensor,
    free: Tensor,
    visible: Callable[[Tensor], Tensor],
    penalty: Callable[[Tensor, int], Tensor],
    *,
    keep: bool,
    steps: int,
    learning_rate: float,
    momentum: float | None = None,
) -> Generator[Any, Any, Search]:
    """Find ``free`` in [0, 1] so that ``visible(free)`` [B, 1, *size] keeps the score (``keep``) or destroys it, at the
    least ``penalty(free, step)`` [B], by Adam, or by plain gradients with ``momentum``, in which a
    number that matters little moves little.

    The score is measured in units of what hiding everything costs, so that penalties mean the same for every network.
    Raises `UsageError` for invalid numbers, `CapabilityError` for a fill that has no derivative.
    """
    if steps < 1 or not learning_rate > 0:
        raise UsageError(f"steps={steps}, learning_rate={learning_rate}: both must be positive, e.g. 300 and 0.1")
    if type(fill) is not Fill:
        raise CapabilityError("a mask that is optimised needs a fill with a derivative; use fill='blur' or 'grey'")
    every = torch.arange(len(input), device=input.device)
    nothing = fill(input, every, torch.zeros_like(input[:, :1]))
    _, hidden = yield from look(nothing)
    span = (score - hidden).abs()
    span = torch.where(span > 0, span, torch.ones_like(span)).reshape(-1, *(1 for _ in input.shape[1:]))
    free = free.clone().requires_grad_()
    if momentum is None:
        descent: torch.optim.Optimizer = torch.optim.Adam([free], lr=learning_rate)
    else:  # per number as if there were one: grids of any fineness move alike
        descent = torch.optim.SGD([free], lr=learning_rate * free[0].numel(), momentum=momentum)
    moved, last, done = torch.zeros_like(score, dtype=torch.bool), score, 0
    try:
        while done < steps:
            shown = fill(input, every, visible(free))
            gradient, last = yield from look(shown.detach())
            moved = moved | (gradient.flatten(1) != 0).any(1)
            towards = -gradient / span if keep else gradient / span
            cost = penalty(free, done)
            (free.grad,) = torch.autograd.grad([shown, cost], free, [towards, torch.ones_like(cost)])
            descent.step()
            with torch.no_grad():
                free.clamp_(0, 1)
            done += 1
            yield Progress(done, steps)
    except Interrupted:
        if done == 0:
            raise
    with torch.no_grad():
        return Search(visible(free), done, done == steps, moved, last)
