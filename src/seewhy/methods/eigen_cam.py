"""Eigen-CAM: takes an activation, gives its first principal map; asks nothing of the class."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._channels import first_component, signed_like
from seewhy.methods._exceptions import NO_SCORE, ONE_DIRECTION
from seewhy.registry import Card, method

__all__ = ["eigen_cam"]


@method(
    Card(
        name="eigen-cam",
        family="cam",
        paper="Muhammad & Yeasin 2020, Eigen-CAM, arXiv:2008.00299, eq. 4",
        formula="A v_1, v_1 the first right singular vector of A as positions x channels",
        unit="activation",
        excepts={**NO_SCORE, "shattering": ONE_DIRECTION},
        cost="1 forward",
        discriminative=False,
        positive=True,
        use="what dominates a layer, without gradients",
        caveats=(
            "the same for every class",
            "the paper leaves the sign open: it is that of the mean activation; where channels average to nothing "
            "(behind a layer norm) the larger responses are positive",
        ),
    )
)
def eigen_cam(activation: Tensor, *, centred: bool = False) -> Tensor:
    """The activation projected on its first right singular vector; the sign is the one that agrees with the mean
    activation, or, where channels average to nothing, makes the larger responses positive.

    ``activation`` [B, C, *positions]; values [B, *positions]. ``centred`` subtracts each channel's mean first, as
    pytorch-grad-cam does; the paper does not.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="eigen-cam", layer="1").values.shape
    (6, 6)
    """
    return signed_like(first_component(activation, centred=centred), activation)
