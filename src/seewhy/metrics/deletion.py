"""Deletion: takes images and maps, asks for the scores while the strongest places go, gives the area under them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.perturb.fills import Fill
from seewhy.metrics._curves import area, curve
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["deletion"]


@metric(
    MetricCard(
        name="deletion",
        paper="Petsiuk, Das & Saenko 2018, RISE, arXiv:1806.07421, section 4.2",
        formula="integral over f from 0 to 1 of S(x with the share f of strongest places hidden)",
        better="lower",
        range="that of the score",
        unit="{score}",
        cost="steps forwards",
        fill="mean",
        use="whether the places that a map shows are those that the score needs",
        fooled=(
            "hiding anything makes unlikely pictures, whose scores fall by themselves: compare with controls",
            "depends on the fill: a mean colour and a blur give other areas",
        ),
    )
)
def deletion(
    input: Tensor, score: Tensor, values: Tensor, fill: Fill, *, steps: int = 100, seed: int = 0
) -> Generator[Any, Any, Attribution]:
    """The area under the score while the places of a map go, the strongest first.

    ``input`` [B, C, *size], ``score`` [B], ``values`` [B, *size]; a number for each map, in score units, and the
    ``curve`` [B, steps + 1] at the shares 0, 1 / steps, ..., 1 of the area. ``predict`` may give probabilities, as in
    the paper, or any other score. Places of equal value go in an order drawn from ``seed``.

    >>> import torch, seewhy
    >>> image, map = torch.ones(1, 2, 2), torch.tensor([[4.0, 3.0], [2.0, 1.0]])
    >>> float(seewhy.metrics.deletion(lambda x: x.sum((1, 2, 3)), image, map, fill=0.0, steps=4))
    2.0
    """
    scores = yield from curve(input, score, values, fill, steps=steps, seed=seed)
    return Attribution(area(scores), arrays={"curve": scores})
