"""Grad-CAM++: takes an activation and its gradient, gives the channels weighted by positive gradients, pixel by
pixel."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._channels import per_channel, sum_over_positions, weighted_sum, where_nonzero
from seewhy.methods._exceptions import CUTS_NEGATIVE, LOCAL, POOLED, SQUARED_ALPHA
from seewhy.registry import Card, method

__all__ = ["grad_cam_pp"]


@method(
    Card(
        name="grad-cam-pp",
        family="cam",
        paper="Chattopadhay et al. 2018, Grad-CAM++, arXiv:1710.11063, eq. 10 and 19",
        formula="sum_c w_c A_c, w_c = sum_xy alpha relu(g), alpha = g^2 / (2 g^2 + g^3 sum_xy A)",
        unit="{score}",
        excepts={**LOCAL, **POOLED, **SQUARED_ALPHA, **CUTS_NEGATIVE},
        cost="1 forward, 1 backward",
        positive=True,
        cuts="negative gradients",
        use="several objects of one class in a picture",
        caveats=("made for activations that are not negative: on signed ones alpha has poles and maps explode",),
    )
)
def grad_cam_pp(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels weighted by their positive gradients, each position by the paper's alpha.

    ``activation`` and ``gradient`` [B, C, *positions]; values [B, *positions]. Second and third derivatives of
    exp(score) are powers of the gradient; the factor exp(score), common to all channels, is left out. Where the
    denominator is 0, alpha is 0.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="grad-cam-pp", layer="1").values.shape
    (6, 6)
    """
    square, cube = gradient.square(), gradient.pow(3)
    denominator = 2 * square + cube * per_channel(sum_over_positions(activation), activation)
    alpha = where_nonzero(square, denominator)
    return weighted_sum(sum_over_positions(alpha * gradient.clamp(min=0)), activation)
