"""Attention made visible: takes intercepted calls, gives every block's weights with a graph behind them; never edits a
module.

Fused kernels do not hand out their weights, so `scaled_dot_product_attention` and torch's multi-head attention are
computed step by step while a watch is in; an explicit softmax over keys is noted as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.core.functions import Call, Handler
from seewhy.core.layers import Seen
from seewhy.core.layouts import find_layout
from seewhy.errors import CapabilityError

__all__ = ["AttentionMaps", "AttentionWatch", "blocks", "check", "token_grid"]


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """What every block attends to, in order.

    ``weights`` and ``gradients`` (d score / d weight) are [B, heads, N, M] each; M = N but for a pooling head at the
    end. ``read`` [B, N] says which tokens the score is read from (1, or 0): those whose attention in the last block
    matters to it. The tokens are ``prefix`` others (class, registers), then the ``grid``.
    """

    weights: tuple[Tensor, ...]
    gradients: tuple[Tensor, ...]
    read: Tensor
    prefix: int
    grid: tuple[int, ...]


@dataclass
class AttentionWatch:
    """Collects the attention weights of a forward. ``before`` says after how many modules each call came, where modules
    are surveyed."""

    weights: list[Tensor] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    surveyed: Sequence[Seen] = ()

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name. Made when asked for: kept, they would tie the watch and the graph that it holds into a
        cycle, which only the garbage collector could undo."""
        return {
            "scaled_dot_product_attention": self._dot_product,
            "multi_head_attention_forward": self._multi_head,
            "softmax": self._softmax,
            "_softmax": self._softmax,
        }

    def _note(self, weights: Tensor) -> None:
        self.weights.append(weights)
        self.before.append(len(self.surveyed))

    def _softmax(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        out = proceed(call)
        dim = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim")
        if isinstance(out, Tensor) and out.ndim == 4 and dim in (-1, 3):
            self._note(out)
        return out

    def _dot_product(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = dict(zip(names, call.args, strict=False)) | call.kwargs
        query, key, value, mask = given["query"], given["key"], given["value"], given.get("attn_mask")
        if query.ndim != 4 or given.get("dropout_p", 0.0) > 0:
            return proceed(call)
        if given.get("enable_gqa"):
            repeats = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        scale = given.get("scale")
        logits = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
        if given.get("is_causal"):
            mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
        weights = _masked(logits, mask).softmax(-1)
        self._note(weights)
        return weights @ value

    def _multi_head(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """torch.nn.MultiheadAttention, whose function hides everything inside it: [N, B, E] in and out."""
        names = (
            "query", "key", "value", "embed_dim", "num_heads", "in_proj_weight", "in_proj_bias", "bias_k", "bias_v",
            "add_zero_attn", "dropout_p", "out_proj_weight", "out_proj_bias", "training", "key_padding_mask",
            "need_weights", "attn_mask", "use_separate_proj_weight",
        )  # fmt: skip
        given = dict(zip(names, call.args, strict=False)) | call.kwargs
        unusual = ("bias_k", "bias_v", "static_k", "static_v", "key_padding_mask")
        query, weight = given["query"], given.get("in_proj_weight")
        if (
            any(given.get(name) is not None for name in unusual)
            or given.get("add_zero_attn") or given.get("use_separate_proj_weight")
            or query.ndim != 3 or weight is None
        ):  # fmt: skip
            return proceed(call)
        heads, bias = given["num_heads"], given.get("in_proj_bias")
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        split = [
            _heads(F.linear(each, w, b), heads)
            for each, w, b in zip((query, given["key"], given["value"]), weight.chunk(3), biases, strict=True)
        ]
        q, k, v = split
        mask = given.get("attn_mask")
        if mask is not None and mask.ndim == 3:
            mask = mask.reshape(-1, heads, *mask.shape[1:])
        # a boolean mask says here what is hidden; in scaled_dot_product_attention it says what is seen
        mask = ~mask if mask is not None and mask.dtype == torch.bool else mask
        weights = _masked(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), mask).softmax(-1)
        self._note(weights)
        mixed = (weights @ v).permute(2, 0, 1, 3).flatten(2)
        out = F.linear(mixed, given["out_proj_weight"], given["out_proj_bias"])
        if not given.get("need_weights", True):
            return out, None
        return out, weights.mean(1) if given.get("average_attn_weights", True) else weights


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """[N, B, E] as [B, heads, N, E / heads]."""
    return tokens.reshape(*tokens.shape[:2], heads, -1).permute(1, 2, 0, 3)


def _masked(logits: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return logits
    return logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask


_INSTEAD = "class activation and gradient methods (--method grad-cam, saliency) work on it"


def check(weights: Sequence[Tensor], batch: int) -> None:
    """Raise `CapabilityError` for a model whose attention cannot be followed from block to block."""
    if not weights:
        raise CapabilityError(f"no attention was seen in this forward: the model is no transformer; {_INSTEAD}")
    tokens = weights[0].shape[-1]
    for number, each in enumerate(weights):
        if each.shape[0] != batch:
            raise CapabilityError(
                f"attention {number + 1} of {len(weights)} is within windows ({each.shape[0]} of them for {batch} "
                f"image(s)), which attention methods cannot follow from block to block; {_INSTEAD}"
            )
        square = each.shape[-2] == tokens or number == len(weights) - 1  # a pooling head has its own queries
        if each.shape[-1] != tokens or not square:
            raise CapabilityError(
                f"attention {number + 1} of {len(weights)} has {tuple(each.shape[-2:])} queries and keys, the first "
                f"has {tokens} tokens: the model's tokens change on the way; {_INSTEAD}"
            )


def token_grid(tokens: int, size: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Prefix and grid of ``tokens`` for an input of ``size``; raises `CapabilityError` if they form none."""
    layout = find_layout((1, tokens, 1), size)
    if not layout.tokens:
        raise CapabilityError(f"{tokens} tokens form no grid over an input of {tuple(size)}; {_INSTEAD}")
    return layout.prefix, layout.grid


def blocks(watch: AttentionWatch, seen: Sequence[Seen], batch: int) -> list[str]:
    """The module that each attention call belongs to: the outermost one with no other call inside, whose output is a
    row of tokens. Raises `CapabilityError` if some call has none."""
    tokens = watch.weights[0].shape[-1]
    owners: dict[int, str] = {}
    for end, entry in enumerate(seen):
        if entry.shape[:2] != (batch, tokens) or len(entry.shape) != 3 or not entry.name:
            continue
        start = end
        while start and seen[start - 1].name.startswith((f"{entry.name}.", f"{entry.name}/")):
            start -= 1
        inside = [n for n, before in enumerate(watch.before) if start <= before <= end]
        if len(inside) == 1:
            owners[inside[0]] = entry.name  # a module ends after its parts, so the last one is the outermost
    if len(owners) < len(watch.weights):
        raise CapabilityError(f"the blocks that the model's attention belongs to were not found; {_INSTEAD}")
    return [owners[n] for n in range(len(watch.weights))]
