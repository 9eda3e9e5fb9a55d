"""Deconvnet: takes the gradient under the deconvnet rule, gives it; the rule itself lives in
`seewhy.core.intercept.backward_rules`."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._exceptions import NO_GRADIENT, WRITTEN, every
from seewhy.registry import Card, method

__all__ = ["deconvnet"]


@method(
    Card(
        name="deconvnet",
        family="gradient",
        paper="Zeiler & Fergus 2013, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901",
        formula="max(g, 0) at every rectifier, whatever its input",
        unit="{score} per unit of the {place}",
        excepts={
            **every(
                (
                    "proportion",
                    "interaction",
                    "redundancy",
                    "saturation",
                    "shattering",
                    "class",
                    "contrast",
                    "pointing",
                ),
                "a rectifier passes positive gradients whatever its input, also where it is off: everywhere the map is "
                "what the detectors look for (Mahendran & Vedaldi 2016, Salient Deconvolutional Networks)",
            ),
            **every(("sign", "cancellation"), "negative gradients are cut, and positive ones pass everywhere"),
            **WRITTEN,
            **NO_GRADIENT,
        },
        cost="1 forward, 1 backward",
        reduce="max-abs",
        rule="deconvnet",
        discriminative=False,
        cuts="negative gradients at every rectifier",
        use="what patterns excite the score; keras-vis calls the rule relu",
        caveats=(
            "fails the weight-randomisation test (Nie et al. 2018)",
            "ignores which units were active, so without max pooling it barely depends on the image",
        ),
    )
)
def deconvnet(gradient: Tensor) -> Tensor:
    """The gradient in which every rectifier passes on only positive gradient, whatever its own input was.

    ``gradient`` [B, C, *positions], already under the rule; values of the same shape. Rectifiers are ReLU, ReLU6,
    Hardtanh, leaky and parametric ReLU, ELU, SELU, CELU, GELU, SiLU, Mish, Hardswish, Softplus and Threshold, in any
    spelling. Raises `CapabilityError` if the forward met none: a plain gradient is never passed off as this.

    >>> import torch, seewhy
    >>> from torch.nn import Conv2d, Flatten, Linear, ReLU6, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU6(), Flatten(), Linear(144, 2))
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="deconvnet").values.shape
    (8, 8)
    """
    return gradient
