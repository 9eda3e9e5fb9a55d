"""Scores along a map's own order: takes images and maps, asks for the scores of what is left when places go, the
strongest or the weakest first, gives curves and the areas under them; what the curve metrics share."""

from __future__ import annotations

from collections.abc import Generator, Hashable
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Score, Stream
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.noise import fingerprint, uniform
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError

__all__ = ["along", "area", "curve", "fractions", "ranks"]


def fractions(steps: int) -> Tensor:
    """The shares of the area at which a curve is read: 0, 1 / steps, ..., 1. Raises `UsageError` for no steps."""
    if steps < 1:
        raise UsageError(f"steps={steps!r}: a whole number from 1 on, e.g. steps=50")
    return torch.arange(steps + 1, dtype=torch.float64) / steps


def ranks(values: Tensor, seed: int) -> Tensor:
    """At which place each pixel of maps [B, *size] comes when the largest go first, 0 to N - 1, [B, *size].

    Equal ones go in an order drawn from ``seed`` and the map itself: a map that knows nothing goes in a random one, the
    same in any company.
    """
    flat = values.detach().double().flatten(1)
    keys = [(key, 0) for key in fingerprint(flat)]
    shuffled = uniform(keys, (flat.shape[1],), family="ties", seed=seed).argsort(1).to(flat.device)
    order = shuffled.gather(1, flat.gather(1, shuffled).argsort(dim=1, descending=True, stable=True))
    places = torch.empty_like(order)
    places.scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
    return places.reshape(values.shape)


def along(
    input: Tensor, values: Tensor, fill: Fill, shares: Tensor, *, seed: int, weakest_first: bool = False
) -> Generator[Any, Any, Tensor]:
    """The scores when such ``shares`` [n] of the area have been hidden, [B, n], the strongest places first or the
    ``weakest_first``."""
    place = ranks(values, seed)
    count = place[0].numel()
    if weakest_first:
        place = count - 1 - place
    gone = (shares * count).round().long()

    def hidden(samples: Tensor, indices: Tensor) -> Tensor:
        left = gone[indices.cpu()].to(place.device)
        visible = place[samples.to(place.device)] >= left.reshape(-1, *(1 for _ in place.shape[1:]))
        return fill(input, samples, visible[:, None].to(input))

    name: Hashable = ("along", tuple(fingerprint(place.double().flatten(1))), fill.key, tuple(gone.tolist()))
    scores: Tensor = yield Stream(ChangedInput(len(gone), hidden, name), (Score(),), Collect(len(input), len(gone)))
    return scores


def curve(
    input: Tensor, score: Tensor, values: Tensor, fill: Fill, *, steps: int, seed: int, weakest_first: bool = False
) -> Generator[Any, Any, Tensor]:
    """`along` at the shares 0, 1 / steps, ..., 1: [B, steps + 1]."""
    scores = yield from along(input, values, fill, fractions(steps)[1:], seed=seed, weakest_first=weakest_first)
    return torch.cat([score[:, None].to(scores), scores], 1)


def area(curves: Tensor) -> Tensor:
    """The area under curves [B, n] over the share from 0 to 1, by trapezoids, [B]."""
    return torch.trapezoid(curves.double(), dx=1 / (curves.shape[1] - 1))
