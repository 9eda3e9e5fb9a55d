"""RefineCAM: takes several layers' activations and gradients, gives the product of their normalised Grad-CAM++ maps."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Activation, Gradient
from seewhy.core.perturb.resampling import upsample
from seewhy.errors import UsageError
from seewhy.methods._channels import where_nonzero
from seewhy.methods._exceptions import LOCAL, POOLED
from seewhy.methods.grad_cam_pp import grad_cam_pp
from seewhy.registry import Card, Need, method

__all__ = ["refine_cam"]


@method(
    Card(
        name="refine-cam",
        family="cam",
        paper="How to Evaluate and Refine your CAM, 2026, arXiv:2605.14641",
        formula="prod_l relu(M_l) / max relu(M_l), M_l the Grad-CAM++ map of layer l, resized to the largest",
        unit="share of the layers' maxima",
        excepts={**LOCAL, **POOLED},
        cost="1 forward, 1 backward",
        needs=frozenset({Need.ACTIVATION, Need.GRADIENT}),
        several_layers=True,
        positive=True,
        cuts="negative evidence",
        use="the detail of an early layer where all layers agree",
        caveats=("has no unit: every map is scaled to [0, 1] before the product",),
    )
)
def refine_cam(*, layers: tuple[str, ...] = ()) -> Generator[Any, Any, Tensor]:
    """The product over layers of Grad-CAM++ maps, each cut at zero, scaled to a maximum of 1 and resized to the
    largest.

    ``layers`` are the names given as ``layer=[...]``, two at least; values [B, *positions] in [0, 1]. Raises
    `UsageError` for a single layer.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), Conv2d(4, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="refine-cam", layer=["1", "3"]).values.shape
    (6, 6)
    """
    if len(layers) < 2:
        raise UsageError(
            "refine-cam multiplies the maps of several layers: give two or more, layer=['layer3', 'layer4']"
        )
    pairs = yield tuple(ask for layer in layers for ask in (Activation(layer), Gradient(layer)))
    maps = []
    for activation, gradient in zip(pairs[::2], pairs[1::2], strict=True):
        positive = grad_cam_pp(activation, gradient).clamp(min=0)
        peak = positive.flatten(1).amax(1).reshape(-1, *(1 for _ in positive.shape[1:]))
        maps.append(where_nonzero(positive, peak.expand_as(positive)))
    size = max((tuple(m.shape[1:]) for m in maps), key=lambda grid: torch.Size(grid).numel())
    product = torch.ones_like(upsample(maps[0][:, None], size)[:, 0])
    for cam in maps:
        product = product * upsample(cam[:, None], size)[:, 0]
    return product
