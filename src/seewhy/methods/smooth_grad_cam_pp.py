"""Smooth Grad-CAM++: takes the input, asks for activations and gradients at noisy copies, gives the mean of their
Grad-CAM++ maps."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Activation, Attribution, Gradient
from seewhy.core.perturb.estimators import Means
from seewhy.core.perturb.sources import GaussianNoise
from seewhy.methods._exceptions import CUTS_NEGATIVE, NEAR, NO_GRADIENT, POOLED, SQUARED_ALPHA
from seewhy.methods._sampling import sampled
from seewhy.methods.grad_cam_pp import grad_cam_pp
from seewhy.registry import Card, Need, method

__all__ = ["smooth_grad_cam_pp"]


@method(
    Card(
        name="smooth-grad-cam-pp",
        family="cam",
        paper="Omeiza et al. 2019, Smooth Grad-CAM++, arXiv:1908.01224",
        formula="mean_i Grad-CAM++(x + noise_i), noise ~ N(0, (sigma (max x - min x))^2)",
        unit="{score}",
        excepts={
            **POOLED,
            **SQUARED_ALPHA,
            **CUTS_NEGATIVE,
            **NO_GRADIENT,
            **NEAR,
        },
        cost="n forwards, n backwards",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        positive=True,
        cuts="negative gradients",
        use="Grad-CAM++ that does not hang on one pass",
        caveats=("torchcam combines the averaged gradients with the activations of one sample only",),
    )
)
def smooth_grad_cam_pp(
    input: Tensor, spread: Tensor, *, n: int = 32, sigma: float = 0.15, tolerance: float = 0.05, seed: int = 0
) -> Generator[Any, Any, Attribution]:
    """The mean Grad-CAM++ map over noisy copies of the image, each with its own activations.

    ``input`` [B, C, *size]; values [B, *positions] of the layer. Noise as in SmoothGrad, and shared with it; it stops
    before ``n`` likewise once the standard error is under ``tolerance`` of the map's range.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="smooth-grad-cam-pp", layer="1", n=2).values.shape
    (6, 6)
    """
    maps = Means(input.shape[0], tolerance, grad_cam_pp)
    return (yield from sampled(GaussianNoise(n, sigma, seed, spread=spread), (Activation(), Gradient()), maps))
