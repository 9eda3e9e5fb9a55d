"""Feature maps: takes a layer's activation and its gradient, gives the activation with each channel's evidence for the
target."""

from __future__ import annotations

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.registry import Card, method

__all__ = ["feature_maps"]


@method(
    Card(
        name="feature-maps",
        family="inside",
        paper="Zeiler & Fergus 2013, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901, section 4",
        formula="A_c, in the order of sum_xy g_c A_c",
        unit="activation",
        cost="1 forward, 1 backward",
        at="layer",
        discriminative=False,
        call="features",
        use="what the channels of a layer respond to in a photo, those that speak for the target first",
        caveats=(
            "the evidence is linear: it says what the channel adds at the present slope, not what its absence would do",
        ),
    )
)
def feature_maps(activation: Tensor, gradient: Tensor) -> Attribution:
    """The activation of every channel, and by how much each speaks for the target.

    ``activation`` and ``gradient`` [B, C, *positions]; values are the activation, signed, in its own units;
    ``evidence`` [B, C] is the sum of gradient x activation over positions, in score units: over all channels of a
    layer that the whole score passes through it adds up to the linear part of the score.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))
    >>> gallery = seewhy.feature_maps(net, torch.rand(1, 3, 8, 8), layer="0", target=1)
    >>> gallery.values.shape, len(gallery)
    ((4, 6, 6), 4)
    """
    product = gradient * activation
    return Attribution(activation, evidence=product.reshape(*product.shape[:2], -1).sum(2))
