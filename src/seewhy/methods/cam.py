"""CAM: takes an activation and the head's weights, gives their weighted sum."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import HeadWeights
from seewhy.methods._channels import weighted_sum
from seewhy.registry import Card, Need, method

__all__ = ["cam"]


@method(
    Card(
        name="cam",
        family="cam",
        paper="Zhou et al. 2016, Learning Deep Features for Discriminative Localization, arXiv:1512.04150, eq. 2",
        formula="sum_c w_c A_c, w the linear head's weights",
        unit="{score}",
        cost="1 forward, 1 backward of the head alone",
        needs=frozenset({Need.HEAD}),
        positive=True,
        use="exact evidence at the last layer of networks that end in pooling and one linear layer",
        caveats=("only for such networks; equals Grad-CAM times the number of positions",),
    )
)
def cam(activation: Tensor) -> Generator[Any, Any, Tensor]:
    """Class activation map: the class's weights of the linear head applied at every position.

    ``activation`` [B, C, *positions]; values [B, *positions], signed; their mean is the score less its bias. Raises
    `CapabilityError` unless the head is proved, on the actual activation, to be mean pooling and one linear layer.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, Linear, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten(), Linear(4, 2))
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="cam", layer="1").values.shape
    (6, 6)
    """
    weights = yield HeadWeights()
    return weighted_sum(weights, activation)
