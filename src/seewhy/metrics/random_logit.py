"""Random-logit test: takes maps of one class and of others, gives how alike they are; runs no model."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.metrics._likeness import rank_correlation
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["random_logit"]


@metric(
    MetricCard(
        name="random-logit",
        paper="Sixt, Granz & Landgraf 2020, When Explanations Lie, arXiv:1912.09818, section 4",
        formula="mean over other classes k of Spearman(M_c, M_k)",
        better="lower",
        range="-1 to 1; 1 is a map that does not depend on the class",
        use="whether a map is of this class, or of whatever is in the photo",
        fooled=("two classes that rest on the same places have like maps rightly: look at several",),
    )
)
def random_logit(values: Tensor, others: Tensor) -> Tensor:
    """How alike the map of a class is to those of other classes, by rank correlation, on average.

    ``values`` [B, *size], ``others`` [B, n, *size]: maps of the same images for other classes, drawn at random in the
    paper; a number from -1 to 1 for each image.

    >>> import numpy as np, seewhy
    >>> map = np.array([[3.0, 1.0], [2.0, 0.0]])
    >>> seewhy.metrics.random_logit(map, np.stack([2 * map, -map]))
    0.0
    """
    alike = [rank_correlation(values, others[:, n]) for n in range(others.shape[1])]
    return torch.stack(alike, 1).nanmean(1)
