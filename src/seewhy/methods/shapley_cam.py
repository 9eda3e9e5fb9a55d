"""Shapley-CAM: takes an activation, its gradient and a Hessian product, gives channels weighted by second-order
Shapley values."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import HessianProduct
from seewhy.methods._channels import mean_over_positions, weighted_sum
from seewhy.methods._exceptions import LOCAL, POOLED
from seewhy.registry import Card, Need, method

__all__ = ["shapley_cam"]


@method(
    Card(
        name="shapley-cam",
        family="cam",
        paper="Cai 2025, CAMs as Shapley Value-based Explainers, arXiv:2501.06261",
        formula="sum_c w_c A_c, w_c = mean_xy (g - H A / 2)",
        unit="{score}",
        excepts={**LOCAL, **POOLED},
        cost="1 forward, 3 backwards",
        needs=frozenset({Need.CURVATURE}),
        positive=True,
        use="Grad-CAM where the score bends: the gradient corrected by curvature",
        caveats=("equals Grad-CAM where everything above the layer is piecewise linear",),
    )
)
def shapley_cam(activation: Tensor, gradient: Tensor) -> Generator[Any, Any, Tensor]:
    """Channels weighted by their gradient less half of the Hessian times the activation.

    ``activation`` and ``gradient`` [B, C, *positions]; values [B, *positions], signed. The Hessian is never formed: one
    more backward gives its product with the activation.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="shapley-cam", layer="1").values.shape
    (6, 6)
    """
    curvature = yield HessianProduct()
    return weighted_sum(mean_over_positions(gradient - 0.5 * curvature), activation)
