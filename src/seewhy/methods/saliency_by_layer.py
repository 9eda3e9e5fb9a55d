"""Saliency by layer: takes the gradient of a layer's mean activation with respect to the input, gives it; one map a
layer."""

from __future__ import annotations

from torch import Tensor

from seewhy.registry import Card, method

__all__ = ["saliency_by_layer"]


@method(
    Card(
        name="saliency-by-layer",
        family="inside",
        paper="Kotikalapudi 2017, keras-vis, visualize_saliency with no filter_indices",
        formula="d mean(A_layer) / d x; max over channels of |.|",
        unit="{score} per unit of the {place}",
        cost="1 forward, and 1 backward a layer",
        at="input",
        reduce="max-abs",
        discriminative=False,
        by_layer=True,
        use="what each layer, dense ones included, sees of the image as a whole",
        caveats=(
            "says what moves a layer's mean, not what a class is recognised by",
            "a first convolution's mean is linear in the input: its map is the same for every photo",
        ),
    )
)
def saliency_by_layer(gradient: Tensor) -> Tensor:
    """The gradient of each layer's mean activation at the input, signed.

    ``gradient`` [B, C, H, W] to values of the same shape, in units of the layer's activation per unit of the input;
    ``reduce`` then takes the channels together. Every convolution and dense layer that runs gives a map, in the order
    of the forward, or every layer named with ``layer=``.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))
    >>> maps = seewhy.explain_all(net, torch.rand(1, 3, 8, 8), method="saliency-by-layer")
    >>> [(m.layer, m.target, m.values.shape) for m in maps]
    [('0', 'mean of 0', (8, 8)), ('2', 'mean of 2', (8, 8))]
    """
    return gradient
