"""Eigen-Grad-CAM: takes an activation and its gradient, gives the first principal map of their product."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._channels import first_component, signed_like
from seewhy.methods._exceptions import LOCAL, ONE_DIRECTION, every
from seewhy.registry import Card, method

__all__ = ["eigen_grad_cam"]


@method(
    Card(
        name="eigen-grad-cam",
        family="cam",
        paper="Muhammad & Yeasin 2020, Eigen-CAM, arXiv:2008.00299, applied to g A as in pytorch-grad-cam",
        formula="(g A) v_1, v_1 the first right singular vector of g A as positions x channels",
        unit="{score}",
        excepts={**LOCAL, **every(("proportion", "interaction", "sign", "cancellation", "class"), ONE_DIRECTION)},
        cost="1 forward, 1 backward",
        positive=True,
        use="Eigen-CAM that knows the class",
    )
)
def eigen_grad_cam(activation: Tensor, gradient: Tensor, *, centred: bool = False) -> Tensor:
    """Gradient times activation projected on its first right singular vector; the sign is the one that agrees with
    Grad-CAM.

    ``activation`` and ``gradient`` [B, C, *positions]; values [B, *positions]. Where Grad-CAM is flat, HiRes-CAM
    decides the sign.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="eigen-grad-cam", layer="1").values.shape
    (6, 6)
    """
    evidence = gradient * activation
    return signed_like(first_component(evidence, centred=centred), evidence)
