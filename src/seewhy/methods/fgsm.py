"""FGSM: takes the input, its bounds and the gradient of the score, gives one step along the gradient's sign."""

from __future__ import annotations

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.methods._adversarial import Ball, felt, uphill
from seewhy.registry import Card, method

__all__ = ["fgsm"]


@method(
    Card(
        name="fgsm",
        family="adversarial",
        paper="Goodfellow, Shlens & Szegedy 2015, Explaining and Harnessing Adversarial Examples, arXiv:1412.6572, "
        "section 4",
        formula="clip(x + epsilon sign(dS/dx)) - x, S minus the log-probability of the true class",
        cost="1 forward, 1 backward",
        at="input",
        call="attack",
        differentiable=False,
        use="how far one step in the worst direction goes: the cheapest attack",
        caveats=("weak: a network that withstands it may fall to the same size in several steps (pgd)",),
    )
)
def fgsm(input: Tensor, bounds: tuple[Tensor, Tensor], gradient: Tensor, *, epsilon: float = 8.0) -> Attribution:
    """The change of every pixel by ``epsilon`` of 255 levels that raises the score most, if it were linear.

    ``input`` [B, C, *size], ``bounds`` what black and white come to, [B, C, 1...] each, ``gradient`` [B, C, *size];
    values [B, C, *size] are the change, in input units, cut where a pixel would leave black to white. What is raised is
    the target: `seewhy.attack` hands over minus the log-probability of the class to leave, or the log-probability of
    the one to reach. Raises `UsageError` for a size that is none.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> seewhy.attack(net, torch.rand(1, 3, 4, 4), method="fgsm", epsilon=2).perturbation.shape
    (3, 4, 4)
    """
    ball = Ball(input, bounds, epsilon)
    return Attribution(ball.clip(input + epsilon * ball.level * uphill(gradient)) - input, moves=felt(gradient))
