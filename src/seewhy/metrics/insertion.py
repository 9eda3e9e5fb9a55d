"""Insertion: takes images and maps, asks for the scores while the strongest places appear, gives the area under
them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.perturb.fills import Fill
from seewhy.metrics._curves import area, curve
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["insertion"]


@metric(
    MetricCard(
        name="insertion",
        paper="Petsiuk, Das & Saenko 2018, RISE, arXiv:1806.07421, section 4.2",
        formula="integral over f from 0 to 1 of S(blurred x with the share f of strongest places shown)",
        better="higher",
        range="that of the score",
        unit="{score}",
        cost="steps forwards",
        fill="blur",
        use="whether the places that a map shows are enough for the score",
        fooled=(
            "a blur still shows the object's colours and outline: much of the score may be there at once",
            "favours maps in one piece, whatever they show",
        ),
    )
)
def insertion(
    input: Tensor, score: Tensor, values: Tensor, fill: Fill, *, steps: int = 100, seed: int = 0
) -> Generator[Any, Any, Attribution]:
    """The area under the score while the places of a map appear out of a blur, the strongest first.

    ``input`` [B, C, *size], ``score`` [B], ``values`` [B, *size]; a number for each map, in score units, and the
    ``curve`` [B, steps + 1] at the shares 0, 1 / steps, ..., 1 of the area. Shown are those that are hidden last where
    the weakest go first, so that it shares its passes with `srg` of the same fill.

    >>> import torch, seewhy
    >>> image, map = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[4.0, 3.0]])
    >>> float(seewhy.metrics.insertion(lambda x: x.sum((1, 2, 3)), image, map, fill=0.0, steps=2))
    0.75
    """
    scores = yield from curve(input, score, values, fill, steps=steps, seed=seed, weakest_first=True)
    appearing = scores.flip(1)
    return Attribution(area(appearing), arrays={"curve": appearing})
