"""Average gain: takes images and maps, asks for the probabilities of the images seen through their maps, gives how they
compare with those of the whole images."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.perturb.fills import Fill
from seewhy.metrics._masked import seen_through
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["average_gain"]


@metric(
    MetricCard(
        name="average-gain",
        paper="Zhang et al. 2024, Opti-CAM, arXiv:2301.07002, eq. 13",
        formula="max(0, p(x seen through the map) - p(x)) / (1 - p(x))",
        better="higher",
        range="0 to 1",
        cost="2 forwards",
        fill="mean",
        use="how far the map makes the class clearer than it was",
        fooled=("means little without the average drop beside it",),
        constant=True,
        of_probabilities=True,
    )
)
def average_gain(input: Tensor, score: Tensor, values: Tensor, fill: Fill) -> Generator[Any, Any, Attribution]:
    """The share of what was missing to certainty that is gained when only what the map shows is left.

    ``input`` [B, C, *size], ``score`` [B] probabilities, ``values`` [B, *size]; a number from 0 to 1 for each map, and
    the probability ``seen`` through it. The image is multiplied by the positive part of the map, its largest value 1;
    what is not shown is the fill (``0.0`` for the paper's black). The mean over images is the figure of the paper.

    >>> import torch, seewhy
    >>> image, map = torch.tensor([[[0.5, 0.5]]]), torch.tensor([[1.0, 0.0]])
    >>> float(seewhy.metrics.average_gain(lambda x: 1 - x[:, 0, 0, 1], image, map, fill=0.0))
    1.0
    """
    seen = yield from seen_through(input, values, fill, score)
    score = score.to(seen)
    return Attribution((seen - score).clamp(min=0) / (1 - score), arrays={"seen": seen})
