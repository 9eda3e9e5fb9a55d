"""HiRes-CAM: takes an activation and its gradient, gives their product summed over channels."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._exceptions import LOCAL
from seewhy.registry import Card, method

__all__ = ["hires_cam"]


@method(
    Card(
        name="hires-cam",
        family="cam",
        paper="Draelos & Carin 2020, Use HiResCAM instead of Grad-CAM, arXiv:2011.08891, eq. 4",
        formula="sum_c g_c A_c, elementwise",
        unit="{score}",
        excepts=LOCAL,
        cost="1 forward, 1 backward",
        positive=True,
        use="a map that shows only places the score depends on",
    )
)
def hires_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Activation times gradient at every position, summed over channels.

    ``activation`` and ``gradient`` [B, C, *positions]; values [B, *positions], signed.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="hires-cam", layer="1").values.shape
    (6, 6)
    """
    return (gradient * activation).sum(1)
