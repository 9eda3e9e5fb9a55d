"""Selectivity between classes: takes maps of a class, of others, and of noisy copies, gives whether classes differ more
than noise; runs no model."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.metrics._likeness import rank_correlation
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["selectivity"]


@metric(
    MetricCard(
        name="selectivity",
        paper="after Sixt, Granz & Landgraf 2020, arXiv:1912.09818, with the noise that they leave out",
        formula="mean Spearman(M_c, M_c of noisy copies) - mean Spearman(M_c, M_k)",
        better="higher",
        range="-2 to 2; 0 is a map that differs no more between classes than between two looks",
        use="whether maps of two classes differ more than their own noise",
        fooled=("a map of noise has 0 for both: look at stability beside it",),
    )
)
def selectivity(values: Tensor, others: Tensor, noisy: Tensor) -> Attribution:
    """How much more a map is like those of noisy copies of the image than like those of other classes.

    ``values`` [B, *size], ``others`` [B, n, *size] maps of other classes, ``noisy`` [B, m, *size] maps of the same
    class on copies of the image with a little noise; a number for each image, and both means.

    >>> import numpy as np, seewhy
    >>> map = np.array([[3.0, 1.0], [2.0, 0.0]])
    >>> round(seewhy.metrics.selectivity(map, -map[None], map[None] + 0.1), 6)
    2.0
    """
    between = torch.stack([rank_correlation(values, others[:, n]) for n in range(others.shape[1])], 1).nanmean(1)
    within = torch.stack([rank_correlation(values, noisy[:, n]) for n in range(noisy.shape[1])], 1).nanmean(1)
    return Attribution(within - between, arrays={"between": between, "within": within})
