"""DeepLIFT: takes input and baseline, compares every activation with its reference, gives each value's part of the
difference; the rescale rule lives in `seewhy.core.relevance.rescale`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution, Multipliers
from seewhy.methods._exceptions import FIXED_REFERENCE
from seewhy.registry import Card, Need, method

__all__ = ["deep_lift"]


@method(
    Card(
        name="deep-lift",
        family="propagation",
        paper="Shrikumar, Greenside & Kundaje 2017, Learning Important Features Through Propagating Activation "
        "Differences, arXiv:1704.02685, eq. 12 (rescale rule)",
        formula="m (x - x'), m by the chain rule with (f(z) - f(z')) / (z - z') at every activation function f",
        unit="{score}",
        excepts=FIXED_REFERENCE,
        cost="1 forward, then 1 forward of the baseline, 1 forward and 1 backward of the input",
        needs=frozenset({Need.RELEVANCE}),
        reduce="sum",
        sums="the score's difference from the baseline's",
        use="the difference from a baseline shared out in one pass; sees through saturation where gradients do not",
        caveats=(
            "depends on the baseline",
            "products of activations (squeeze-excite, attention) and normalisation over the image keep their gradient; "
            "the residual says by how much the sum misses",
            "functions that TorchScript hides keep their gradient, too: give it the original module",
        ),
    )
)
def deep_lift(baseline: Tensor, *, multiply_by_inputs: bool = True) -> Generator[Any, Any, Attribution]:
    """Each value's part of the score's difference from the baseline's score, by the rescale rule.

    ``baseline`` [B, C, *size]; values [B, C, *positions] of the input or of a layer, signed, in score units. ``error``
    [B] is their sum less the score's difference: 0 up to rounding for networks of linear layers, activation functions
    and pooling, when everything flows through the place. Max pooling shares what it rose by between the winners of
    both windows. Where a function's input differs from its reference by little
    more than rounding (4 machine epsilons of the values) it passes its gradient; one without a kink the mean of its
    gradients at both, up to the third root of epsilon.

    ``multiply_by_inputs=False`` gives the multipliers, in score units per unit of the place. Input and
    baseline go through the network apart, and the k-th activation of one is compared with the k-th of the other,
    whatever the network does with its batch. Raises `CapabilityError` where the two forwards differ in what they call.

    >>> import torch, seewhy
    >>> from torch.nn import Conv2d, Flatten, Linear, Sequential, Sigmoid
    >>> net = Sequential(Conv2d(3, 4, 3), Sigmoid(), Flatten(), Linear(144, 2))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 8, 8), method="deep-lift", target=1)
    >>> e.values.shape, abs(e.error) < 1e-5
    ((8, 8), True)
    """
    lift = yield Multipliers()
    if not multiply_by_inputs:
        return Attribution(lift.multipliers)
    values = lift.multipliers * lift.difference
    return Attribution(values, error=values.flatten(1).sum(1) - lift.rise, total=lift.rise)
