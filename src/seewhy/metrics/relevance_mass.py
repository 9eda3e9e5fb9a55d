"""Relevance mass: takes maps and masks of objects, gives the share of the positive evidence inside; runs no model."""

from __future__ import annotations

from torch import Tensor

from seewhy.metrics._evidence import checked, positive_share
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["relevance_mass"]


@metric(
    MetricCard(
        name="relevance-mass",
        paper="Arras, Osman & Samek 2022, CLEVR-XAI, arXiv:2003.07258, relevance mass accuracy",
        formula="sum of max(M, 0) inside / sum of max(M, 0)",
        better="higher",
        range="0 to 1; a map that knows nothing gets the mask's share of the picture",
        use="how much of what a map shows is on the object",
        fooled=("a network may rightly look beside the object: then a right map gets a low number",),
        constant=True,
    )
)
def relevance_mass(values: Tensor, mask: Tensor) -> Tensor:
    """The share of the positive evidence that lies inside a mask, from 0 to 1; NaN without positive evidence.

    ``values`` [B, *size], ``mask`` [B, *size]; called with one map and one mask [H, W] it gives a float. Energy-based
    pointing game is another name of it (Wang et al. 2020, Score-CAM, arXiv:1910.01279, section 4.3, there of boxes).
    Raises `UsageError` for shapes that differ and an empty mask.

    >>> import numpy as np, seewhy
    >>> seewhy.metrics.relevance_mass(np.array([[3.0, 1.0], [-5.0, 0.0]]), np.array([[True, False], [True, False]]))
    0.75
    """
    return positive_share(*checked(values, mask))
