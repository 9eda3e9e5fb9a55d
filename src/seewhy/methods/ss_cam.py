"""SS-CAM: takes an activation, asks for the score of the image seen through noisy channel masks, gives the channels
weighted by it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.perturb.noise import fingerprint, gaussian
from seewhy.methods._channels import weighted_sum
from seewhy.methods._exceptions import SOFTMAX
from seewhy.methods._masks import masked_increase, score_weights
from seewhy.registry import Card, Need, method

__all__ = ["ss_cam"]


@method(
    Card(
        name="ss-cam",
        family="cam",
        paper="Wang et al. 2020, SS-CAM: Smoothed Score-CAM, arXiv:2006.14255",
        formula="sum_c w_c A_c, w = softmax_c(mean_i S(x * (mask_c + noise_i)) - S(0)), noise ~ N(0, sigma^2)",
        unit="activation",
        excepts={
            **{name: SOFTMAX[name] for name in ("cancellation", "blindness", "implementation")},
            "proportion": "a softmax is exponential in the score: what counts a third all but vanishes",
        },
        cost="1 forward and n for every channel",
        needs=frozenset({Need.STREAM}),
        positive=True,
        use="Score-CAM with scores that do not hang on one mask",
        caveats=("n times Score-CAM's cost", "the published sigma of 2 drowns masks that lie in [0, 1]"),
    )
)
def ss_cam(
    input: Tensor, activation: Tensor, *, n: int = 35, sigma: float = 2.0, seed: int = 0
) -> Generator[Any, Any, Tensor]:
    """Score-CAM whose masks carry Gaussian noise, scores averaged over ``n`` draws.

    ``input`` [B, C, *size], ``activation`` [B, K, *positions]; values [B, *positions]. ``sigma`` is in units of the
    mask, noise is drawn at the input's resolution.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="ss-cam", layer="1", n=2).values.shape
    (6, 6)
    """
    keys = fingerprint(input)

    def noisy(masks: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        pairs = [(keys[s], i) for s, i in zip(samples.tolist(), indices.tolist(), strict=True)]
        return masks + sigma * gaussian(pairs, tuple(masks.shape[1:]), family="ss-cam", seed=seed).to(masks)

    increase = yield from masked_increase(input, activation, ("noisy", sigma, seed), n, noisy)
    return weighted_sum(score_weights(increase), activation)
