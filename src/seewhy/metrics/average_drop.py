"""Average drop: takes images and maps, asks for the probabilities of the images seen through their maps, gives how they
compare with those of the whole images."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.perturb.fills import Fill
from seewhy.metrics._masked import seen_through
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["average_drop"]


@metric(
    MetricCard(
        name="average-drop",
        paper="Chattopadhay et al. 2018, Grad-CAM++, arXiv:1710.11063, eq. 17",
        formula="max(0, p(x) - p(x seen through the map)) / p(x)",
        better="lower",
        range="0 to 1",
        cost="2 forwards",
        fill="mean",
        use="how much of the score is lost where only what the map shows is left",
        fooled=("a map that shows the whole image loses nothing",),
        constant=True,
        of_probabilities=True,
    )
)
def average_drop(input: Tensor, score: Tensor, values: Tensor, fill: Fill) -> Generator[Any, Any, Attribution]:
    """The share of the probability that is lost when only what the map shows is left.

    ``input`` [B, C, *size], ``score`` [B] probabilities, ``values`` [B, *size]; a number from 0 to 1 for each map, and
    the probability ``seen`` through it. The image is multiplied by the positive part of the map, its largest value 1;
    what is not shown is the fill (``0.0`` for the paper's black). The mean over images is the figure of the paper.

    >>> import torch, seewhy
    >>> image, map = torch.full((1, 1, 2), 0.5), torch.tensor([[1.0, 0.0]])
    >>> float(seewhy.metrics.average_drop(lambda x: x.mean((1, 2, 3)), image, map, fill=0.0))
    0.5
    """
    seen = yield from seen_through(input, values, fill, score)
    score = score.to(seen)
    return Attribution((score - seen).clamp(min=0) / score, arrays={"seen": seen})
