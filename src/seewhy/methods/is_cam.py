"""IS-CAM: takes an activation, asks for the score of the image faded in through each channel, gives the channels
weighted by it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.methods._channels import weighted_sum
from seewhy.methods._exceptions import SHOWN_ALONE, SOFTMAX
from seewhy.methods._masks import masked_increase, score_weights
from seewhy.registry import Card, Need, method

__all__ = ["is_cam"]


@method(
    Card(
        name="is-cam",
        family="cam",
        paper="Naidu et al. 2020, IS-CAM: Integrated Score-CAM, arXiv:2010.03023",
        formula="sum_c w_c A_c, w = softmax_c(mean_i S(x * mask_c * i / n) - S(0)), i = 1..n",
        unit="activation",
        excepts={**SOFTMAX, **SHOWN_ALONE},
        cost="1 forward and n for every channel",
        needs=frozenset({Need.STREAM}),
        positive=True,
        use="Score-CAM integrated from nothing to the whole mask",
        caveats=(
            "n times Score-CAM's cost",
            "torchcam adds the fractions up, which goes far beyond the image: cumulative=True",
        ),
    )
)
def is_cam(input: Tensor, activation: Tensor, *, n: int = 10, cumulative: bool = False) -> Generator[Any, Any, Tensor]:
    """Score-CAM with scores averaged over masks faded in in ``n`` steps.

    ``input`` [B, C, *size], ``activation`` [B, K, *positions]; values [B, *positions]. ``cumulative`` uses the running
    sum of the fractions 1/n, 2/n... as the mask's factor, as the published algorithm is sometimes read.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="is-cam", layer="1", n=2).values.shape
    (6, 6)
    """

    def faded(masks: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        i = (indices % n + 1).double()
        factor = i * (i + 1) / (2 * n) if cumulative else i / n
        return masks * factor.to(masks).reshape(-1, *(1 for _ in masks.shape[1:]))

    increase = yield from masked_increase(input, activation, ("faded", cumulative), n, faded)
    return weighted_sum(score_weights(increase), activation)
