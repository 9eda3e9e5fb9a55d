"""Attention rollout: takes every block's attention weights, gives how much of each patch flows into the tokens that are
read out."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attention
from seewhy.core.forward.attention import AttentionMaps
from seewhy.errors import UnknownName
from seewhy.methods._tokens import read_out
from seewhy.registry import Card, Need, method

__all__ = ["attention_rollout"]

_HEADS = ("mean", "max", "min")


@method(
    Card(
        name="attention-rollout",
        family="attention",
        paper="Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers, arXiv:2005.00928, eq. 1",
        formula="product over blocks of (A_l + I) / 2, A_l the mean over heads; the row of the token that is read out",
        unit="share of the attention",
        cost="1 forward, 1 backward",
        needs=frozenset({Need.ATTENTION}),
        at="input",
        discriminative=False,
        positive=True,
        use="where a vision transformer gathers its information from, whatever the class",
        caveats=(
            "the same map for every class",
            "ignores values, MLPs and what the head makes of the tokens",
            "register tokens swallow part of the flow",
        ),
    )
)
def attention_rollout(*, heads: str = "mean") -> Generator[Any, Any, Tensor]:
    """How much of each patch reaches the tokens that the score is read from, if attention alone moved information.

    Values [B, *grid] at the patches' resolution, in [0, 1]; with the class and register tokens they sum to 1. ``heads``
    joins the heads of a block by ``mean`` (the paper), ``max`` or ``min``. The tokens that are read out (a class token,
    or all patches) are found by where the score depends on the last block's queries; that is what the backward is for.
    Raises `CapabilityError` for models without global attention.
    """
    if heads not in _HEADS:
        raise UnknownName("way to join heads", heads, _HEADS, "seewhy methods attention-rollout")
    attention: AttentionMaps = yield Attention()
    total: Tensor | None = None
    for weights in attention.weights:
        joined = weights.mean(1) if heads == "mean" else weights.amax(1) if heads == "max" else weights.amin(1)
        if joined.shape[-2] != joined.shape[-1]:  # a pooling head reads the tokens out by its own queries
            assert total is not None
            return attention.on_grid((joined.mean(1, keepdim=True) @ total)[:, 0])
        mixed = joined + torch.eye(joined.shape[-1], dtype=joined.dtype, device=joined.device)
        mixed = mixed / mixed.sum(-1, keepdim=True)
        total = mixed if total is None else mixed @ total
    assert total is not None
    return read_out(total, attention)
