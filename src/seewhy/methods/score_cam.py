"""Score-CAM: takes an activation, asks for the score of the image seen through each channel, gives the channels
weighted by it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.methods._channels import weighted_sum
from seewhy.methods._masks import masked_increase, score_weights
from seewhy.registry import Card, Need, method

__all__ = ["score_cam"]


@method(
    Card(
        name="score-cam",
        family="cam",
        paper="Wang et al. 2020, Score-CAM, arXiv:1910.01279, eq. 5-6 and algorithm 1",
        formula="sum_c w_c A_c, w = softmax_c(S(x * mask_c) - S(0)), mask_c upsampled, then scaled to [0, 1]",
        cost="1 forward and one for every channel",
        needs=frozenset({Need.STREAM}),
        positive=True,
        use="a CAM without gradients",
        caveats=("hundreds of forwards", "the softmax of raw scores lets a few channels decide"),
    )
)
def score_cam(input: Tensor, activation: Tensor) -> Generator[Any, Any, Tensor]:
    """Channels weighted by the softmax of the scores of the image seen through them.

    ``input`` [B, C, *size], ``activation`` [B, K, *positions]; values [B, *positions]. Masks are streamed: nothing
    holds all of them. Constant channels mask everything alike, share the black input's score and need no forward.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="score-cam", layer="1").values.shape
    (6, 6)
    """
    increase = yield from masked_increase(input, activation, "plain")
    return weighted_sum(score_weights(increase), activation)
