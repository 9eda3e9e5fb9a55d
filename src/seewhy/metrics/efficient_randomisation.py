"""Efficient randomisation test: takes maps of a model and of the same with all weights drawn anew, gives the rise of
their entropy; runs no model."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.metrics._metric import MetricCard, metric

__all__ = ["efficient_randomisation"]

#: bins of a map's histogram
_BINS = 100


@metric(
    MetricCard(
        name="efficient-randomisation",
        paper="Hedstrom et al. 2024, A Fresh Look at Sanity Checks for Saliency Maps, arXiv:2405.02383, eq. 6",
        formula="(H(M with weights drawn anew) - H(M)) / H(M), H the entropy of the map's histogram",
        better="higher",
        range="above -1; 0 is a map that is as orderly without what was learnt",
        use="the randomisation test at the price of one more map, free of a measure of likeness",
        fooled=("a histogram knows no places: a map that only moved does not rise",),
    )
)
def efficient_randomisation(values: Tensor, others: Tensor) -> Tensor:
    """By which share the entropy of a map's histogram rises when all weights are drawn anew, on average.

    ``values`` [B, *size], ``others`` [B, n, *size]: maps of the same images and targets, of models with all weights
    drawn anew; a number for each image. Histograms have 100 bins from the map's smallest to its largest value.

    >>> import numpy as np, seewhy
    >>> map = np.array([[0.0, 0.0], [0.0, 1.0]])
    >>> seewhy.metrics.efficient_randomisation(map, np.arange(4.0).reshape(1, 2, 2)) > 1
    True
    """
    own = _entropy(values)
    rise = torch.stack([(_entropy(others[:, n]) - own) / own for n in range(others.shape[1])], 1)
    return rise.nanmean(1)


def _entropy(maps: Tensor) -> Tensor:
    found = []
    for one in maps.double().flatten(1).cpu():
        shares = torch.histc(one, _BINS) / one.numel()
        found.append(torch.special.entr(shares).sum())
    return torch.stack(found).to(maps.device)
