"""Guided backpropagation: takes the gradient under the guided rule, gives it; the rule itself lives in
`seewhy.core.intercept.backward_rules`."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._exceptions import CUTS_NEGATIVE, LOCAL, NO_GRADIENT, WRITTEN
from seewhy.registry import Card, method

__all__ = ["guided_backprop"]


@method(
    Card(
        name="guided-backprop",
        family="gradient",
        paper="Springenberg et al. 2014, Striving for Simplicity, arXiv:1412.6806",
        formula="f'(z) max(g, 0) [f(z) > 0] at every rectifier f with input z",
        unit="{score} per unit of the {place}",
        excepts={
            **CUTS_NEGATIVE,
            **NO_GRADIENT,
            "shattering": LOCAL["shattering"],
            **WRITTEN,
        },
        cost="1 forward, 1 backward",
        reduce="max-abs",
        rule="guided",
        discriminative=False,
        cuts="negative gradients and inputs at every rectifier",
        use="sharp outlines of what the network reacts to",
        caveats=("fails the weight-randomisation test: it shows edges whatever the class (Adebayo et al. 2018)",),
    )
)
def guided_backprop(gradient: Tensor) -> Tensor:
    """The gradient in which every rectifier passes on only positive gradient, and only where it was positive itself.

    ``gradient`` [B, C, *positions], already under the rule; values of the same shape. Rectifiers are ReLU, ReLU6,
    Hardtanh, leaky and parametric ReLU, ELU, SELU, CELU, GELU, SiLU, Mish, Hardswish, Softplus and Threshold, in any
    spelling. Raises `CapabilityError` if the forward met none: a plain gradient is never passed off as this.

    >>> import torch, seewhy
    >>> from torch.nn import Conv2d, Flatten, Linear, ReLU6, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU6(), Flatten(), Linear(144, 2))
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="guided-backprop").values.shape
    (8, 8)
    """
    return gradient
