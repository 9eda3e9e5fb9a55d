"""Pointing game: takes maps and masks of objects, gives whether the strongest place is inside; runs no model."""

from __future__ import annotations

from torch import Tensor

from seewhy.metrics._evidence import checked
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["pointing"]


@metric(
    MetricCard(
        name="pointing",
        paper="Zhang et al. 2018, Top-down Neural Attention by Excitation Backprop, arXiv:1608.00507, section 4.2",
        formula="1 if the largest of M is within tolerance of the mask, else 0",
        better="higher",
        range="0 to 1; a map that knows nothing gets the mask's share of the picture",
        use="whether the first place to look at is on the object; the mean over images is the hit rate",
        fooled=("a bump in the middle hits whatever photographers put there", "says nothing of all other places"),
        constant=True,
    )
)
def pointing(values: Tensor, mask: Tensor, *, tolerance: int = 0) -> Tensor:
    """Whether the strongest place of a map is inside a mask, 1 or 0; between them where several are equally strong.

    ``values`` [B, *size], ``mask`` [B, *size]. Of several strongest places the share inside counts, which is the mean
    over all ways to choose one. ``tolerance`` in pixels (15 in the paper) makes the mask larger by a square around each
    of its pixels. Raises `UsageError` for shapes that differ, an empty mask, and a tolerance below 0.

    >>> import numpy as np, seewhy
    >>> mask = np.array([[True, True], [False, False]])
    >>> seewhy.metrics.pointing(np.array([[3.0, 1.0], [3.0, 2.0]]), mask)
    0.5
    """
    if tolerance:
        mask = _grown(mask, tolerance)
    flat, inside = checked(values, mask)
    strongest = flat == flat.amax(1, keepdim=True)
    return (strongest & inside).sum(1).double() / strongest.sum(1)


def _grown(mask: Tensor, by: int) -> Tensor:
    grown = mask.bool()
    for axis in range(1, mask.ndim):
        wider = grown.clone()
        for step in range(1, min(by, mask.shape[axis] - 1) + 1):
            ahead, behind = (
                grown.narrow(axis, step, mask.shape[axis] - step),
                grown.narrow(axis, 0, mask.shape[axis] - step),
            )
            wider.narrow(axis, 0, mask.shape[axis] - step).logical_or_(ahead)
            wider.narrow(axis, step, mask.shape[axis] - step).logical_or_(behind)
        grown = wider
    return grown
