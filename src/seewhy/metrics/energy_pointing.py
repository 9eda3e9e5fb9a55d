"""Energy-based pointing game: takes maps and boxes of objects, gives the share of the evidence in the box; runs no
model."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.metrics._evidence import checked, positive_share
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["energy_pointing"]


@metric(
    MetricCard(
        name="energy-pointing",
        paper="Wang et al. 2020, Score-CAM, arXiv:1910.01279, section 4.3",
        formula="sum of max(M, 0) in the box / sum of max(M, 0)",
        better="higher",
        range="0 to 1; a map that knows nothing gets the box's share of the picture",
        use="how much of what a map shows is in the object's box",
        fooled=("large boxes: compare with the box's share of the picture",),
        constant=True,
        of_boxes=True,
    )
)
def energy_pointing(values: Tensor, mask: Tensor, *, around: bool = True) -> Tensor:
    """The share of the positive evidence in the box around a mask, from 0 to 1; NaN without positive evidence.

    ``values`` [B, *size], ``mask`` [B, *size], of which the smallest box ``around`` it counts, or, ``around=False``,
    the mask itself: for the boxes of several objects, around which a box holds what lies between them, too. Raises
    `UsageError` for shapes that differ and an empty mask.

    >>> import numpy as np, seewhy
    >>> mask = np.array([[True, False, False], [False, True, False]])
    >>> seewhy.metrics.energy_pointing(np.array([[1.0, 1.0, 2.0], [0.0, 0.0, 0.0]]), mask)
    0.5
    """
    flat, inside = checked(values, mask)
    if not around:
        return positive_share(flat, inside)
    boxes = torch.zeros_like(mask, dtype=torch.bool)
    for box, one in zip(boxes, mask, strict=True):
        inside = one.nonzero()
        low, high = inside.amin(0).tolist(), inside.amax(0).tolist()
        box[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
    return positive_share(flat, boxes.flatten(1))
