"""Meaningful perturbation: takes the input, finds the smallest smooth mask whose hiding destroys the score."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.resampling import upsample
from seewhy.errors import UsageError
from seewhy.methods._exceptions import FIXED_REFERENCE, every
from seewhy.methods._optimised_masks import search
from seewhy.registry import Card, Need, method

__all__ = ["meaningful_perturbation"]


@method(
    Card(
        name="meaningful-perturbation",
        family="perturbation",
        paper="Fong & Vedaldi 2017, Interpretable Explanations of Black Boxes by Meaningful Perturbation, "
        "arXiv:1704.03296, eq. 3-5",
        formula="1 - argmin_m S(x hidden by m) + size mean(1 - m) + smoothness sum |grad m|^beta",
        unit="share of the mask",
        excepts={
            **FIXED_REFERENCE,
            **every(
                ("hidden-gradient", "saturation", "redundancy", "shattering", "interaction"),
                "a descent that begins with the whole picture goes nowhere, or the wrong way, by the gradient there",
            ),
            "blindness": "smooth masks have edges beside what counts",
        },
        cost="steps + 2 forwards, steps + 1 backwards, one after the other",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="input",
        positive=True,
        fill="blur",
        differentiable=False,
        use="the smallest part without which the class is gone",
        caveats=(
            "an optimisation: another start or penalty finds another mask",
            "the mask may destroy the score by what it adds (an edge, a blob), not by what it hides",
            "needs gradients, unlike the others of its family",
        ),
    )
)
def meaningful_perturbation(
    input: Tensor,
    fill: Fill,
    score: Tensor,
    *,
    cells: int = 28,
    steps: int = 300,
    size: float = 1.0,
    smoothness: float = 0.2,
    beta: float = 3.0,
    learning_rate: float = 0.1,
) -> Generator[Any, Any, Attribution]:
    """How much of each place has to be hidden for the score to go, as little as possible in all.

    ``input`` [B, C, *size]; values [B, *size] in [0, 1], 1 where everything is hidden. The mask has ``cells`` along
    each axis (at most the input's own) and is upsampled linearly. ``size`` weighs the hidden share, ``smoothness`` the
    mask's differences to the power ``beta``; the score is in units of what hiding everything costs. Raises `UsageError`
    for negative weights or no cells. An interrupted run gives the mask it has.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="meaningful-perturbation", steps=3).values.shape
    (8, 8)
    """
    if cells < 1 or size < 0 or smoothness < 0 or not beta > 0:
        raise UsageError(
            f"cells={cells}, size={size}, smoothness={smoothness}, beta={beta}: at least one cell, no negative weight, "
            "beta positive, e.g. 28, 1.0, 0.2, 3.0"
        )
    shape = tuple(input.shape[2:])
    grid = tuple(min(cells, n) for n in shape)

    def penalty(kept: Tensor, step: int) -> Tensor:
        rough = sum(kept.diff(dim=axis).abs().pow(beta).flatten(1).sum(1) for axis in range(2, kept.ndim))
        return size * (1 - kept).flatten(1).mean(1) + smoothness * rough / max(grid)

    start = torch.ones((len(input), 1, *grid), dtype=input.dtype, device=input.device)
    searched = yield from search(
        input, fill, score, start, lambda kept: upsample(kept, shape), penalty,
        keep=False, steps=steps, learning_rate=learning_rate,
    )  # fmt: skip
    return Attribution((1 - searched.mask)[:, 0], notes=searched.notes(steps), finished=searched.finished)
