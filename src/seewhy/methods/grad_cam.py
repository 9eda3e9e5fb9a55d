"""Grad-CAM: takes an activation and its gradient, gives the channels weighted by their mean gradient."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._channels import mean_over_positions, weighted_sum
from seewhy.methods._exceptions import LOCAL, POOLED
from seewhy.registry import Card, method

__all__ = ["grad_cam"]


@method(
    Card(
        name="grad-cam",
        family="cam",
        paper="Selvaraju et al. 2017, Grad-CAM, arXiv:1610.02391, eq. 1-2",
        formula="sum_c w_c A_c, w_c = mean_xy g_c",
        unit="{score}",
        excepts={**LOCAL, **POOLED},
        cost="1 forward, 1 backward",
        positive=True,
        use="the default: where the evidence for a class lies, coarsely",
        caveats=("averages the gradient over positions, so it can show places the score does not use (see hires-cam)",),
    )
)
def grad_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels weighted by the mean of their gradient over positions; the map keeps its sign.

    ``activation`` and ``gradient`` [B, C, *positions]; values [B, *positions]. The paper's ReLU is a matter of drawing.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="grad-cam", layer="1").values.shape
    (6, 6)
    """
    return weighted_sum(mean_over_positions(gradient), activation)
