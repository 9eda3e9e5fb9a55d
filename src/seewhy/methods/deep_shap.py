"""DeepSHAP: takes several references, compares every activation with each of them as DeepLIFT does, gives the mean."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Multipliers
from seewhy.errors import UsageError
from seewhy.methods._exceptions import FIXED_REFERENCE
from seewhy.methods._references import noise_references
from seewhy.registry import Card, Need, method

__all__ = ["deep_shap"]


@method(
    Card(
        name="deep-shap",
        family="propagation",
        paper="Lundberg & Lee 2017, A Unified Approach to Interpreting Model Predictions, arXiv:1705.07874, section "
        "4.2; several references as Chen, Lundberg & Lee 2022, arXiv:2105.00108",
        formula="mean over references x' of m (x - x'), m DeepLIFT's multipliers between x' and x",
        unit="{score}",
        excepts=FIXED_REFERENCE,
        cost="1 forward, then for every reference 2 forwards and 1 backward",
        needs=frozenset({Need.RELEVANCE}),
        reduce="sum",
        sums="the score's difference from the references' mean score",
        use="DeepLIFT against a data set instead of one baseline",
        caveats=(
            "the references are the question: against what is this evidence?",
            "without references it compares with uniform noise",
            "what DeepLIFT's rescale rule does not cover keeps its gradient; the residual says by how much the sum "
            "misses",
        ),
    )
)
def deep_shap(
    input: Tensor,
    bounds: tuple[Tensor, Tensor],
    references: Tensor | None,
    *,
    n: int = 16,
    seed: int = 0,
    multiply_by_inputs: bool = True,
) -> Generator[Any, Any, Attribution]:
    """The mean of DeepLIFT's values over several baselines.

    ``references`` [N, C, *size] (``references=``: photos or inputs; ``n`` draws of noise between the smallest and
    largest possible input if there are none); values [B, C, *positions] of the input or of a layer, signed, in score
    units. ``error`` [B] is their sum less the difference of the score from the references' mean score.
    ``multiply_by_inputs=False`` gives the mean of the multipliers, in score units per unit of the place. Raises
    `UsageError` for an ``n`` below 1.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2), torch.nn.Sigmoid())
    >>> others = torch.rand(5, 3, 4, 4)
    >>> seewhy.explain(net, torch.rand(3, 4, 4), method="deep-shap", references=others).values.shape
    (4, 4)
    """
    if n < 1:
        raise UsageError(f"n={n}: at least one reference is compared with, e.g. n=16")
    starts = noise_references(input, bounds, n, seed) if references is None else references.to(input)[None]
    count = starts.shape[1]
    shares: Tensor | None = None
    rises = torch.zeros(len(input), dtype=input.dtype, device=input.device)
    for index in range(count):
        lift = yield Multipliers(baseline=starts[:, index].expand_as(input))
        share = (lift.multipliers * lift.difference if multiply_by_inputs else lift.multipliers) / count
        shares, rises = share if shares is None else shares + share, rises + lift.rise / count
    assert shares is not None
    if not multiply_by_inputs:
        return Attribution(shares)
    return Attribution(shares, error=shares.flatten(1).sum(1) - rises, total=rises)
