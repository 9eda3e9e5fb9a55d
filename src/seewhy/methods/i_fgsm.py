"""Iterated FGSM: takes the input and its bounds, asks for the gradient at every step, gives the change that raises the
score."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.methods._adversarial import Ball, ascend
from seewhy.registry import Card, Need, method

__all__ = ["i_fgsm"]


@method(
    Card(
        name="i-fgsm",
        family="adversarial",
        paper="Kurakin, Goodfellow & Bengio 2017, Adversarial Examples in the Physical World, arXiv:1607.02533, "
        "section 2.2",
        formula="x_0 = x, x_(t+1) = clip_(x, epsilon)(x_t + step sign(dS/dx_t)); the x_t with the largest S, minus x",
        cost="steps forwards and backwards, 1 forward",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="input",
        call="attack",
        differentiable=False,
        use="small steps from the image itself: the basic iterative method",
        caveats=("where the gradient at the image itself vanishes it stands still; pgd starts beside it",),
    )
)
def i_fgsm(
    input: Tensor,
    bounds: tuple[Tensor, Tensor],
    *,
    epsilon: float = 8.0,
    steps: int = 10,
    step: float = 1.0,
    stop: float | None = None,
) -> Generator[Any, Any, Attribution]:
    """The change within ``epsilon`` of 255 levels that ``steps`` small steps find.

    ``input`` [B, C, *size], ``bounds`` what black and white come to, [B, C, 1...] each; values [B, C, *size] are the
    change, in input units. A step moves every pixel by ``step`` levels and is cut to the ball and to black and white.
    What is raised is the target (see `fgsm`); an image that has reached ``stop`` stays where it is. Raises
    `UsageError` for sizes and steps that are none; an interrupted run gives the best so far.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> seewhy.attack(net, torch.rand(1, 3, 4, 4), method="i-fgsm", steps=3, maps=None).cost.backwards
    3
    """
    ball = Ball(input, bounds, epsilon)
    return (yield from ascend(ball, input, step, steps, stop, "i-fgsm"))
