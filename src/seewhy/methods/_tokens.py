"""Token rows as maps: takes a row of relevance per token, gives it on the grid; what attention methods share."""

from __future__ import annotations

from torch import Tensor

from seewhy.core.forward.attention import AttentionMaps

__all__ = ["read_out"]


def read_out(relevance: Tensor, attention: AttentionMaps) -> Tensor:
    """[B, *grid]: what the tokens that the score is read from got from each patch, on average over those tokens.

    ``relevance`` [B, N, N] says how much of token j is in token i. Class and register tokens are left out.
    """
    share = attention.read / attention.read.sum(1, keepdim=True).clamp(min=1)
    row = (share[:, None] @ relevance)[:, 0]
    return attention.on_grid(row)
