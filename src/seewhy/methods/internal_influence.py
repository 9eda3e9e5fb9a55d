"""Internal influence: takes input and baseline, asks for a layer's gradients on the path between them, gives their
mean."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Gradient, Stream
from seewhy.core.perturb.folds import WeightedSum
from seewhy.core.perturb.sources import StraightPath
from seewhy.methods._exceptions import NO_GRADIENT, every
from seewhy.methods._paths import quadrature
from seewhy.registry import Card, Need, method

__all__ = ["internal_influence"]


@method(
    Card(
        name="internal-influence",
        family="gradient",
        paper="Leino et al. 2018, Influence-Directed Explanations, arXiv:1802.03788, eq. 1",
        formula="integral_0^1 dS/dA(x' + a (x - x')) da",
        unit="{score} per unit of the {place}",
        excepts={
            **NO_GRADIENT,
            **every(
                (
                    "proportion",
                    "interaction",
                    "redundancy",
                    "saturation",
                    "shattering",
                    "sign",
                    "cancellation",
                    "contrast",
                    "class",
                    "pointing",
                ),
                "the gradient without the activation: behind a pooling head it is the same at every position",
            ),
            "implementation": "is counted per unit of the layer, which the next layer may take back",
        },
        cost="steps forwards, steps backwards",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="layer",
        reduce="sum",
        use="which units of a layer the score depends on, over a whole path and not at one point",
        caveats=("a slope, not a share: not complete",),
    )
)
def internal_influence(
    input: Tensor, baseline: Tensor, *, rule: str = "gauss-legendre", steps: int = 50
) -> Generator[Any, Any, Tensor]:
    """The mean gradient with respect to a layer's units on the straight path from a baseline to the input.

    Values [B, C, *positions] of the layer, in score units per unit of activation. ``rule`` and ``steps`` as in
    integrated gradients, without ``adaptive``.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="internal-influence", layer="0", steps=4).values.shape
    (6, 6)
    """
    nodes, weights = quadrature(rule, steps)
    path = StraightPath(len(nodes), nodes, baseline)
    mean = yield Stream(path, (Gradient(),), WeightedSum(input.shape[0], weights))
    return mean  # type: ignore[no-any-return]
