"""PGD: takes the input and its bounds, asks for the gradient at every step from a random start, gives the change that
raises the score most."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.perturb.noise import fingerprint, uniform
from seewhy.methods._adversarial import Ball, ascend
from seewhy.registry import Card, Need, method

__all__ = ["pgd"]


@method(
    Card(
        name="pgd",
        family="adversarial",
        paper="Madry et al. 2018, Towards Deep Learning Models Resistant to Adversarial Attacks, arXiv:1706.06083, "
        "section 2.1",
        formula="x_0 random within epsilon, x_(t+1) = clip_(x, epsilon)(x_t + step sign(dS/dx_t)); the x_t with the "
        "largest S, minus x",
        cost="steps forwards and backwards, 1 forward",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="input",
        call="attack",
        differentiable=False,
        use="the standard first-order attack: what a network that is to withstand anything must withstand",
        caveats=("a failed attack is no proof: gradients may be masked; try other seeds and more steps",),
    )
)
def pgd(
    input: Tensor,
    bounds: tuple[Tensor, Tensor],
    *,
    epsilon: float = 8.0,
    steps: int = 20,
    step: float | None = None,
    stop: float | None = None,
    seed: int = 0,
) -> Generator[Any, Any, Attribution]:
    """The change within ``epsilon`` of 255 levels that projected gradient ascent finds from a random start.

    ``input`` [B, C, *size], ``bounds`` what black and white come to, [B, C, 1...] each; values [B, C, *size] are the
    change, in input units. The start is drawn evenly from the ball, from the image's values and ``seed``; a step moves
    every pixel by ``step`` levels (2.5 epsilon / steps unless given) and is cut to the ball and to black and white.
    What is raised is the target (see `fgsm`); an image that has reached ``stop`` stays where it is: with minus the
    log-probability of one of K classes as the target, ``stop=log(K)`` means that another class leads. Raises
    `UsageError` for sizes and steps that are none; an interrupted run gives the best so far.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> attacked = seewhy.attack(net, torch.rand(1, 3, 4, 4), method="pgd", epsilon=4, steps=5)
    >>> bool(abs(attacked.perturbation).max() <= 4 + 1e-3)
    True
    """
    ball = Ball(input, bounds, epsilon)
    keys = [(key, 0) for key in fingerprint(input)]
    drawn = uniform(keys, tuple(input.shape[1:]), family="pgd", seed=seed).to(input)
    start = ball.clip(input + epsilon * ball.level * (2 * drawn - 1))
    size = step if step is not None or not steps else 2.5 * epsilon / steps
    return (yield from ascend(ball, start, size, steps, stop, "pgd"))  # type: ignore[arg-type]
