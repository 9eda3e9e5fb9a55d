"""SmoothGrad: takes the input, asks for gradients at noisy copies of it, gives their statistic."""

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

__all__ = ["smooth_grad"]


@method(
    Card(
        name="smooth-grad",
        family="gradient",
        paper="Smilkov et al. 2017, SmoothGrad: removing noise by adding noise, arXiv:1706.03825",
        formula="mean_i d S / d x (x + noise_i), noise ~ N(0, (sigma (max x - min x))^2)",
        unit="{score} per unit of the {place}",
        excepts={
            **NO_GRADIENT,
            **NEAR,
        },
        cost="n forwards, n backwards",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        reduce="max-abs",
        use="the gradient with less noise in it",
        caveats=(
            "blurs over structures finer than the noise",
            "libraries differ in sigma: here it is relative to the range of the preprocessed image",
        ),
    )
)
def smooth_grad(
    input: Tensor, spread: Tensor, *, n: int = 32, sigma: float = 0.15, tolerance: float = 0.05, seed: int = 0
) -> Generator[Any, Any, Attribution]:
    """The mean gradient over noisy copies of the image.

    ``input`` [B, C, *size]; values [B, C, *positions] at the input or any layer. ``n`` noisy copies, ``sigma`` in
    units of each image's range; noise is drawn from the image, ``seed`` and index, so batching never changes it.
    Fewer than ``n`` are drawn once the standard error, which is returned, is under ``tolerance`` of the map's range.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2), torch.nn.Tanh())
    >>> seewhy.explain(net, torch.rand(1, 3, 4, 4), method="smooth-grad", n=4).cost.forwards
    5
    """
    return (
        yield from sampled(
            GaussianNoise(n, sigma, seed, spread=spread), (Gradient(),), Means(input.shape[0], tolerance)
        )
    )
