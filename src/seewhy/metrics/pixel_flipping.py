"""Pixel flipping: takes images and maps, asks for the scores while patches go, the strongest first, gives the mean fall
of the score."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Score, Stream
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.noise import fingerprint
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError
from seewhy.metrics._curves import ranks
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["pixel_flipping"]


@metric(
    MetricCard(
        name="pixel-flipping",
        paper="Bach et al. 2015, doi:10.1371/journal.pone.0130140; Samek et al. 2017, arXiv:1509.06321, eq. 12 (AOPC)",
        formula="mean over k = 0..L of S(x) - S(x without the k strongest patches)",
        better="higher",
        range="that of differences of scores",
        unit="{score}",
        cost="steps forwards",
        fill="mean",
        use="the fall of the score by the first places of a map, in patches as in the papers",
        fooled=("what patches leave behind (edges, odd colours) lowers scores by itself",),
    )
)
def pixel_flipping(
    input: Tensor, score: Tensor, values: Tensor, fill: Fill, *, patch: int = 9, steps: int = 100, seed: int = 0
) -> Generator[Any, Any, Attribution]:
    """How far the score falls on average while the ``steps`` strongest patches of ``patch`` pixels go, one by one.

    ``input`` [B, C, *size], ``score`` [B], ``values`` [B, *size]; a number for each map, in score units, and the
    ``curve`` [B, L + 1] of scores. A patch is as strong as the sum of the map in it; those at the far edges may be
    smaller. L is ``steps``, or the number of patches if there are fewer; ``patch=1`` flips pixels.

    >>> import torch, seewhy
    >>> image, map = torch.ones(1, 2, 2), torch.tensor([[4.0, 3.0], [2.0, 1.0]])
    >>> float(seewhy.metrics.pixel_flipping(lambda x: x.sum((1, 2, 3)), image, map, fill=0.0, patch=1))
    2.0
    """
    if patch < 1:
        raise UsageError(f"patch={patch!r}: the side of a patch in pixels, at least 1")
    if steps < 1:
        raise UsageError(f"steps={steps!r}: how many patches go, at least 1")
    size = values.shape[1:]
    number = _numbers(size, patch)
    count = int(number.max()) + 1
    sums = torch.zeros(len(values), count, dtype=torch.float64)
    sums.index_add_(1, number.flatten(), values.double().flatten(1).cpu())
    place = ranks(sums, seed)[:, number]
    last = min(steps, count)

    def hidden(samples: Tensor, indices: Tensor) -> Tensor:
        gone = indices.cpu().reshape(-1, *(1 for _ in size)) + 1
        visible = place[samples.cpu()] >= gone
        return fill(input, samples, visible[:, None].to(input))

    source = ChangedInput(last, hidden, ("patches", tuple(fingerprint(place.double().flatten(1))), fill.key))
    scores = yield Stream(source, (Score(),), Collect(len(input), last))
    whole = torch.cat([score[:, None].to(scores), scores], 1)
    return Attribution((score[:, None].to(whole) - whole).double().mean(1), arrays={"curve": whole})


def _numbers(size: torch.Size, patch: int) -> Tensor:
    """The number of the patch that each place lies in, [*size]."""
    number = torch.zeros(size, dtype=torch.long)
    for axis, length in enumerate(size):
        along = torch.arange(length) // patch
        shape = [-1 if n == axis else 1 for n in range(len(size))]
        number = number * (int(along[-1]) + 1) + along.reshape(shape)
    return number
