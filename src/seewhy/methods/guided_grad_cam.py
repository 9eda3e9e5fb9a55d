"""Guided Grad-CAM: takes an activation and its gradient, asks for guided backpropagation, gives their product at the
input."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Gradient
from seewhy.core.network.places import INPUT
from seewhy.core.perturb.resampling import upsample
from seewhy.methods._exceptions import CUTS_NEGATIVE, LOCAL, WRITTEN
from seewhy.methods.grad_cam import grad_cam
from seewhy.registry import Card, Need, method

__all__ = ["guided_grad_cam"]


@method(
    Card(
        name="guided-grad-cam",
        family="cam",
        paper="Selvaraju et al. 2017, Grad-CAM, arXiv:1610.02391, section 3.1",
        formula="guided backpropagation * upsampled relu(Grad-CAM), per pixel and channel",
        excepts={
            **LOCAL,
            **CUTS_NEGATIVE,
            **WRITTEN,
            "proportion": "a product of two maps, each in proportion: what counts a sixth has a thirty-sixth",
        },
        cost="1 forward, 2 backwards",
        needs=frozenset({Need.RULE, Need.INPUT_GRADIENT}),
        reduce="max-abs",
        cuts="negative evidence",
        unit="{score} x {score} per unit of the input",
        use="fine outlines, only where the class's evidence lies",
        caveats=(
            "fails the weight-randomisation test: its outlines hardly depend on the weights (Adebayo et al. 2018)",
        ),
    )
)
def guided_grad_cam(activation: Tensor, gradient: Tensor) -> Generator[Any, Any, Tensor]:
    """Guided backpropagation at the input, weighted by the positive part of Grad-CAM.

    ``activation`` and ``gradient`` [B, K, *positions] of the layer; values [B, C, *size], upsampled bilinearly (Captum:
    nearest). Raises `CapabilityError` if the model has no rectifier that can be seen.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="guided-grad-cam", layer="1", reduce="none").values.shape
    (3, 8, 8)
    """
    guided = yield Gradient(INPUT, rule="guided")
    where = grad_cam(activation, gradient).clamp(min=0)
    return upsample(where[:, None], tuple(guided.shape[2:])) * guided  # type: ignore[no-any-return]
