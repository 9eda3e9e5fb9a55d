"""Layer activation: takes what a layer gives, gives it; nothing is explained, but all else can be compared with it."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._exceptions import NO_SCORE
from seewhy.registry import Card, method

__all__ = ["layer_activation"]


@method(
    Card(
        name="layer-activation",
        family="gradient",
        paper="Zeiler & Fergus 2014, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901, section 2",
        formula="A",
        excepts=NO_SCORE,
        cost="1 forward",
        at="layer",
        reduce="none",
        discriminative=False,
        use="the numbers of a layer, of any shape, as an array; as pictures: features",
        caveats=("what a layer gives is no evidence for any class",),
    )
)
def layer_activation(activation: Tensor) -> Tensor:
    """What a layer gives, [B, C, *positions]: the same for every target.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="layer-activation", layer="0").values.shape
    (4, 6, 6)
    """
    return activation
