"""Average increase: takes images and maps, asks for the probabilities of the images seen through their maps, gives
whether they are higher than those of the whole images."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.perturb.fills import Fill
from seewhy.metrics._masked import seen_through
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["average_increase"]


@metric(
    MetricCard(
        name="average-increase",
        paper="Chattopadhay et al. 2018, Grad-CAM++, arXiv:1710.11063, eq. 18",
        formula="1 if p(x seen through the map) > p(x), else 0",
        better="higher",
        range="0 to 1",
        cost="2 forwards",
        fill="mean",
        use="whether what the map leaves out spoke against the class",
        fooled=("half of the mean over images is chance where scores hardly move",),
        constant=True,
        of_probabilities=True,
    )
)
def average_increase(input: Tensor, score: Tensor, values: Tensor, fill: Fill) -> Generator[Any, Any, Attribution]:
    """Whether the probability rises when only what the map shows is left, 1 or 0.

    ``input`` [B, C, *size], ``score`` [B] probabilities, ``values`` [B, *size]; a number from 0 to 1 for each map, and
    the probability ``seen`` through it. The image is multiplied by the positive part of the map, its largest value 1;
    what is not shown is the fill (``0.0`` for the paper's black). The mean over images is the figure of the paper.

    >>> import torch, seewhy
    >>> image, map = torch.tensor([[[0.9, 0.1]]]), torch.tensor([[1.0, 0.0]])
    >>> float(seewhy.metrics.average_increase(lambda x: x[:, 0, 0, 0], image, map, fill=0.0))
    0.0
    """
    seen = yield from seen_through(input, values, fill, score)
    score = score.to(seen)
    return Attribution((seen > score).to(score), arrays={"seen": seen})
