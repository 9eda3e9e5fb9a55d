"""Images seen through their maps: takes images and maps, asks for the scores of the images times the maps, scaled to 0
to 1; what average drop, increase and gain share."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Score, Stream
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.noise import fingerprint
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError

__all__ = ["seen_through"]


#: by how much rounding may take a probability beyond 0 or 1
_ROUNDING = 1e-3


def seen_through(input: Tensor, values: Tensor, fill: Fill, score: Tensor) -> Generator[Any, Any, Tensor]:
    """The scores [B] of the images where the positive part of each map, divided by its maximum, shows them. Raises
    `UsageError` where the ``score`` [B] of a whole image is no probability."""
    odd = (score < -_ROUNDING) | (score > 1 + _ROUNDING)
    if bool(odd.any()):
        raise UsageError(
            f"this metric is about probabilities, from 0 to 1, and predict gave {float(score[odd][0]):.4g}: "
            "lambda x: net(x).softmax(1)[:, 3]"
        )
    positive = values.clamp(min=0)
    highest = positive.flatten(1).amax(1).reshape(-1, *(1 for _ in values.shape[1:]))
    shown = (positive / torch.where(highest > 0, highest, torch.ones_like(highest)))[:, None].to(input)

    def masked(samples: Tensor, indices: Tensor) -> Tensor:
        return fill(input, samples, shown[samples])

    name = ("seen through", tuple(fingerprint(shown.flatten(1))), fill.key)
    scores: Tensor = (yield Stream(ChangedInput(1, masked, name), (Score(),), Collect(len(input), 1)))[:, 0]
    return scores
