"""Grid pointing game: takes maps of mosaics and the cells of their classes, gives the share of the evidence in them;
runs no model."""

from __future__ import annotations

from torch import Tensor

from seewhy.metrics._evidence import checked, positive_share
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["grid_pointing"]


@metric(
    MetricCard(
        name="grid-pointing",
        paper="Boehle, Fritz & Schiele 2021, arXiv:2104.00032, section 4.1; Rao et al. 2022, arXiv:2205.10435",
        formula="sum of max(M, 0) in the class's own cell / sum of max(M, 0)",
        better="higher",
        range="0 to 1; chance is 1 over the number of cells",
        use="whether evidence for a class is where the class is, without a mask from anybody",
        fooled=("methods that know only the whole of a layer: the cells must not see each other there",),
        constant=True,
    )
)
def grid_pointing(values: Tensor, mask: Tensor) -> Tensor:
    """The share of the positive evidence that lies in the cell of a mosaic that shows the class, from 0 to 1.

    ``values`` [B, H, W] maps of mosaics of images that the model is sure of, ``mask`` [B, H, W] the cell of the class
    that is explained. NaN without positive evidence.

    >>> import numpy as np, seewhy
    >>> cell = np.array([[True, False], [False, False]])
    >>> seewhy.metrics.grid_pointing(np.array([[3.0, 1.0], [-2.0, 0.0]]), cell)
    0.75
    """
    return positive_share(*checked(values, mask))
