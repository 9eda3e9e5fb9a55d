"""Gini index: takes maps, gives how concentrated each is; runs no model."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.metrics._metric import MetricCard, metric

__all__ = ["gini"]


@metric(
    MetricCard(
        name="gini",
        paper="Hurley & Rickard 2009, arXiv:0811.4706; of maps: Chalasani et al. 2020, arXiv:1810.06583",
        formula="2 sum_k k a_k / (n sum a) - (n + 1) / n over the sorted magnitudes a_1 <= ... <= a_n",
        better="",
        range="0 (all equal) to 1 - 1 / n (one place has all)",
        use="how concentrated a map is, which is neither good nor bad alone",
        fooled=("noise of a few pixels is as concentrated as an object",),
        constant=True,
    )
)
def gini(values: Tensor) -> Tensor:
    """The Gini index of the magnitudes: 0 where all are equal, near 1 where one pixel has everything.

    ``values`` [B, *size], their signs left out; NaN for zeros only. Called with one map [H, W] it gives a float.

    >>> import numpy as np, seewhy
    >>> seewhy.metrics.gini(np.array([[1.0, 1.0], [1.0, 1.0]])), seewhy.metrics.gini(np.array([[0.0, 0.0], [0.0, 4.0]]))
    (0.0, 0.75)
    """
    sizes = values.double().flatten(1).abs().sort(1).values
    n, total = sizes.shape[1], sizes.sum(1)
    order = torch.arange(1, n + 1, dtype=torch.float64, device=sizes.device)
    found = 2 * (order * sizes).sum(1) / (n * total.clamp(min=1e-300)) - (n + 1) / n
    return torch.where(total > 0, found, torch.full_like(found, torch.nan))
