"""How concentrated a map is: takes a map, gives one number; runs no model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["gini"]


def gini(values: NDArray[Any]) -> float:
    """The Gini index of the magnitudes: 0 where all are equal, near 1 where one pixel has everything; NaN for zeros
    only.

    ``values`` of any shape, their signs left out. 2 sum_k k a_k / (n sum a) - (n + 1) / n over the sorted magnitudes
    a_1 <= ... <= a_n (Hurley & Rickard 2009; as a measure of maps: Chalasani et al. 2020, arXiv:1810.06583).

    >>> gini(np.array([1.0, 1.0, 1.0, 1.0])), gini(np.array([0.0, 0.0, 0.0, 4.0]))
    (0.0, 0.75)
    """
    sizes = np.sort(np.abs(np.nan_to_num(np.asarray(values, dtype=np.float64))), axis=None)
    n, total = sizes.size, sizes.sum()
    if not total > 0:
        return float("nan")
    return float(2 * (np.arange(1, n + 1) * sizes).sum() / (n * total) - (n + 1) / n)
