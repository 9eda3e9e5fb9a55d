"""Ablation-CAM: takes an activation, asks for the score without each channel, gives the channels weighted by the
loss."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import HeadWeights, Score, Stream
from seewhy.core.perturb.folds import Collect, per_image
from seewhy.core.perturb.sources import EditedLayer
from seewhy.methods._channels import mean_over_positions, weighted_sum, where_nonzero
from seewhy.methods._exceptions import ONE_BY_ONE, POOLED
from seewhy.registry import Card, Need, method

__all__ = ["ablation_cam"]


@method(
    Card(
        name="ablation-cam",
        family="cam",
        paper="Desai & Ramaswamy 2020, Ablation-CAM, doi:10.1109/WACV45572.2020.9093360, eq. 3",
        formula="sum_c w_c A_c, w_c = y - y(A without channel c)",
        unit="{score} x activation",
        excepts={
            **POOLED,
            **ONE_BY_ONE,
            "implementation": "counts the units of the layer in the drop and in the activation",
        },
        cost="1 forward, and one for every channel unless the head is pooling and one linear layer",
        needs=frozenset({Need.STREAM, Need.HEAD}),
        positive=True,
        use="what the score really loses without a channel; no gradient",
        caveats=("relative=True divides by |y|, so that negative scores do not turn the map over",),
    )
)
def ablation_cam(activation: Tensor, score: Tensor, *, relative: bool = False) -> Generator[Any, Any, Tensor]:
    """Channels weighted by how much the score drops when they are set to zero.

    ``activation`` [B, C, *positions], ``score`` [B]; values [B, *positions], signed. With a pool-then-linear head,
    proved on the actual activation, the drop is the head's weight times the channel's mean and takes no further
    forward.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="ablation-cam", layer="1").values.shape
    (6, 6)
    """
    head = yield HeadWeights(required=False)
    if head is not None:
        drop = head * mean_over_positions(activation)
    else:
        batch, channels = activation.shape[:2]
        without = EditedLayer(channels, "without channel", _without_channel)
        drop = score[:, None] - (yield Stream(without, (Score(),), Collect(batch, channels)))
    if relative:
        drop = where_nonzero(drop, per_image(score.abs(), drop).expand_as(drop))
    return weighted_sum(drop, activation)


def _without_channel(activation: Tensor, samples: Tensor, channels: Tensor) -> Tensor:
    changed = activation.clone()
    changed[torch.arange(len(channels)), channels] = 0
    return changed
