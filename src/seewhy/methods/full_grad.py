"""FullGrad: takes input, gradient and every bias's share, gives a map that accounts for the whole score."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution, BiasMaps
from seewhy.core.perturb.resampling import upsample_sum
from seewhy.methods._exceptions import LOCAL, every
from seewhy.registry import Card, Need, method

__all__ = ["full_grad"]


@method(
    Card(
        name="full-grad",
        family="gradient",
        paper="Srinivas & Fleuret 2019, Full-Gradient Representation, arXiv:1905.00780, eq. 3",
        formula="sum_c x_c dS/dx_c + sum_layers sum_c (dS/db_c * b_c), each spread over the image",
        unit="{score}",
        excepts={
            **LOCAL,
            **every(
                ("proportion", "sign", "cancellation", "blindness"),
                "bias maps of layers are enlarged linearly, which spreads them over the next cells",
            ),
            "input-shift": "the input itself is a factor (Kindermans et al. 2019, arXiv:1711.00867)",
        },
        cost="1 forward, 2 backwards",
        differentiable=False,
        needs=frozenset({Need.BIASES, Need.INPUT_GRADIENT}),
        at="input",
        sums="the score",
        use="one map that sums to the score, seen at every depth at once",
        caveats=(
            "products of activations (squeeze-excite, attention) are not covered; the residual says by how much",
            "nor are the biases of functions that TorchScript hides: give it the original module",
            "biases without a position (of the last layer) are spread evenly",
        ),
    )
)
def full_grad(input: Tensor, gradient: Tensor, score: Tensor) -> Generator[Any, Any, Attribution]:
    """Input x gradient plus gradient x implicit bias of every layer, upsampled and summed without any rescaling.

    ``input`` and ``gradient`` [B, C, *size]; values [B, *size] in score units; ``values.sum()`` is the score up to the
    residual, returned as ``error``. Implicit biases are those of convolutions, linear layers and normalisations, and
    f(z) - f'(z) z of activations that are not linear on both sides of the origin (ReLU6, SiLU...). Each bias
    map is upsampled bilinearly so that it keeps its sum.

    >>> import torch, seewhy
    >>> from torch.nn import Conv2d, Flatten, Linear, ReLU6, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU6(), Flatten(), Linear(144, 2))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 8, 8), method="full-grad")
    >>> abs(float(e.values.sum()) - e.score) < 1e-5
    True
    """
    biases = yield BiasMaps()
    values = (input * gradient).sum(1)
    for bias in biases:
        values = values + upsample_sum(bias, tuple(input.shape[2:]))
    return Attribution(values, error=values.flatten(1).sum(1) - score, total=score)
