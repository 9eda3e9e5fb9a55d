"""Gradient attention: takes attention weights and their gradients, gives the relevance of each patch for the target."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attention
from seewhy.core.forward.attention import AttentionMaps
from seewhy.methods._tokens import read_out
from seewhy.registry import Card, Need, method

__all__ = ["gradient_attention"]


@method(
    Card(
        name="gradient-attention",
        family="attention",
        paper="Chefer, Gur & Wolf 2021, Generic Attention-model Explainability, arXiv:2103.15679, eq. 5-6",
        formula="R = I; for every block R = R + mean_h max(dS/dA_h * A_h, 0) R; the row of the token that is read out",
        cost="1 forward, 1 backward",
        needs=frozenset({Need.ATTENTION}),
        at="input",
        positive=True,
        cuts="negative effects",
        use="what a vision transformer looks at for one class",
        caveats=("has no sign: evidence against the class is cut off in every block",),
    )
)
def gradient_attention() -> Generator[Any, Any, Tensor]:
    """The relevance of each patch: attention weighted by its positive effect on the score, followed through the blocks.

    Values [B, *grid] at the patches' resolution, not negative. The tokens that the score is read from are found by
    where it depends on the last block's queries. Raises `CapabilityError` for models without global attention.
    """
    attention: AttentionMaps = yield Attention()
    total: Tensor | None = None
    for weights, gradient in zip(attention.weights, attention.gradients, strict=True):
        effect = (gradient * weights).clamp(min=0).mean(1)
        if effect.shape[-2] != effect.shape[-1]:  # a pooling head reads the tokens out by its own queries
            assert total is not None
            return attention.on_grid((effect.mean(1, keepdim=True) @ total)[:, 0])
        if total is None:
            total = torch.eye(effect.shape[-1], dtype=effect.dtype, device=effect.device).expand_as(effect)
        total = total + effect @ total
    assert total is not None
    # what a patch that is read out is to itself is no evidence: it is the identity that R starts from
    own = torch.eye(total.shape[-1], dtype=total.dtype, device=total.device)
    return read_out(total - own, attention)
