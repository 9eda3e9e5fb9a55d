"""Saliency: takes the gradient, gives it; the simplest answer to "which pixels would change the score"."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._exceptions import LOCAL
from seewhy.registry import Card, method

__all__ = ["saliency"]


@method(
    Card(
        name="saliency",
        family="gradient",
        paper="Simonyan, Vedaldi & Zisserman 2013, Deep Inside Convolutional Networks, arXiv:1312.6034, section 3.1",
        formula="d S / d x; max over channels of |.|",
        unit="{score} per unit of the {place}",
        excepts=LOCAL,
        cost="1 forward, 1 backward",
        reduce="max-abs",
        use="a first look, at the cost of a training step; noisy: compare with smooth-grad",
        caveats=("noise in the gradient is drawn as evidence", "says what would change the score, not what made it"),
    )
)
def saliency(gradient: Tensor) -> Tensor:
    """The gradient of the score, signed, at the input or at any layer.

    ``gradient`` [B, C, *positions] to values of the same shape, in score units per unit of the place; ``reduce`` then
    takes the channels together (Simonyan's ``max-abs`` unless told otherwise).

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="saliency", reduce="none").values.shape
    (3, 8, 8)
    """
    return gradient
