"""Layer integrated gradients: takes a layer's activations at input and baseline, asks for gradients on the straight
path between them, gives their integral."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Activation, Attribution, Gradient, Score, Stream
from seewhy.core.perturb.folds import Collect, Gather, WeightedSum
from seewhy.core.perturb.noise import fingerprint
from seewhy.core.perturb.sources import EditedLayer, StraightPath
from seewhy.methods._exceptions import NO_GRADIENT
from seewhy.methods._paths import quadrature
from seewhy.registry import Card, Need, method

__all__ = ["layer_integrated_gradients"]


@method(
    Card(
        name="layer-integrated-gradients",
        family="gradient",
        paper="Sundararajan, Taly & Yan 2017, Axiomatic Attribution for Deep Networks, arXiv:1703.01365, eq. 1, in the "
        "space of a layer",
        formula="(A - A') * integral_0^1 dS/dA(A' + a (A - A')) da",
        unit="{score}",
        excepts=NO_GRADIENT,
        cost="steps + 2 forwards, steps backwards",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="layer",
        reduce="sum",
        sums="the score's difference from that with the layer at the baseline",
        use="how much of the score each unit of a layer brings, whatever comes before it; complete",
        caveats=(
            "depends on the baseline",
            "the path runs straight in the layer, where no input may lie: conductance follows the input's",
        ),
    )
)
def layer_integrated_gradients(
    input: Tensor,
    activation: Tensor,
    score: Tensor,
    baseline: Tensor,
    *,
    rule: str = "gauss-legendre",
    steps: int = 50,
    multiply_by_inputs: bool = True,
) -> Generator[Any, Any, Attribution]:
    """Integrated gradients of a layer's units on the straight path between its activations.

    ``activation`` [B, C, *positions] of the layer; values of that shape, in score units; they sum to the score minus
    the score with this layer as it is at ``baseline`` [B, C, *size] (and all else as it is at the input), up to the
    residual, which is returned per image as ``error``. ``rule`` and ``steps`` as in integrated gradients, without
    ``adaptive``. ``multiply_by_inputs=False`` leaves the factor A - A' out: slopes, in score units per unit of the
    layer.

    >>> import torch, seewhy
    >>> from torch.nn import Conv2d, Flatten, Linear, Sequential, Tanh
    >>> net = Sequential(Conv2d(3, 4, 3), Tanh(), Flatten(), Linear(144, 2))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 8, 8), method="layer-integrated-gradients", layer="0", target=1)
    >>> e.values.shape, abs(e.error) < 1e-3
    ((6, 6), True)
    """
    nodes, weights = quadrature(rule, steps)
    batch = input.shape[0]
    (starts,) = yield Stream(StraightPath(1, (0.0,), baseline), (Activation(),), Gather(batch, 1))
    start: Tensor = starts[:, 0]
    places = torch.tensor(nodes, dtype=torch.float64)
    name = "path of a layer", tuple(fingerprint(baseline))

    def between(values: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        alpha = places[indices.cpu()].to(values).reshape(-1, *(1 for _ in values.shape[1:]))
        first = at_start(values, samples, indices)
        return first + alpha * (values - first)

    def at_start(values: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        return start[samples.to(start.device)]

    mean, first = yield (
        Stream(EditedLayer(len(nodes), (*name, nodes), between), (Gradient(),), WeightedSum(batch, weights)),
        Stream(EditedLayer(1, name, at_start), (Score(),), Collect(batch, 1)),
    )
    if not multiply_by_inputs:
        return Attribution(mean)
    values = (activation - start) * mean
    rise = score - first[:, 0]
    return Attribution(values, error=values.flatten(1).sum(1) - rise, total=rise)
