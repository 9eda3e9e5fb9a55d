"""Entropy: takes maps, gives how spread out each is; runs no model."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.metrics._metric import MetricCard, metric

__all__ = ["entropy"]


@metric(
    MetricCard(
        name="entropy",
        paper="Bhatt, Weller & Moura 2020, arXiv:2005.00631, definition 4 (complexity); Shannon 1948",
        formula="- sum p log p / log n, p = |M| / sum |M|",
        better="",
        range="0 (one place has all) to 1 (all equal)",
        use="how spread out a map is, which is neither good nor bad alone",
        fooled=("noise is as spread out as an honest map of a whole scene",),
        constant=True,
    )
)
def entropy(values: Tensor) -> Tensor:
    """The entropy of the magnitudes as a share of the largest there can be: 1 where all are equal, 0 where one place
    has everything; NaN for zeros only.

    ``values`` [B, *size], their signs left out. Times log n it is the complexity of the paper, in nats.

    >>> import numpy as np, seewhy
    >>> seewhy.metrics.entropy(np.array([[1.0, 1.0], [1.0, 1.0]])), seewhy.metrics.entropy(np.array([[0.0, 4.0]]))
    (1.0, 0.0)
    """
    sizes = values.double().flatten(1).abs()
    total = sizes.sum(1, keepdim=True)
    shares = sizes / total.clamp(min=1e-300)
    found = torch.special.entr(shares).sum(1) / torch.log(
        torch.tensor(float(max(sizes.shape[1], 2)), dtype=torch.float64)
    )
    return torch.where(total[:, 0] > 0, found, torch.full_like(found, torch.nan))
