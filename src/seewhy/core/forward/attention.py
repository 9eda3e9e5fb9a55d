"""Attention made visible: takes intercepted calls, gives every block's weights with a graph behind them; never edits a
module.

Fused kernels do not hand out their weights, so `scaled_dot_product_attention` and torch's multi-head attention are
computed step by step while a watch is in; an explicit softmax over keys is noted as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.intercept.attention import AttentionWatch
from seewhy.core.network.layouts import Layout
from seewhy.core.network.places import Seen
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError

__all__ = ["INSTEAD", "AttentionMaps", "Read", "attention_maps", "blocks", "check", "lens_maps"]

#: where the tokens of a forward with these weights are; raises `CapabilityError` where they are nowhere
Read = Callable[[Sequence[Tensor]], Layout]


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


#: what to do where attention cannot be followed
INSTEAD = "class activation and gradient methods (--method grad-cam, saliency) work on it"


def check(weights: Sequence[Tensor], batch: int) -> None:
    """Raise `CapabilityError` for a model whose attention cannot be followed from block to block."""
    if not weights:
        raise CapabilityError(f"no attention was seen in this forward: the model is no transformer; {INSTEAD}")
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
    weights = forward.attention.weights
    check(weights, forward.outputs.batch)
    layout = read(weights)
    grads = forward.gradients(forward.scores(targets), weights, graph=keep)
    gradients = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, grads, strict=True)]
    kept = [tensor if keep else tensor.detach() for tensor in (*weights, *gradients)]
    return AttentionMaps(tuple(kept[: len(weights)]), tuple(kept[len(weights) :]), _read(weights, gradients), layout)


def lens_maps(session: Session, targets: Sequence[Target], read: Read, keep: bool = False) -> tuple[AttentionMaps, int]:
    """As `attention_maps`, but each block's gradient is that of the score which the head gives to *that block's*
    tokens, put in the place of the last block's; with the number of forwards, each followed by a backward."""
    first = session.run(session.x, Demand(at_input=True, attention=True, survey=True, attached=keep))
    check(first.attention.weights, len(session.x))
    names = blocks(first.attention, first.tape.seen, len(session.x))
    whole = attention_maps(first, targets, read, keep)
    gradients = []
    for number, name in enumerate(names[:-1]):
        places = {layer: session.find(layer) for layer in (name, names[-1])}
        swapped = Demand(places, at_input=True, attention=True, swap=(names[-1], name), attached=keep)
        forward = session.run(session.x, swapped)
        weight = forward.attention.weights[number]
        (gradient,) = forward.gradients(forward.scores(targets), [weight], graph=keep)
        gradient = torch.zeros_like(weight) if gradient is None else gradient
        gradients.append(gradient if keep else gradient.detach())
    maps = AttentionMaps(whole.weights, (*gradients, whole.gradients[-1]), whole.read, whole.layout)
    return maps, len(names)


def _read(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """Which tokens the score is read from, [B, N]: the queries of the last block that it depends on."""
    square = [g for w, g in zip(weights, gradients, strict=True) if w.shape[-2] == w.shape[-1]]
    matters = square[-1].detach().ne(0).any(-1).any(1)
    return matters.to(weights[0].dtype)
