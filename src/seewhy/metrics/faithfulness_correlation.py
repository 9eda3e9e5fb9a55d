"""Faithfulness correlation: takes images and maps, asks for the scores without random sets of places, gives how well
the map's sum over a set goes with the fall of the score."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Score, Stream
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.noise import fingerprint, uniform
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError
from seewhy.metrics._likeness import pearson
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["faithfulness_correlation"]


@metric(
    MetricCard(
        name="faithfulness-correlation",
        paper="Bhatt, Weller & Moura 2020, arXiv:2005.00631, definition 3",
        formula="Pearson over random sets of (sum of M over the set, S(x) - S(x without the set))",
        better="higher",
        range="-1 to 1",
        cost="n forwards",
        fill="mean",
        use="whether what a map gives a set of places goes with what they are worth",
        fooled=("sets of many places have nearly equal sums: the correlation is mostly noise then",),
    )
)
def faithfulness_correlation(
    input: Tensor, score: Tensor, values: Tensor, fill: Fill, *, n: int = 100, size: int = 224, seed: int = 0
) -> Generator[Any, Any, Attribution]:
    """The correlation of a map's sum over random sets of places with the fall of the score without them.

    ``input`` [B, C, *size], ``score`` [B], ``values`` [B, *size]; a number from -1 to 1 for each map, NaN where either
    does not vary; beside it the ``sums`` and ``falls`` [B, n]. A set has ``size`` places, or half of them all if that
    is less. Sets are drawn from each image's own values.

    >>> import torch, seewhy
    >>> image = torch.rand(1, 4, 4)
    >>> score = lambda x: x.sum((1, 2, 3))
    >>> round(float(seewhy.metrics.faithfulness_correlation(score, image, image[0], fill=0.0)), 6)
    1.0
    """
    for name, number in (("n", n), ("size", size)):
        if number < 1 + (name == "n"):
            raise UsageError(f"{name}={number!r}: a whole number of {'sets, at least 2' if name == 'n' else 'places'}")
    places = values[0].numel()
    some = max(1, min(size, places // 2))
    keys = fingerprint(input)

    def chosen(samples: Tensor, indices: Tensor) -> Tensor:
        pairs = [(keys[b], i) for b, i in zip(samples.tolist(), indices.tolist(), strict=True)]
        drawn = uniform(pairs, (places,), family="faithfulness", seed=seed)
        sets = torch.zeros(len(pairs), places, dtype=torch.bool)
        sets.scatter_(1, drawn.topk(some, largest=False).indices, True)
        return sets.reshape(-1, *values.shape[1:])

    def hidden(samples: Tensor, indices: Tensor) -> Tensor:
        return fill(input, samples, (~chosen(samples, indices))[:, None].to(input))

    source = ChangedInput(n, hidden, ("faithfulness", n, some, seed, fill.key))
    scores = yield Stream(source, (Score(),), Collect(len(input), n))
    falls = (score[:, None].to(scores) - scores).double().cpu()
    sums = torch.empty_like(falls)
    for b, own in enumerate(values.double().cpu()):
        for i in range(n):
            sums[b, i] = own[chosen(torch.tensor([b]), torch.tensor([i]))[0]].sum()
    return Attribution(pearson(sums, falls), arrays={"sums": sums, "falls": falls})
