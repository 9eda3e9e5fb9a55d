"""Intersection over union: takes maps and masks of objects, gives how well the strongest places are the object; runs no
model."""

from __future__ import annotations

from torch import Tensor

from seewhy.errors import UsageError
from seewhy.metrics._evidence import checked
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["iou"]


@metric(
    MetricCard(
        name="iou",
        paper="Zhou et al. 2016, CAM, arXiv:1512.04150, section 3.2 (threshold); Jaccard 1901",
        formula="|T and mask| / |T or mask|, T where M > threshold times its maximum",
        better="higher",
        range="0 to 1",
        use="how well a map cut at a threshold is the object",
        fooled=("depends on the threshold more than on the map",),
        constant=True,
    )
)
def iou(values: Tensor, mask: Tensor, *, threshold: float = 0.2) -> Tensor:
    """The places above a share of a map's maximum, and a mask: how much of both together they have in common, 0 to 1.

    ``values`` [B, *size], ``mask`` [B, *size]; 0 for a map without positive evidence. ``threshold`` is the share, 0.2
    in the paper. Raises `UsageError` for shapes that differ, an empty mask and a threshold that is no share.

    >>> import numpy as np, seewhy
    >>> mask = np.array([[True, True], [False, False]])
    >>> seewhy.metrics.iou(np.array([[3.0, 0.1], [2.0, 0.0]]), mask)
    0.3333333333333333
    """
    if not 0 <= threshold < 1:
        raise UsageError(f"threshold={threshold!r}: a share of the largest value, from 0 to below 1")
    flat, inside = checked(values, mask)
    cut = (flat > threshold * flat.amax(1, keepdim=True)) & (flat > 0)
    return (cut & inside).sum(1).double() / (cut | inside).sum(1)
