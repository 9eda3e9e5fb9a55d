"""Guided integrated gradients: takes input and baseline, moves along the pixels that matter least first, gives the
path's integral."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Progress
from seewhy.errors import UnknownName, UsageError
from seewhy.methods._exceptions import FIXED_REFERENCE, NO_GRADIENT
from seewhy.methods._gradient_steps import look
from seewhy.registry import Card, Need, method

__all__ = ["guided_ig"]

_CLOSE = 1e-9
_RULES = ("trapezoid", "riemann-left")


@method(
    Card(
        name="guided-ig",
        family="gradient",
        paper="Kapishnikov et al. 2021, Guided Integrated Gradients, arXiv:2106.09788, algorithm 1",
        formula="sum_k dS/dx(x_k) (x_k+1 - x_k), each step moving the pixels with the smallest |dS/dx| first",
        unit="{score}",
        excepts={**NO_GRADIENT, **FIXED_REFERENCE},
        cost="steps + 2 forwards, steps + 1 backwards, one after the other",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="input",
        reduce="sum",
        sums="the score's difference from the baseline's",
        use="integrated gradients with less noise from the regions that the straight path crosses",
        caveats=("steps cannot run together: slow", "the path depends on the model: implementation invariance is lost"),
    )
)
def guided_ig(
    input: Tensor,
    baseline: Tensor,
    score: Tensor,
    *,
    steps: int = 100,
    fraction: float = 0.25,
    max_dist: float = 0.02,
    rule: str = "trapezoid",
) -> Generator[Any, Any, Attribution]:
    """The integral of the gradient along a path that avoids steep places, from a baseline to the input.

    ``input`` and ``baseline`` [B, C, *size]; values of that shape, in score units; they sum to the score minus the
    baseline's up to the residual, which is returned as ``error``. In each of ``steps`` the ``fraction`` of values with
    the smallest gradient moves first; none may be further than ``max_dist`` (a share of the path) from the straight
    line: 0 is integrated gradients, 1 sets the path free. ``rule`` sums gradients over each step by ``trapezoid``, or
    by ``riemann-left`` as published, which leaves a larger residual. Raises `UsageError` for values outside.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2), torch.nn.Tanh())
    >>> seewhy.explain(net, torch.rand(1, 3, 4, 4), method="guided-ig", steps=8).values.shape
    (4, 4)
    """
    if steps < 1 or not 0 < fraction <= 1 or not 0 <= max_dist <= 1:
        raise UsageError(
            f"steps={steps}, fraction={fraction}, max_dist={max_dist}: at least 1, in (0, 1], in [0, 1], "
            "e.g. 100, 0.25, 0.02"
        )
    if rule not in _RULES:
        raise UnknownName("rule", rule, _RULES, "seewhy methods guided-ig")
    batch, point, values = input.shape[0], baseline, torch.zeros_like(input)
    gradient, start = yield from look(point)
    for step in range(steps):
        yield Progress(step + 1, steps)
        moved = [
            _advance(point[b], input[b], baseline[b], gradient[b], (step + 1) / steps, fraction, max_dist)
            for b in range(batch)
        ]
        after, before = torch.stack(moved), gradient
        if rule == "trapezoid" or step < steps - 1:
            gradient, _ = yield from look(after)
        slope = (before + gradient) / 2 if rule == "trapezoid" else before
        values = values + (after - point) * slope
        point = after
    residual = values.flatten(1).sum(1) - (score - start)
    return Attribution(values, error=residual, total=score - start)


def _advance(
    x: Tensor, end: Tensor, start: Tensor, gradient: Tensor, alpha: float, fraction: float, reach: float
) -> Tensor:
    """One image's next point: the share ``alpha`` of the L1 way is done, by the values with the smallest gradient."""
    low, high = (start + (end - start) * min(max(alpha + d, 0.0), 1.0) for d in (-reach, reach))
    total = (end - start).abs().sum()
    # a slope that is no number is as steep as can be: whoever crosses it does so last
    target, size = total * (1 - alpha), gradient.detach().abs().nan_to_num(torch.inf, posinf=torch.inf)
    # nobody may lag further than ``reach`` behind the straight line
    progress = (x - start) / (end - start)
    x = torch.where(progress < min(max(alpha - reach, 0.0), 1.0), low, x)
    # every round but the last brings some values to the end of their reach, where they stay
    for _ in range(x.numel()):
        left = (end - x).abs().sum()
        free = x != high
        if not left - target > _CLOSE * (1 + total) or not bool(free.any()):
            break
        order = torch.where(free, size, torch.full_like(size, torch.inf))
        # the fraction is of all values: those that have arrived count as the steepest
        threshold = torch.quantile(order.flatten(), fraction, interpolation="lower")
        chosen = free & (order <= threshold)
        way = ((high - x).abs() * chosen).sum()
        enough = bool(way > left - target)
        x = torch.where(chosen, x + (left - target) / way * (high - x) if enough else high, x)
        if enough:
            break
    return x
