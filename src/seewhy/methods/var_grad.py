"""VarGrad: takes the input, asks for gradients at noisy copies of it, gives their statistic."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution, Gradient
from seewhy.core.perturb.estimators import Variances
from seewhy.core.perturb.sources import GaussianNoise
from seewhy.errors import UsageError
from seewhy.methods._exceptions import every
from seewhy.methods._sampling import sampled
from seewhy.registry import Card, Need, method

__all__ = ["var_grad"]


@method(
    Card(
        name="var-grad",
        family="gradient",
        paper="Adebayo et al. 2018, Local Explanation Methods Lack Sensitivity, arXiv:1810.03307",
        formula="var_i d S / d x (x + noise_i), noise ~ N(0, (sigma (max x - min x))^2)",
        unit="({score} per unit of the {place}) squared",
        excepts=every(
            (
                "proportion",
                "interaction",
                "redundancy",
                "saturation",
                "hidden-gradient",
                "shattering",
                "sign",
                "cancellation",
                "contrast",
                "class",
                "blindness",
                "pointing",
                "translation",
                "input-shift",
                "implementation",
            ),
            "is the variance of the gradient: 0 wherever the function is linear as far as the noise goes",
        ),
        cost="n forwards, n backwards",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        reduce="sum",
        use="where the gradient is unstable",
        caveats=(
            "has no sign; a constant strong gradient counts for nothing",
            "libraries differ in sigma: here it is relative to the range of the preprocessed image",
        ),
    )
)
def var_grad(
    input: Tensor, spread: Tensor, *, n: int = 32, sigma: float = 0.15, tolerance: float = 0.05, seed: int = 0
) -> Generator[Any, Any, Attribution]:
    """The variance of the gradient over noisy copies of the image (unbiased); never negative.

    ``input`` [B, C, *size]; values [B, C, *positions] at the input or any layer. ``n`` noisy copies, ``sigma`` in
    units of each image's range; noise is drawn from the image, ``seed`` and index, so batching never changes it.
    Fewer than ``n`` are drawn once the standard error, which is returned, is under ``tolerance`` of the map's range.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2), torch.nn.Tanh())
    >>> seewhy.explain(net, torch.rand(1, 3, 4, 4), method="var-grad", n=4).cost.forwards
    5
    """
    if n == 1 and n is not True:
        raise UsageError("var-grad n=1: a variance needs two samples or more, e.g. n=32")
    return (
        yield from sampled(
            GaussianNoise(n, sigma, seed, spread=spread), (Gradient(),), Variances(input.shape[0], tolerance)
        )
    )
