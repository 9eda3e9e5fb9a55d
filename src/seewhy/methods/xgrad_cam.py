"""XGrad-CAM: takes an activation and its gradient, gives the channels weighted by gradient where they are active."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._channels import sum_over_positions, weighted_sum, where_nonzero
from seewhy.methods._exceptions import LOCAL, POOLED
from seewhy.registry import Card, method

__all__ = ["xgrad_cam"]


@method(
    Card(
        name="xgrad-cam",
        family="cam",
        paper="Fu et al. 2020, Axiom-based Grad-CAM, arXiv:2008.02312, eq. 7",
        formula="sum_c w_c A_c, w_c = sum_xy A g / sum_xy A",
        unit="{score}",
        excepts={**LOCAL, **POOLED},
        cost="1 forward, 1 backward",
        positive=True,
        use="Grad-CAM that keeps the sum of activation x gradient (sensitivity and conservation)",
        caveats=("unstable for channels whose activations nearly cancel",),
    )
)
def xgrad_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels weighted by their gradient averaged where they are active.

    ``activation`` and ``gradient`` [B, C, *positions]; values [B, *positions]. A channel whose activation sums to 0
    has weight 0.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="xgrad-cam", layer="1").values.shape
    (6, 6)
    """
    weights = where_nonzero(sum_over_positions(activation * gradient), sum_over_positions(activation))
    return weighted_sum(weights, activation)
