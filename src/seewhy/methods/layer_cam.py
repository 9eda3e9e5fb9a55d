"""Layer-CAM: takes an activation and its gradient, gives the activations weighted by positive gradient, place by
place."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._exceptions import CUTS_NEGATIVE, LOCAL
from seewhy.registry import Card, method

__all__ = ["layer_cam"]


@method(
    Card(
        name="layer-cam",
        family="cam",
        paper="Jiang et al. 2021, LayerCAM, doi:10.1109/TIP.2021.3089943, eq. 5-6",
        formula="sum_c relu(g_c) A_c, elementwise",
        unit="{score}",
        excepts={**LOCAL, **CUTS_NEGATIVE},
        cost="1 forward, 1 backward",
        positive=True,
        cuts="negative gradients",
        use="early layers: fine detail where Grad-CAM falls apart",
        caveats=("shows no evidence against",),
    )
)
def layer_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Activations weighted by their own positive gradient at every position.

    ``activation`` and ``gradient`` [B, C, *positions]; values [B, *positions].

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="layer-cam", layer="1").values.shape
    (6, 6)
    """
    return (gradient.clamp(min=0) * activation).sum(1)
