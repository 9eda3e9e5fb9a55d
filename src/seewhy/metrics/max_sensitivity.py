"""Max-sensitivity: takes what explains and images, gives how much the map changes at most when the image hardly does;
runs what explains."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seewhy.core.perturb.noise import fingerprint, uniform
from seewhy.errors import UsageError
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["max_sensitivity"]


@metric(
    MetricCard(
        name="max-sensitivity",
        paper="Yeh et al. 2019, arXiv:1901.09392, definition 3.1",
        formula="max over |d| <= radius of ||M(x + d) - M(x)|| / ||M(x)||",
        better="lower",
        range="0 or more",
        cost="n + 1 maps",
        use="whether a map would be another one for a photo that looks the same",
        fooled=("a map that never changes, whatever the image, scores a perfect 0: look at a control beside it",),
        constant=True,
    )
)
def max_sensitivity(
    explain: Callable[[Tensor], Tensor], input: Tensor, *, n: int = 10, radius: float = 0.02, seed: int = 0
) -> Tensor:
    """The largest change of a map, as a share of its length, over ``n`` changes of the image by up to ``radius``.

    ``explain`` takes inputs [N, C, *size] and gives maps [N, *positions]; ``input`` [B, C, *size]; a number from 0 on
    for each image. Changes are uniform between -radius and radius in input units, each pixel by itself, drawn from the
    image's own values. NaN for a map of zeros.

    >>> import torch, seewhy
    >>> round(seewhy.metrics.max_sensitivity(lambda x: x.sum(1), torch.ones(1, 4, 4)), 2) <= 0.02
    True
    """
    if n < 1 or radius == 0:
        raise UsageError(f"n={n!r}, radius={radius!r}: one change or more, of a size above 0")
    keys = fingerprint(input)
    first = torch.as_tensor(explain(input)).double().flatten(1)
    length = first.square().sum(1).sqrt()
    largest = torch.zeros_like(length)
    for i in range(n):
        drawn = uniform([(key, i) for key in keys], tuple(input.shape[1:]), family="sensitivity", seed=seed).to(input)
        changed = torch.as_tensor(explain(input + radius * (2 * drawn - 1))).double().flatten(1)
        largest = torch.maximum(largest, (changed - first).square().sum(1).sqrt())
    tiny = torch.finfo(torch.float64).tiny
    return torch.where(length > 0, largest / length.clamp(min=tiny), torch.full_like(length, torch.nan))
