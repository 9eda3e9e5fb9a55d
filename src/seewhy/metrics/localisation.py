"""Where evidence lies: takes a map and the mask of an object, gives the share inside; runs no model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import UsageError

__all__ = ["relevance_mass", "relevance_rank"]


def relevance_mass(values: NDArray[Any], mask: NDArray[Any]) -> float:
    """The share of the positive evidence that lies inside ``mask``, from 0 to 1; NaN without positive evidence.

    ``values`` and ``mask`` [H, W]. A map that knows nothing gets the mask's own share of the picture. Arras, Osman &
    Samek 2022, CLEVR-XAI, arXiv:2003.07258, relevance mass accuracy. Raises `UsageError` for shapes that differ and
    an empty mask.

    >>> relevance_mass(np.array([[3.0, 1.0], [-5.0, 0.0]]), np.array([[True, False], [True, False]]))
    0.75
    """
    values, mask = _checked(values, mask)
    positive = np.maximum(values, 0)
    total = positive.sum()
    return float(positive[mask].sum() / total) if total > 0 else float("nan")


def relevance_rank(values: NDArray[Any], mask: NDArray[Any]) -> float:
    """Of as many pixels as ``mask`` has, those with the largest values: the share of them inside, from 0 to 1.

    ``values`` and ``mask`` [H, W]. Where the last of those places fall to pixels of equal value, each of these has the
    same share in them: what is given is the mean over all ways to break the tie, so that a map that knows nothing gets
    the mask's own share of the picture. Arras, Osman & Samek 2022, relevance rank accuracy. Raises what
    `relevance_mass` raises.

    >>> relevance_rank(np.array([[3.0, 1.0], [-5.0, 2.0]]), np.array([[True, True], [False, False]]))
    0.5
    >>> relevance_rank(np.zeros((2, 2)), np.array([[True, False], [False, False]]))
    0.25
    """
    values, mask = _checked(values, mask)
    count = int(mask.sum())
    last = np.partition(values, values.size - count, axis=None)[values.size - count]
    above, level = values > last, values == last
    open_ = count - int(above.sum())
    return float((mask[above].sum() + open_ * mask[level].mean()) / count)


def _checked(values: NDArray[Any], mask: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, mask = np.asarray(values, dtype=np.float64), np.asarray(mask).astype(bool)
    if values.shape != mask.shape or values.ndim != 2:
        raise UsageError(f"a map {values.shape} and a mask {mask.shape}: both [H, W], of one size")
    if not mask.any():
        raise UsageError("the mask is empty: no pixel of it is inside")
    return np.nan_to_num(values), mask
