"""Contrastive excitation backprop: takes a class and its opposite, gives the difference of where both end."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Relevance
from seewhy.core.relevance.composites import excitation
from seewhy.methods._exceptions import every
from seewhy.registry import Card, Need, method

__all__ = ["c_excitation_backprop"]


@method(
    Card(
        name="c-excitation-backprop",
        family="propagation",
        paper="Zhang et al. 2016, Top-down Neural Attention by Excitation Backprop, arXiv:1608.00507, section 3.4",
        formula="P - P~, P~ with the weights of the last linear layer negated",
        unit="share of the winners",
        excepts={
            **every(
                ("redundancy", "saturation", "shattering"),
                "what reaches the place through weights of both signs of the last layer is taken off itself",
            ),
            "blindness": "is 0 for a score that no linear layer makes behind the place: P and P~ are the same",
        },
        cost="2 forwards, 2 backwards",
        needs=frozenset({Need.RELEVANCE}),
        at="layer",
        reduce="sum",
        positive=True,
        use="excitation backprop with what any class would get taken away",
        caveats=("values sum to about 0: what is drawn is the part that speaks for the class",),
    )
)
def c_excitation_backprop() -> Generator[Any, Any, Tensor]:
    """Excitation backprop for the class less that for its dual, a unit whose weights are the class's, negated.

    Values [B, C, *positions] of a layer, signed; both parts are probabilities, so they sum to 0 unless a unit on the
    way was excited by its bias alone. Raises `CapabilityError` as excitation-backprop does.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, Linear, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten(), Linear(4, 2))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 8, 8), method="c-excitation-backprop", layer="1", target=1)
    >>> e.values.shape, abs(float(e.values.sum())) < 1e-5
    ((6, 6), True)
    """
    plain, dual = yield (
        Relevance(excitation(), start="one"),
        Relevance(excitation(contrast=True), start="one"),
    )
    return plain.values - dual.values  # type: ignore[no-any-return]
