"""Relevance rank: takes maps and masks of objects, gives how many of the strongest places are inside; runs no model."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.metrics._evidence import checked
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["relevance_rank"]


@metric(
    MetricCard(
        name="relevance-rank",
        paper="Arras, Osman & Samek 2022, CLEVR-XAI, arXiv:2003.07258, relevance rank accuracy",
        formula="share inside of the K largest of M, K the pixels of the mask",
        better="higher",
        range="0 to 1; a map that knows nothing gets the mask's share of the picture",
        use="whether the strongest places are on the object, however strong they are",
        fooled=("a network may rightly look beside the object: then a right map gets a low number",),
        constant=True,
    )
)
def relevance_rank(values: Tensor, mask: Tensor) -> Tensor:
    """Of as many pixels as a mask has, those with the largest values: the share of them inside, from 0 to 1.

    ``values`` [B, *size], ``mask`` [B, *size]; called with one map and one mask [H, W] it gives a float. Where the last
    of those places fall to pixels of equal value, each of these has the same share in them: what is given is the mean
    over all ways to break the tie. Raises `UsageError` for shapes that differ and an empty mask.

    >>> import numpy as np, seewhy
    >>> mask = np.array([[True, True], [False, False]])
    >>> seewhy.metrics.relevance_rank(np.array([[3.0, 1.0], [-5.0, 2.0]]), mask)
    0.5
    >>> seewhy.metrics.relevance_rank(np.zeros((2, 2)), np.array([[True, False], [False, False]]))
    0.25
    """
    flat, inside = checked(values, mask)
    shares = []
    for one, own in zip(flat, inside, strict=True):
        count = int(own.sum())
        last = one.topk(count).values[-1]
        above, level = one > last, one == last
        open_ = count - int(above.sum())
        shares.append((own[above].sum() + open_ * own[level].double().mean()) / count)
    return torch.stack(shares)
