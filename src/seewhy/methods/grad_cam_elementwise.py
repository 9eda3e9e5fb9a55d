"""Elementwise Grad-CAM: takes an activation and its gradient, gives their positive products."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._exceptions import CUTS_NEGATIVE, LOCAL
from seewhy.registry import Card, method

__all__ = ["grad_cam_elementwise"]


@method(
    Card(
        name="grad-cam-elementwise",
        family="cam",
        paper="Pillai & Pirsiavash 2021, Consistent Interpretations, doi:10.1609/aaai.v35i3.16344",
        formula="sum_c relu(g_c A_c)",
        unit="{score}",
        excepts={**LOCAL, **CUTS_NEGATIVE},
        cost="1 forward, 1 backward",
        positive=True,
        cuts="negative products",
        use="positive evidence only, channel by channel, before anything can cancel",
        caveats=("channels against the class are dropped before summing, so nothing ever looks absent",),
    )
)
def grad_cam_elementwise(activation: Tensor, gradient: Tensor) -> Tensor:
    """The positive part of activation times gradient, summed over channels.

    ``activation`` and ``gradient`` [B, C, *positions]; values [B, *positions], never negative.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="grad-cam-elementwise", layer="1").values.shape
    (6, 6)
    """
    return (gradient * activation).clamp(min=0).sum(1)
