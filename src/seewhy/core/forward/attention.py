"""Attention made visible: takes intercepted calls, gives every block's weights with a graph behind them, or one layer's
with the tokens that it is read from; never edits a module.

Fused kernels do not hand out their weights, so `scaled_dot_product_attention` and torch's multi-head attention are
computed step by step while a watch is in; an explicit softmax over keys is noted as it stands. Calls that the picture
does not reach (the tower of words beside that of pictures) are nobody's blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.intercept.attention import AttentionWatch
from seewhy.core.intercept.autograd import leads_to
from seewhy.core.network.layouts import Layout
from seewhy.core.network.places import Seen
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError, UsageError

__all__ = [
    "INSTEAD",
    "AttentionMaps",
    "LayerAttention",
    "Read",
    "attention_maps",
    "blocks",
    "calls_within",
    "check",
    "layer_attention",
    "lens_maps",
    "reached",
    "tokens_read",
]

#: where the tokens of a forward with these weights are, of the calls with these numbers, from 0, and whether of all of
#: them or of one of them, by its number; raises `CapabilityError` where they are nowhere
Read = Callable[[Sequence[Tensor], Sequence[int], "int | None"], Layout]


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """What every block attends to, in order.

    ``weights`` and ``gradients`` (d score / d weight) are [B, heads, N, M] each; M = N but for a pooling head at the
    end. ``read`` [B, N] says which tokens the score is read from (1, or 0): those whose attention in the last block
    matters to it. ``layout`` says which tokens are places of the picture, and which ones; the others are class tokens
    and registers.
    """

    weights: tuple[Tensor, ...]
    gradients: tuple[Tensor, ...]
    read: Tensor
    layout: Layout

    def on_grid(self, row: Tensor) -> Tensor:
        """One number a token [B, N] as a map [B, *grid], those of no place left out."""
        canonical: Tensor = self.layout.canonical(row[:, :, None])
        return canonical[:, 0]


@dataclass(frozen=True, eq=False)
class LayerAttention:
    """What one layer attends to: the ``number``-th attention, from 0, of ``count`` that the picture reaches, the
    ``call``-th of all.

    ``weights`` [B, heads, N, M] say how much of the attention of token i goes to token j: rows sum to 1. ``read``
    [B, N] says which of the N the output is read from (1, or 0), None where the N are queries of their own (a pooling
    head). ``layout`` says which of the M are places of the picture.
    """

    number: int
    count: int
    call: int
    weights: Tensor
    read: Tensor | None
    layout: Layout

    @cached_property
    def places(self) -> Tensor:
        """The number of the token at each place of the picture, [*grid]."""
        tokens = torch.arange(self.weights.shape[-1], device=self.weights.device)
        canonical: Tensor = self.layout.canonical(tokens[None, :, None])
        return canonical[0, 0]

    @cached_property
    def others(self) -> Tensor:
        """The numbers of the tokens that are no places, in order: class tokens and registers."""
        left = torch.ones(self.weights.shape[-1], dtype=torch.bool, device=self.weights.device)
        left[self.places.flatten()] = False
        return left.nonzero()[:, 0]

    def on_grid(self, rows: Tensor) -> Tensor:
        """Rows [B, heads, M] as maps [B, heads, *grid], tokens of no place left out."""
        return self.layout.canonical(rows.transpose(1, 2))


#: what to do where attention cannot be followed
INSTEAD = "class activation and gradient methods (--method grad-cam, saliency) work on it"

#: of a forward in which no attention was met
_NONE = f"no attention was seen in this forward: the model is no transformer, or attends in a way of its own; {INSTEAD}"


def check(weights: Sequence[Tensor], batch: int) -> None:
    """Raise `CapabilityError` for a model whose attention cannot be followed from block to block."""
    if not weights:
        raise CapabilityError(_NONE)
    tokens = weights[0].shape[-1]
    for number, weight in enumerate(weights):
        if weight.shape[0] != batch:
            raise CapabilityError(
                f"attention {number + 1} of {len(weights)} is within windows ({weight.shape[0]} of them for {batch} "
                f"image(s)), which attention methods cannot follow from block to block; {INSTEAD}"
            )
        square = weight.shape[-2] == tokens or number == len(weights) - 1  # a pooling head has its own queries
        if weight.shape[-1] != tokens or not square:
            raise CapabilityError(
                f"attention {number + 1} of {len(weights)} has {tuple(weight.shape[-2:])} queries and keys, the first "
                f"has {tokens} tokens: the model's tokens change on the way; {INSTEAD}"
            )


def reached(forward: Forward) -> list[int]:
    """The numbers, from 0, of the attention calls that the picture reaches, in order; of all where torch records no
    path to any of them (a forward that is cut says nothing) and they are of one kind. Raises `CapabilityError` where
    they are of several: some may be another tower's."""
    weights = forward.attention.weights
    led = [number for number, weight in enumerate(weights) if leads_to(weight, forward.leaf)]
    kinds = {(len(weight), weight.shape[-1]) for weight in weights}
    if not led and len(kinds) > 1:
        told = ", ".join(f"{rows} rows of {tokens} tokens" for rows, tokens in sorted(kinds))
        raise CapabilityError(
            "torch records no path from the picture to any attention (no_grad or detach in the forward?), and there is "
            f"attention of several kinds ({told}): which of it the picture reaches cannot be told; {INSTEAD}"
        )
    return led or list(range(len(weights)))


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
        raise CapabilityError(f"the blocks that the model's attention belongs to were not found; {INSTEAD}")
    return [owners[n] for n in range(len(watch.weights))]


def attention_maps(forward: Forward, targets: Sequence[Target], read: Read, keep: bool = False) -> AttentionMaps:
    """Every block's attention weights and the score's gradient at them, from one forward and one backward.

    Raises `CapabilityError` for models without attention, or with attention within windows.
    """
    calls = reached(forward)
    weights = [forward.attention.weights[call] for call in calls]
    check(weights, forward.outputs.batch)
    layout = read(weights, calls, None)
    grads = forward.gradients(forward.scores(targets), weights, graph=keep)
    gradients = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, grads, strict=True)]
    kept = [tensor if keep else tensor.detach() for tensor in (*weights, *gradients)]
    return AttentionMaps(tuple(kept[: len(weights)]), tuple(kept[len(weights) :]), _read(weights, gradients), layout)


def lens_maps(session: Session, targets: Sequence[Target], read: Read, keep: bool = False) -> tuple[AttentionMaps, int]:
    """As `attention_maps`, but each block's gradient is that of the score which the head gives to *that block's*
    tokens, put in the place of the last block's; with the number of forwards, each followed by a backward."""
    first = session.run(session.x, Demand(at_input=True, attention=True, survey=True, attached=keep))
    calls, watch = reached(first), first.attention
    watch = AttentionWatch([watch.weights[call] for call in calls], [watch.before[call] for call in calls])
    check(watch.weights, len(session.x))
    names = blocks(watch, first.tape.seen, len(session.x))
    whole = attention_maps(first, targets, read, keep)
    gradients = []
    for call, name in zip(calls[:-1], names[:-1], strict=True):
        places = {layer: session.find(layer) for layer in (name, names[-1])}
        swapped = Demand(places, at_input=True, attention=True, swap=(names[-1], name), attached=keep)
        forward = session.run(session.x, swapped)
        weight = forward.attention.weights[call]
        (gradient,) = forward.gradients(forward.scores(targets), [weight], graph=keep)
        gradient = torch.zeros_like(weight) if gradient is None else gradient
        gradients.append(gradient if keep else gradient.detach())
    maps = AttentionMaps(whole.weights, (*gradients, whole.gradients[-1]), whole.read, whole.layout)
    return maps, len(names)


def tokens_read(forward: Forward, targets: Sequence[Target]) -> dict[int, Tensor]:
    """Which tokens the score is read from, [B, N], by their number N: the queries that it depends on of the last
    attention of N tokens to themselves. From one backward."""
    weights = [forward.attention.weights[call] for call in reached(forward)]
    last = {w.shape[-1]: w for w in weights if w.shape[-2] == w.shape[-1] and len(w) == forward.outputs.batch}
    if not last:
        return {}
    grads = forward.gradients(forward.scores(targets), list(last.values()))
    gradients = [torch.zeros_like(w) if g is None else g for w, g in zip(last.values(), grads, strict=True)]
    return {count: _matter(gradient, gradient.dtype) for count, gradient in zip(last, gradients, strict=True)}


def calls_within(session: Session, name: str) -> list[int]:
    """The numbers, from 0, of the attention calls that run within the module called ``name``, from a forward of its
    own. Raises `UnknownName`."""
    module = session.find(name).module
    names = {known for known, part in session.network.module.named_modules() if part is module}
    demand = Demand(gradients=False, attention=True, survey=True)
    within = session.run(session.x, demand).attention.within
    return [call for call, running in enumerate(within) if names & set(running)]


def layer_attention(
    forward: Forward,
    layer: int | str,
    within: Sequence[int],
    matters: Callable[[], dict[int, Tensor]],
    read: Read,
    keep: bool = False,
) -> LayerAttention:
    """The attention of one ``layer``: a number among the calls that the picture reaches, from 0 or, negative, from the
    end; or a name, whose calls are those ``within``. ``matters`` gives what `tokens_read` does.

    Raises `CapabilityError` for models without attention and for attention within windows, `UsageError` for a layer
    that there is not.
    """
    calls, every, batch = reached(forward), forward.attention.weights, forward.outputs.batch
    if not calls:
        raise CapabilityError(_NONE)
    number = _number(layer, calls, within)
    weights = every[calls[number]]
    if len(weights) != batch:
        whole = [str(n) for n, call in enumerate(calls) if len(every[call]) == batch]
        way = f"layers {', '.join(whole)} are not" if whole else INSTEAD
        raise CapabilityError(
            f"the attention of layer {number} is within windows ({len(weights)} of them for {batch} image(s)), so no "
            f"row of it goes over the picture; {way}"
        )
    alike = [call for call in calls if every[call].shape[-1] == weights.shape[-1] and len(every[call]) == batch]
    layout = read([every[call] for call in alike], alike, calls[number])
    own = weights.shape[-2] == weights.shape[-1]
    return LayerAttention(
        number,
        len(calls),
        calls[number],
        weights if keep else weights.detach(),
        matters().get(weights.shape[-1]) if own else None,
        layout,
    )


def _number(layer: int | str, calls: Sequence[int], within: Sequence[int]) -> int:
    """The number of ``layer`` among the ``calls`` that the picture reaches."""
    count = len(calls)
    known = f"the picture goes through {count} attention{'' if count == 1 else 's'}, 0 to {count - 1}"
    if not isinstance(layer, str):
        if not -count <= layer < count:
            raise UsageError(f"no layer {layer}: {known} (negative numbers count from the end)")
        return layer % count
    inside = [number for number, call in enumerate(calls) if call in within]
    if len(inside) == 1:
        return inside[0]
    if not inside:
        raise UsageError(f"no attention that the picture reaches runs within layer {layer!r}: {known}; give a number")
    raise UsageError(
        f"{len(inside)} attentions run within layer {layer!r}, {inside[0]} to {inside[-1]}: give one's number, e.g. "
        f"layer={inside[-1]}"
    )


def _read(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """Which tokens the score is read from, [B, N]: the queries of the last block that it depends on."""
    square = [g for w, g in zip(weights, gradients, strict=True) if w.shape[-2] == w.shape[-1]]
    return _matter(square[-1], weights[0].dtype)


def _matter(gradient: Tensor, kind: torch.dtype) -> Tensor:
    """The queries whose weights have a gradient [B, heads, N, M]: 1, or 0, [B, N]."""
    return gradient.detach().ne(0).any(-1).any(1).to(kind)
