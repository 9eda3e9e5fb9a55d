"""Attention through one forward or through every layer: takes a borrowed network and targets, gives weights and the
score's gradients at them; edits no module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.attention import AttentionMaps, blocks, check, token_grid
from seewhy.core.chooser import Chooser
from seewhy.core.forwards import run_forward
from seewhy.core.network import Network
from seewhy.core.passes import Pass, Request
from seewhy.core.targets import Target

__all__ = ["attention_maps", "lens_maps"]


def attention_maps(made: Pass, targets: Sequence[Target], keep: bool = False) -> AttentionMaps:
    """Every block's attention weights and the score's gradient at them, from one forward and one backward.

    Raises `CapabilityError` for models without attention, or with attention within windows.
    """
    weights = made.attention.weights
    check(weights, made.forward.batch)
    found = made.gradients(made.scores(targets), weights, graph=keep)
    gradients = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]
    prefix, grid = token_grid(weights[0].shape[-1], made.size)
    kept = [tensor if keep else tensor.detach() for tensor in (*weights, *gradients)]
    return AttentionMaps(
        tuple(kept[: len(weights)]), tuple(kept[len(weights) :]), _read(weights, gradients), prefix, grid
    )


def lens_maps(
    network: Network,
    call: Callable[[Tensor], Any],
    x: Tensor,
    targets: Sequence[Target],
    chooser: Chooser,
    keep: bool = False,
) -> tuple[AttentionMaps, int]:
    """As `attention_maps`, but each block's gradient is that of the score which the head gives to *that block's*
    tokens, put in the place of the last block's; with the number of forwards, each followed by a backward."""
    first = run_forward(network, call, x, Request(at_input=True, attention=True, survey=True, attached=keep))
    check(first.attention.weights, len(x))
    names = blocks(first.attention, first.tape.seen, len(x))
    whole = attention_maps(first, targets, keep)
    gradients = []
    for number, name in enumerate(names[:-1]):
        places = {each: chooser.find(each) for each in (name, names[-1])}
        swapped = Request(places, at_input=True, attention=True, swap=(names[-1], name), attached=keep)
        made = run_forward(network, call, x, swapped)
        weight = made.attention.weights[number]
        (gradient,) = made.gradients(made.scores(targets), [weight], graph=keep)
        gradient = torch.zeros_like(weight) if gradient is None else gradient
        gradients.append(gradient if keep else gradient.detach())
    maps = AttentionMaps(whole.weights, (*gradients, whole.gradients[-1]), whole.read, whole.prefix, whole.grid)
    return maps, len(names)


def _read(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """Which tokens the score is read from, [B, N]: the queries of the last block that it depends on."""
    square = [g for w, g in zip(weights, gradients, strict=True) if w.shape[-2] == w.shape[-1]]
    matters = square[-1].detach().ne(0).any(-1).any(1)
    return matters.to(weights[0].dtype)
