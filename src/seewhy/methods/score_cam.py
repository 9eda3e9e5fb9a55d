"""Score-CAM: takes an activation, asks for the score of the image seen through each channel, gives the channels
weighted by it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.methods._channels import weighted_sum
from seewhy.methods._exceptions import SHOWN_ALONE, SOFTMAX
from seewhy.methods._masks import masked_increase, score_weights
from seewhy.methods._surrogates import guessed_increase
from seewhy.registry import Card, Need, method

__all__ = ["score_cam"]

#: the correlation with the exact map from which on a budget was enough
_ENOUGH = 0.98


@method(
    Card(
        name="score-cam",
        family="cam",
        paper="Wang et al. 2020, Score-CAM, arXiv:1910.01279, eq. 5-6 and algorithm 1",
        formula="sum_c w_c A_c, w = softmax_c(S(x * mask_c) - S(0)), mask_c upsampled, then scaled to [0, 1]",
        unit="activation",
        excepts={**SOFTMAX, **SHOWN_ALONE},
        cost="2 forwards and one for every channel; or budget + 2",
        needs=frozenset({Need.STREAM}),
        positive=True,
        use="a CAM without gradients",
        caveats=("hundreds of forwards, unless given a budget", "the softmax of raw scores lets a few channels decide"),
    )
)
def score_cam(
    input: Tensor, activation: Tensor, *, budget: int | None = None
) -> Generator[Any, Any, Tensor | Attribution]:
    """Channels weighted by the softmax of the scores of the image seen through them.

    ``input`` [B, C, *size], ``activation`` [B, K, *positions]; values [B, *positions]. Masks are streamed: nothing
    holds all of them. Constant channels mask everything alike, share the black input's score and need no forward.
    With ``budget`` no more than so many masked forwards are made: masks that look alike score alike, so those unlike
    each other are scored, then those that may score highest, and the others guessed from them. The status says what
    correlation with the exact map is to be expected, from guesses without a part of the scores; under 0.98 it is
    ``not-converged``. Raises `UsageError` for a budget under 4.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="score-cam", layer="1").values.shape
    (6, 6)
    """
    if budget is None:
        increase = yield from masked_increase(input, activation, "plain")
        return weighted_sum(score_weights(increase), activation)
    increase, guesses = yield from guessed_increase(input, activation, "plain", budget)
    expected = [guess.agreement(activation[b]) for b, guess in enumerate(guesses)]
    notes = tuple(
        f"{len(guess.measured)} of {len(guess.channels)} masks scored"
        + ("" if guess.exact else f", correlation with the exact map expected {share:.3f}")
        + ("" if share >= _ENOUGH else "; raise budget")
        for guess, share in zip(guesses, expected, strict=True)
    )
    values = weighted_sum(score_weights(increase), activation)
    return Attribution(values, converged=torch.tensor(expected) >= _ENOUGH, notes=notes)
