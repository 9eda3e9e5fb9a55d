"""SmoothGrad squared: takes the input, asks for gradients at noisy copies of it, gives their statistic."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution, Gradient
from seewhy.core.perturb.estimators import Means
from seewhy.core.perturb.sources import GaussianNoise
from seewhy.methods._exceptions import NEAR, NO_GRADIENT
from seewhy.methods._sampling import sampled
from seewhy.registry import Card, Need, method

__all__ = ["smooth_grad_squared"]


@method(
    Card(
        name="smooth-grad-squared",
        family="gradient",
        paper="Hooker et al. 2019, A Benchmark for Interpretability Methods, arXiv:1806.10758",
        formula="mean_i (d S / d x (x + noise_i))^2, noise ~ N(0, (sigma (max x - min x))^2)",
        unit="({score} per unit of the {place}) squared",
        excepts={
            **NO_GRADIENT,
            **NEAR,
            "shattering": "squares of slopes of either sign add up",
        },
        cost="n forwards, n backwards",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        reduce="sum",
        use="ranking pixels by importance: it did best in the remove-and-retrain test",
        caveats=(
            "has no sign: says where, not for or against",
            "libraries differ in sigma: here it is relative to the range of the preprocessed image",
        ),
    )
)
def smooth_grad_squared(
    input: Tensor, spread: Tensor, *, n: int = 32, sigma: float = 0.15, tolerance: float = 0.05, seed: int = 0
) -> Generator[Any, Any, Attribution]:
    """The mean squared gradient over noisy copies of the image; never negative.

    ``input`` [B, C, *size]; values [B, C, *positions] at the input or any layer. ``n`` noisy copies, ``sigma`` in
    units of each image's range; noise is drawn from the image, ``seed`` and index, so batching never changes it.
    Fewer than ``n`` are drawn once the standard error, which is returned, is under ``tolerance`` of the map's range.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2), torch.nn.Tanh())
    >>> seewhy.explain(net, torch.rand(1, 3, 4, 4), method="smooth-grad-squared", n=4).cost.forwards
    5
    """
    squares = Means(input.shape[0], tolerance, Tensor.square, skewed=True)
    return (yield from sampled(GaussianNoise(n, sigma, seed, spread=spread), (Gradient(),), squares))
