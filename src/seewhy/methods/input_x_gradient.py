"""Input x gradient: takes an activation and its gradient, gives their product; the first-order share of the score."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._exceptions import LOCAL
from seewhy.registry import Card, method

__all__ = ["input_x_gradient"]


@method(
    Card(
        name="input-x-gradient",
        family="gradient",
        paper="Shrikumar et al. 2016, Not Just a Black Box, arXiv:1605.01713",
        formula="x * d S / d x",
        unit="{score}",
        excepts={
            **LOCAL,
            "input-shift": "the input itself is a factor (Kindermans et al. 2019, arXiv:1711.00867)",
        },
        cost="1 forward, 1 backward",
        reduce="sum",
        use="a quick signed map; sums to the score for networks without biases",
        caveats=("black pixels (0 after preprocessing) can never be evidence",),
    )
)
def input_x_gradient(activation: Tensor, gradient: Tensor) -> Tensor:
    """The input (or a layer's activation) times the gradient of the score with respect to it.

    Both [B, C, *positions]; values of the same shape, in score units.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2, bias=False))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 4, 4), method="input-x-gradient")
    >>> abs(float(e.values.sum()) - e.score) < 1e-5
    True
    """
    return activation * gradient
