"""Excitation backprop: takes a class, sends a probability back through excitatory connections, gives where it ends."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from seewhy.core.asks import Attribution, Relevance
from seewhy.core.relevance.composites import excitation
from seewhy.methods._flows import account
from seewhy.registry import Card, Need, method

__all__ = ["excitation_backprop"]


@method(
    Card(
        name="excitation-backprop",
        family="propagation",
        paper="Zhang et al. 2016, Top-down Neural Attention by Excitation Backprop, arXiv:1608.00507, eq. 5",
        formula="P_i = sum_j x_i w+_ij / (sum_i x_i w+_ij) P_j",
        unit="share of the winners",
        cost="2 forwards, 1 backward",
        needs=frozenset({Need.RELEVANCE}),
        at="layer",
        reduce="sum",
        positive=True,
        cuts="negative weights",
        use="a probability over a layer's positions: where the evidence for the class comes in",
        caveats=(
            "nearly fails the weight-randomisation test: lower layers hardly matter (Sixt et al. 2020)",
            "classes share most of it; c-excitation-backprop sets them apart",
            "the paper's networks have activations that are never negative; elsewhere x- w- excites as well",
        ),
    )
)
def excitation_backprop() -> Generator[Any, Any, Attribution]:
    """Marginal winning probability: how likely a walk down excitatory connections, from the class, passes each unit.

    Values [B, C, *positions] of a layer, not negative; they sum to 1 (summed over channels: a probability over
    positions) unless a unit on the way was excited by its bias alone. ``error`` [B] is their sum less what set out.

    A connection excites where its product x w is positive: x+ w+, and x- w- for activations that can be negative, which
    the paper's cannot. Biases take no part. Batch norm is taken into the layer it follows; sums share in proportion to
    their positive terms; max pooling goes to the winner. Other targets than a class set out with their gradient at the
    scores. Raises `CapabilityError` for functions without a rule.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, Linear, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten(), Linear(4, 2))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 8, 8), method="excitation-backprop", layer="1", target=1)
    >>> e.values.shape, round(float(e.values.sum()), 4)
    ((6, 6), 1.0)
    """
    flow = yield Relevance(excitation(), start="one")
    return account(flow, flow.start, "units excited by biases alone keep")
