"""D-RISE: takes the input and what hides it, asks how alike the detector's best proposal is to an object under random
soft masks, gives each pixel's covariance with that; keeps no mask."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution, Score, Targets
from seewhy.core.perturb.fills import Fill
from seewhy.methods._exceptions import BLURRED
from seewhy.methods._visible_covariance import covariance
from seewhy.registry import Card, Need, method

__all__ = ["d_rise"]


@method(
    Card(
        name="d-rise",
        family="perturbation",
        paper="Petsiuk et al. 2021, Black-box explanation of object detectors (D-RISE), arXiv:2006.03204, section 3; "
        "centred",
        formula="Cov(S, M_p) / E[M_p], S = max over proposals of IoU x cosine of class probabilities x objectness",
        excepts=BLURRED,
        cost="1 forward, and up to n",
        needs=frozenset({Need.STREAM}),
        at="input",
        fill="black",
        use="what makes a detector of any kind find this object, box and class",
        caveats=(
            "no detail finer than a cell of the masks",
            "thousands of forwards; n counts forwards",
            "of a target that is no object the score itself is followed, as in RISE",
        ),
    )
)
def d_rise(
    input: Tensor,
    fill: Fill,
    *,
    n: int = 5000,
    cells: int | Sequence[int] | None = None,
    p: float = 0.5,
    tolerance: float = 0.05,
    seed: int = 0,
) -> Generator[Any, Any, Attribution]:
    """How the likeness of the best proposal to an object varies with the visibility of each pixel under random masks.

    ``input`` [B, C, *size]; values [B, *size], signed. The object is the target, `Box` or `Candidate`: its box, and the
    class probabilities that the detector gives it in the picture itself where the class asked for is its best, else the
    class alone. The score of a mask is the most, over the proposals under it, of intersection over union with the box,
    cosine of class probabilities, and objectness (1 minus the share of no object in DETR; where a head gives none, its
    greatest class score, and where it tells one class only, that class and its score). The paper's map, the sum of
    masks weighted with their scores, is n E[M] times this one plus the same number everywhere. Masks, estimator,
    standard errors and seeds are those of `rise`, with the paper's 16 cells (or as many as a shorter axis has) and 5000
    masks at most; with equal parameters the two share every forward. Any other target is followed by its own score.
    Raises what `rise` does.

    >>> import torch, seewhy
    >>> class Head(torch.nn.Sequential):
    ...     def forward(self, x):
    ...         return super().forward(x) * torch.tensor([8.0] * 4 + [1.0] * 2)[:, None]  # boxes in pixels
    >>> net = Head(torch.nn.Conv2d(3, 6, 4, stride=4), torch.nn.Sigmoid(), torch.nn.Flatten(2))  # [B, 4 + 2, N]
    >>> target = seewhy.targets.Candidate(1, form="yolov8")
    >>> e = seewhy.explain(net, torch.rand(1, 3, 16, 16), method="d-rise", target=target, n=64, cells=3)
    >>> e.values.shape, e.cost.forwards
    ((16, 16), 65)
    """
    targets = yield Targets()
    want = Score(tuple(target.likeness() for target in targets))
    score = yield want
    return (
        yield from covariance(input, score, fill, want, n=n, cells=cells, usual=16, p=p, tolerance=tolerance, seed=seed)
    )
