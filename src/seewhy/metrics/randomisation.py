"""Model-parameter randomisation test: takes maps of a model and of the same with weights drawn anew, gives how alike
they are; runs no model."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.metrics._likeness import rank_correlation
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["randomisation"]


@metric(
    MetricCard(
        name="randomisation",
        paper="Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv:1810.03292, section 3",
        formula="mean over the cascade of Spearman(M, M with weights drawn anew)",
        better="lower",
        range="-1 to 1; 1 is a map that does not depend on what was learnt",
        use="whether a map depends on what the model has learnt",
        fooled=(
            "a map of noise passes: it must show something besides",
            "smooth maps are alike by chance: see controls",
        ),
    )
)
def randomisation(values: Tensor, others: Tensor) -> Attribution:
    """How alike a map is to those of the model with more and more of its weights drawn anew, from the last layer on.

    ``values`` [B, *size], ``others`` [B, n, *size]: maps of the same images and targets, one for each step of the
    cascade; a number from -1 to 1 for each image, and the ``cascade`` [B, n] of rank correlations.

    >>> import numpy as np, seewhy
    >>> map = np.array([[3.0, 1.0], [2.0, 0.0]])
    >>> seewhy.metrics.randomisation(map, np.stack([map, -map]))
    0.0
    """
    cascade = torch.stack([rank_correlation(values, others[:, n]) for n in range(others.shape[1])], 1)
    return Attribution(cascade.nanmean(1), arrays={"cascade": cascade})
