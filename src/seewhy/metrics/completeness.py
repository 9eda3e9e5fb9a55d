"""Completeness: takes images and maps, asks for the score of the reference, gives how far the map's sum is from the
score that is to be shared out."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Score, Stream
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.sources import ChangedInput
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["completeness"]


@metric(
    MetricCard(
        name="completeness",
        paper="Sundararajan, Taly & Yan 2017, Axiomatic Attribution, arXiv:1703.01365, proposition 1",
        formula="|sum M - (S(x) - S(r))| / |S(x) - S(r)|",
        better="lower",
        range="0 or more",
        cost="2 forwards",
        fill="mean",
        use="whether a map that promises to share out the score does: values are no score units where it is large",
        fooled=("any map can be made to have the right sum", "means nothing of maps that promise no sum"),
        constant=True,
        as_computed=True,
    )
)
def completeness(input: Tensor, score: Tensor, values: Tensor, fill: Fill) -> Generator[Any, Any, Attribution]:
    """By which share a map's sum misses the difference of the score from that of the reference.

    ``input`` [B, C, *size], ``score`` [B], ``values`` [B, *size]; a number from 0 on for each map, NaN where the scores
    are equal; beside it the ``sum`` and the ``difference``. The reference is the fill, everywhere: give the baseline of
    the method.

    >>> import torch, seewhy
    >>> image = torch.tensor([[[1.0, 2.0]]])
    >>> seewhy.metrics.completeness(lambda x: x.sum((1, 2, 3)), image, torch.tensor([[1.0, 1.5]]), fill=0.0)
    0.16666666666666666
    """

    def reference(samples: Tensor, indices: Tensor) -> Tensor:
        return fill(input, samples, torch.zeros_like(input[samples][:, :1]))

    source = ChangedInput(1, reference, ("reference", fill.key))
    there = (yield Stream(source, (Score(),), Collect(len(input), 1)))[:, 0]
    difference, total = (score.to(there) - there).double(), values.double().flatten(1).sum(1).to(there.device)
    missed = (total - difference).abs() / difference.abs()
    missed = torch.where(difference != 0, missed, torch.full_like(missed, torch.nan))
    return Attribution(missed, arrays={"sum": total, "difference": difference})
