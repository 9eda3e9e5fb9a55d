"""ROAD: takes images and maps, asks for the scores of images of which the strongest or the weakest places were imputed,
gives how much better the score stands the second."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.perturb.imputation import Imputed
from seewhy.errors import UsageError
from seewhy.metrics._curves import along, fractions
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["road"]


@metric(
    MetricCard(
        name="road",
        paper="Rong et al. 2022, A Consistent and Efficient Evaluation Strategy, arXiv:2202.00449",
        formula="mean over shares f of S(weakest f imputed) - S(strongest f imputed)",
        better="higher",
        range="that of differences of scores; 0 is what an order by chance gets",
        unit="{score}",
        cost="2 (steps - 1) forwards, and a linear system for each",
        use="as srg, where what hides things leaves no edges and no colour that tell what was hidden",
        fooled=("what is small and thin is painted over from its surroundings, what is large is not",),
    )
)
def road(
    input: Tensor, values: Tensor, *, steps: int = 10, noise: float = 0.01, seed: int = 0
) -> Generator[Any, Any, Attribution]:
    """By how much more the score is where the weakest places were imputed than where the strongest were.

    The mean over the shares 1 / steps, ..., 1 - 1 / steps. ``input`` [B, C, H, W], ``values`` [B, H, W]; a number for
    each map, in score units, and both curves [B, steps - 1], ``weakest_first`` and ``strongest_first``. ``noise`` in
    input units is added to what is imputed. Half of it is what pytorch-grad-cam calls ROADCombined. Raises `UsageError`
    for less than two steps.

    >>> import torch, seewhy
    >>> image, map = torch.zeros(1, 8, 8), torch.zeros(8, 8)
    >>> image[0, 2:4, 2:4] = map[2:4, 2:4] = 1
    >>> float(seewhy.metrics.road(lambda x: x.sum((1, 2, 3)), image, map, noise=0.0)) > 1
    True
    """
    if steps < 2:
        raise UsageError(f"steps={steps!r}: at least 2, e.g. steps=10 for the shares .1 to .9")
    fill = Imputed(input, noise, seed)
    shares = fractions(steps)[1:-1]
    first = yield from along(input, values, fill, shares, seed=seed)
    last = yield from along(input, values, fill, shares, seed=seed, weakest_first=True)
    return Attribution((last - first).double().mean(1), arrays={"weakest_first": last, "strongest_first": first})
