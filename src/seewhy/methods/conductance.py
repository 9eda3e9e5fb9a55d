"""Conductance: takes input and baseline, follows a layer's activations along the path between them, gives each unit's
share."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Activation, Attribution, Gradient, Score, Stream
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.sources import StraightPath
from seewhy.methods._exceptions import NO_GRADIENT
from seewhy.methods._paths import Telescope, quadrature
from seewhy.registry import Card, Need, method

__all__ = ["conductance"]


@method(
    Card(
        name="conductance",
        family="gradient",
        paper="Dhamdhere, Sundararajan & Yan 2018, How Important Is a Neuron?, arXiv:1805.12233, eq. 2",
        formula="integral_0^1 dS/dA dA/da da on the path x' + a (x - x')",
        unit="{score}",
        excepts=NO_GRADIENT,
        cost="steps + 1 forwards and backwards",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="layer",
        reduce="sum",
        sums="the score's difference from the baseline's",
        use="how much of the score difference flows through each unit of a layer; complete",
        caveats=("depends on the baseline",),
    )
)
def conductance(input: Tensor, baseline: Tensor, score: Tensor, *, steps: int = 50) -> Generator[Any, Any, Attribution]:
    """Integrated gradients of a layer's units: their share of the score difference between baseline and input.

    Values [B, C, *positions] of the layer, in score units. They sum to the difference up to the residual, which is
    returned as ``error``, provided that everything flows through the layer. The integral over the path is taken in the
    activation itself, by trapezoids: gradients are averaged over a step and multiplied by the activation's change.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="conductance", layer="0", steps=4).values.shape
    (6, 6)
    """
    nodes, _ = quadrature("trapezoid", steps)
    path = StraightPath(len(nodes), nodes, baseline)
    batch = input.shape[0]
    values, scores = yield (
        Stream(path, (Activation(), Gradient()), Telescope(batch)),
        Stream(path, (Score(),), Collect(batch, len(nodes))),
    )
    residual = values.flatten(1).sum(1) - (score - scores[:, 0])
    return Attribution(values, error=residual, total=score - scores[:, 0])
