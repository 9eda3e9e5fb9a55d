"""LeGrad: takes, for every block, the gradient at its attention of the score of its own tokens, gives their positive
part on the grid."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attention
from seewhy.core.forward.attention import AttentionMaps
from seewhy.registry import Card, Need, method

__all__ = ["le_grad"]


@method(
    Card(
        name="le-grad",
        family="attention",
        paper="Bousselham et al. 2024, LeGrad, arXiv:2404.03214, eq. 6-8",
        formula="mean over blocks, heads and queries of max(dS_l/dA_l, 0), S_l the head's score of block l's tokens",
        cost="1 forward and 1 backward for every block",
        needs=frozenset({Need.ATTENTION}),
        at="input",
        positive=True,
        cuts="negative gradients",
        use="what a vision transformer looks at for one class, all depths together",
        caveats=(
            "has no sign",
            "the head was never trained on the tokens of earlier blocks",
            "the paper scales each map to [0, 1]; here values keep their units",
        ),
    )
)
def le_grad() -> Generator[Any, Any, Tensor]:
    """The positive sensitivity of every block's own score to its attention, averaged over blocks.

    Values [B, *grid] at the patches' resolution, not negative, in score units per unit of attention. A block's own
    score is what the model's head (final norm included) makes of that block's output. Raises `CapabilityError` for
    models without global attention.
    """
    attention: AttentionMaps = yield Attention(lens=True)
    rows = [gradient.clamp(min=0).mean((1, 2)) for gradient in attention.gradients]
    return attention.on_grid(torch.stack(rows).mean(0))
