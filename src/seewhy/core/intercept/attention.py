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

from seewhy.core.intercept.functions import Call, Handler

__all__ = ["AttentionWatch", "TokenWatch"]

#: numbers that stand for a token where it is seen in the products of queries and keys alone
_SKETCH = 64

#: products from which on a mask has made them so
_HIDDEN = 1e4


@dataclass
class AttentionWatch:
    """Collects the attention weights of a forward. ``before`` says after how many modules each call came, and
    ``within`` in which ones, the innermost last, where modules are surveyed (``surveyed``, ``running``); ``any_rank``
    takes calls with other axes than [B, heads, N, D] step by step as well."""

    weights: list[Tensor] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    within: list[tuple[str, ...]] = field(default_factory=list)
    surveyed: Sequence[Any] = ()
    running: Sequence[str] = ()
    any_rank: bool = False

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

    def _note(self, weights: Tensor, tokens: Callable[[], Tensor]) -> None:
        """Keep the weights [B, heads, N, M] of a call; ``tokens`` gives something of each of the M that it reads."""
        self.weights.append(weights)
        self.before.append(len(self.surveyed))
        self.within.append(tuple(self.running))

    def _softmax(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        out = proceed(call)
        dim = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim")
        if isinstance(out, Tensor) and out.ndim == 4 and dim in (-1, 3):
            self._note(out, lambda: _columns(call.args[0] if call.args else call.kwargs["input"]))
        return out

    def _dot_product(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = dict(zip(names, call.args, strict=False)) | call.kwargs
        query, key, value, mask = given["query"], given["key"], given["value"], given.get("attn_mask")
        if (query.ndim != 4 and not self.any_rank) or given.get("dropout_p", 0.0) > 0:
            return proceed(call)
        if given.get("enable_gqa"):
            repeats = query.shape[-3] // key.shape[-3]
            key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
        scale = given.get("scale")
        logits = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
        if given.get("is_causal"):
            mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
        weights = _masked(logits, mask).softmax(-1)
        self._note(weights, lambda: value.transpose(1, 2).flatten(2))
        return weights @ value

    def _multi_head(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """torch.nn.MultiheadAttention, whose function hides everything inside it: [N, B, E] in and out, images first
        in between."""
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
            _heads(F.linear(tokens.transpose(0, 1), w, b), heads)
            for tokens, w, b in zip((query, given["key"], given["value"]), weight.chunk(3), biases, strict=True)
        ]
        q, k, v = split
        mask = given.get("attn_mask")
        if mask is not None and mask.ndim == 3:
            mask = mask.reshape(-1, heads, *mask.shape[1:])
        # a boolean mask says here what is hidden; in scaled_dot_product_attention it says what is seen
        mask = ~mask if mask is not None and mask.dtype == torch.bool else mask
        weights = _masked(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), mask).softmax(-1)
        self._note(weights, lambda: given["value"].transpose(0, 1))
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        out = F.linear(mixed, given["out_proj_weight"], given["out_proj_bias"]).transpose(0, 1)
        if not given.get("need_weights", True):
            return out, None
        return out, weights.mean(1) if given.get("average_attn_weights", True) else weights


class TokenWatch(AttentionWatch):
    """Collects of every call the tokens that it reads, [B, M, C], in the order in which its weights count them, and
    lets go of the weights."""

    #: the explicit softmax noted last, until its weights are multiplied with something
    _last: Tensor | None = None

    @property
    def tokens(self) -> list[Tensor]:
        """What was read, a tensor a call."""
        return self.weights

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name; products besides, for the values that explicit weights are multiplied with."""
        return super().handlers | dict.fromkeys(("matmul", "__matmul__", "bmm", "einsum"), self._product)

    def _note(self, weights: Tensor, tokens: Callable[[], Tensor]) -> None:
        super()._note(tokens().detach(), tokens)

    def _softmax(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        count, out = len(self.tokens), super()._softmax(call, proceed)
        self._last = out if len(self.tokens) > count else None
        return out

    def _product(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Weights times values, however heads are kept: what is multiplied says more of a token than its products."""
        first, last = self._last, [argument for argument in call.args if isinstance(argument, Tensor)]
        if first is not None and len(last) == 2 and last[0].data_ptr() == first.data_ptr():
            batch, heads, _, count = first.shape
            values = last[1]
            if values.shape[-2] == count and values.numel() % (batch * heads * count) == 0:
                self.tokens[-1] = values.detach().reshape(batch, heads, count, -1).transpose(1, 2).flatten(2)
            self._last = None
        return proceed(call)


def _columns(products: Tensor) -> Tensor:
    """Some numbers of each key, [B, M, C], of its products with all queries [B, heads, N, M]."""
    rows = products.detach().flatten(1, 2)
    rows = rows.where(rows.abs() < _HIDDEN, 0.0)  # what a mask hides says nothing
    draw = torch.Generator().manual_seed(0)
    mixed = torch.randn(_SKETCH, rows.shape[1], generator=draw).to(rows) / math.sqrt(rows.shape[1])
    return (mixed @ rows).transpose(1, 2)


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """[B, N, E] as [B, heads, N, E / heads]."""
    return tokens.reshape(*tokens.shape[:2], heads, -1).transpose(1, 2)


def _masked(logits: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return logits
    return logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask
