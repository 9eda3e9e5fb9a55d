"""RISE: takes the input and what hides it, asks for scores under random soft masks, gives each pixel's covariance with
the score; keeps no mask."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution, Score
from seewhy.core.perturb.fills import Fill
from seewhy.methods._exceptions import BLURRED, every
from seewhy.methods._visible_covariance import covariance
from seewhy.registry import Card, Need, method

__all__ = ["rise"]


@method(
    Card(
        name="rise",
        family="perturbation",
        paper="Petsiuk, Das & Saenko 2018, RISE, arXiv:1806.07421, eq. 6 and section 3.2; centred",
        formula="Cov(S(x with mask M), M_p) / E[M_p]: the paper's map minus the mean score",
        unit="{score}",
        excepts={**BLURRED, **every(("sign", "cancellation"), BLURRED["proportion"])},
        cost="1 forward, and up to n",
        needs=frozenset({Need.STREAM}),
        at="input",
        fill="black",
        use="soft maps of any model that can be called, with a standard error for every pixel",
        caveats=(
            "no detail finer than a cell of the masks",
            "hundreds of forwards; n counts forwards",
        ),
    )
)
def rise(
    input: Tensor,
    score: Tensor,
    fill: Fill,
    *,
    n: int = 4000,
    cells: int | Sequence[int] | None = None,
    p: float = 0.5,
    tolerance: float = 0.05,
    seed: int = 0,
) -> Generator[Any, Any, Attribution]:
    """How the score varies with the visibility of each pixel under random masks.

    ``input`` [B, C, *size] with one to three axes, ``score`` [B]; values [B, *size], signed, in score units. A mask is
    a grid of ``cells`` along each axis (one number or one for each; left out, 7, or as many as a shorter axis has),
    each visible with probability ``p``, enlarged linearly to cells + 1 cells of the image's and cut out at a random
    place. The paper's map, sum_i S_i M_i / (n E[M]), is the mean score plus Cov(S, M) / E[M]: without the mean it ranks
    pixels alike and varies far less. What a linear model of the score explains is taken from the exact covariance of
    the masks, and only the rest is sampled (a control variate: the expectation stays the same). With p = 0.5 masks come
    in pairs, one the complement of the other. The standard error, which is returned, is that of the mean over pairs
    (over masks for other ``p``), each left out of the linear model that it is compared with. ``n`` counts forwards;
    fewer are made once the standard error is under ``tolerance`` of the map's range. Raises `UsageError` for a budget
    under 4, cells that do not fit, a ``p`` that is not between 0 and 1.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 8, 8), method="rise", n=64, cells=3)
    >>> e.values.shape, e.error.shape, e.cost.forwards
    ((8, 8), (8, 8), 65)
    """
    want = Score()
    return (
        yield from covariance(input, score, fill, want, n=n, cells=cells, usual=7, p=p, tolerance=tolerance, seed=seed)
    )
