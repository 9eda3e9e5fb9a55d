"""Attention maps: takes the attention weights of one layer, gives the row of the tokens that the output is read from,
head by head, on the grid of patches."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import AttentionAt, Attribution
from seewhy.core.forward.attention import LayerAttention
from seewhy.errors import UsageError
from seewhy.registry import Card, Need, method

__all__ = ["attention_maps"]


@method(
    Card(
        name="attention-maps",
        family="attention",
        paper="Caron et al. 2021, Emerging Properties in Self-Supervised Vision Transformers, arXiv:2104.14294, "
        "section 4.2.2, fig. 1; registers: Darcet et al. 2023, Vision Transformers Need Registers, arXiv:2309.16588",
        formula="softmax(q_i K^T / sqrt(d)) of a layer and head, i the class token; else the mean over the tokens read",
        unit="share of the attention",
        cost="1 forward, 1 backward",
        needs=frozenset({Need.ATTENTION}),
        at="input",
        discriminative=False,
        positive=True,
        call="attention",
        function="attention",
        differentiable=False,
        use="what one layer and head of a vision transformer looks at; a network without a head will do",
        caveats=(
            "says where a layer looks, not what it takes from there, nor what becomes of it",
            "class and register tokens have a share of the attention, which no place shows",
        ),
    )
)
def attention_maps(
    *,
    layer: int | str = -1,
    head: int | str | Sequence[int] | None = None,
    query: int | str | tuple[int, int] | None = None,
) -> Generator[Any, Any, Attribution]:
    """How the attention of one layer is shared out over the picture, head by head.

    Values [B, heads, *grid] at the patches' resolution, in [0, 1]: a head's row of attention, which sums to 1 together
    with what goes to tokens that are no places, ``arrays["elsewhere"]`` [B, heads, n], whose numbers are
    ``arrays["tokens"]`` [B, n]. ``arrays["layer"]`` [B, 3] are the layer's number, how many there are,
    and the number of the call that it is.

    ``layer`` counts the attentions that the picture reaches, from 0, negative numbers from the end; a name means the
    one that runs within that layer. ``head``: a number, several, ``"mean"``, or None for all. ``query`` is whose row it
    is: None the class token's, or the mean over the tokens that the output is read from where none is apart from the
    places (found by where it depends on the queries of the last layer); ``"mean"`` the mean over all places; (y, x)
    that place's; a number that token's. Raises `CapabilityError` for models without global attention, `UsageError` for
    a layer, head or query that there is not.
    """
    attention: LayerAttention = yield AttentionAt(layer)
    share, notes = _asked(attention, query)
    rows = torch.einsum("bn,bhnm->bhm", share, attention.weights)
    rows = _heads(attention, rows, head)
    batch, tokens = len(rows), attention.others
    arrays = {
        "elsewhere": rows[:, :, tokens],
        "tokens": tokens.expand(batch, -1),
        "layer": torch.tensor([attention.number, attention.count, attention.call]).expand(batch, -1),
    }
    return Attribution(attention.on_grid(rows), notes=notes, arrays=arrays)


def _heads(attention: LayerAttention, rows: Tensor, head: int | str | Sequence[int] | None) -> Tensor:
    """The rows [B, heads, M] of the heads asked for."""
    count = rows.shape[1]
    if head is None or head == "all":
        return rows
    if head == "mean":
        return rows.mean(1, keepdim=True)
    asked = [head] if isinstance(head, int) else head
    numbers = [] if isinstance(asked, str) else list(asked)
    if not numbers or not all(isinstance(n, int) and not isinstance(n, bool) and -count <= n < count for n in numbers):
        raise UsageError(
            f"no head {head!r}: layer {attention.number} has {count}, 0 to {count - 1}; or 'mean', or 'all'"
        )
    return rows[:, numbers]


def _asked(attention: LayerAttention, query: int | str | tuple[int, int] | None) -> tuple[Tensor, tuple[str, ...]]:
    """The share that each query has in the row that is shown [B, N], and whose row that is, in words."""
    weights, read = attention.weights, attention.read
    batch, _, count, _ = weights.shape
    if query is None and read is not None:
        shares = [_read_from(row, attention.others) for row in read]
        return torch.stack([share for share, _ in shares]), tuple(words for _, words in shares)
    if query in (None, "mean"):
        own = list(range(count)) if read is None else attention.places.flatten().tolist()
        who = f"{count} queries of its own" if read is None else f"{len(own)} places"
        share, words = _even(weights, own), f"mean of the rows of the {who}" if len(own) > 1 else "row of its own query"
    else:
        token, words = _token(attention, query)
        share = _even(weights, [token])
    return share.expand(batch, -1), (words,) * batch


def _token(attention: LayerAttention, query: object) -> tuple[int, str]:
    """The number of the query that is meant, and what it is called."""
    count, grid = attention.weights.shape[-2], tuple(attention.places.shape)
    if isinstance(query, int) and not isinstance(query, bool) and 0 <= query < count:
        return query, f"row of token {query}"
    square = attention.read is not None
    place = tuple(query) if isinstance(query, tuple | list) else ()
    inside = len(place) == len(grid) and all(
        isinstance(p, int) and 0 <= p < n for p, n in zip(place, grid, strict=True)
    )
    if square and inside:
        return int(attention.places[place]), f"row of the place {','.join(map(str, place))}"
    places = f"a place (row, column) of {'x'.join(map(str, grid))} from (0, 0), " if square else ""
    raise UsageError(f"query={query!r}: {places}a token from 0 to {count - 1}, or 'mean'")


def _read_from(read: Tensor, others: Tensor) -> tuple[Tensor, str]:
    """Of one image, the share of each token [N] in the row that the output is read from, and what that is.

    Where the output is read from every token, or nobody knows from which (the graph is cut), it is the class token's:
    the first of those that are no places, if there are any.
    """
    tokens = read.nonzero()[:, 0].tolist()
    apart = others.tolist()
    if len(tokens) in (0, len(read)):
        if apart:
            return _even(read, apart[:1]), f"row of token {apart[0]}, the first that is no place of the picture"
        return _even(read, range(len(read))), f"mean of the rows of all {len(read)} tokens"
    if len(tokens) == 1:
        kind = "no place of the picture" if tokens[0] in apart else "a place of the picture"
        return _even(read, tokens), f"row of token {tokens[0]} ({kind}), from which the output is read"
    return _even(read, tokens), f"mean of the rows of the {len(tokens)} tokens from which the output is read"


def _even(like: Tensor, tokens: Sequence[int]) -> Tensor:
    """An even share for each of ``tokens``, [N] in the type of ``like`` [..., N] or [B, heads, N, M]."""
    share = like.new_zeros(like.shape[-2] if like.ndim == 4 else like.shape[-1])
    share[list(tokens)] = 1 / len(tokens)
    return share
