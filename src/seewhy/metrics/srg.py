"""Symmetric relevance gain: takes images and maps, asks for the scores while places go, the strongest or the weakest
first, gives how much longer the score lasts in the second case."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.perturb.fills import Fill
from seewhy.metrics._curves import area, curve
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["srg"]


@metric(
    MetricCard(
        name="srg",
        paper="Bluecher, Vielhaben & Strodthoff 2024, arXiv:2401.06654, section 3.3",
        formula="integral of S(weakest places hidden first) - integral of S(strongest places hidden first)",
        better="higher",
        range="that of differences of scores; 0 is what an order by chance gets",
        unit="{score}",
        cost="2 steps forwards",
        fill="mean",
        use="the first figure to look at: what hiding does by itself is in both areas, and goes out",
        fooled=("a map of everything that stands out in the photo does well where the object is all that stands out",),
    )
)
def srg(
    input: Tensor, score: Tensor, values: Tensor, fill: Fill, *, steps: int = 50, seed: int = 0
) -> Generator[Any, Any, Attribution]:
    """The area under the score while the weakest places go first, minus that while the strongest do.

    ``input`` [B, C, *size], ``score`` [B], ``values`` [B, *size]; a number for each map, in score units, and both
    curves [B, steps + 1], ``weakest_first`` and ``strongest_first``. A map and its negative have opposite numbers.

    >>> import torch, seewhy
    >>> image, map = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[4.0, 3.0]])
    >>> float(seewhy.metrics.srg(lambda x: x.sum((1, 2, 3)), image, map, fill=0.0, steps=2))
    0.5
    """
    first = yield from curve(input, score, values, fill, steps=steps, seed=seed)
    last = yield from curve(input, score, values, fill, steps=steps, seed=seed, weakest_first=True)
    return Attribution(area(last) - area(first), arrays={"weakest_first": last, "strongest_first": first})
