"""Measuring: takes a built network, times each step of preparing against the eager model, keeps what is faster; changes
nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from seewhy.core.batching import DEFAULT_BYTES, Meter
from seewhy.core.graph.building import Build, Prepared, Recorded, Steps
from seewhy.core.graph.fusing import can_fuse

__all__ = ["Pieces", "best_pieces", "best_steps"]

#: a step is kept if it saves this share of the time
_GAIN = 0.03
#: seconds, and rounds, that one kind of measurement may take after a first run of everything
_PATIENCE = 0.6
_ROUNDS = 7
#: seconds that a piece takes besides its passes: variants are made, scores read, maps added up
_BESIDES = 0.006
_LADDER = {
    "fold": Steps(True),
    "channels_last": Steps(True, True),
    "fuse": Steps(True, True, True),
    "tiles": Steps(True, True, True, True),
}


def best_steps(
    build: Build, call: Callable[[Tensor], Any], x: Tensor, *, gradients: bool
) -> tuple[Steps | None, dict[str, str]]:
    """The steps that make scores of ``x``, or their gradients at the input, fastest, and what was found in words.

    Each step includes those before it, and is kept if it is faster. None where the model itself is as fast.
    """
    ladder = {name: steps for name, steps in _LADDER.items() if not steps.fuse or can_fuse(x)}
    recorded: Recorded = "all" if gradients else "none"
    programs: dict[str, Prepared] = {}
    for name, steps in ladder.items():
        programs[name], counts = build.program([], recorded, steps, single=len(x) == 1)
        if steps.tiles and not counts["tiled"]:
            del programs[name]  # the one before it, once more
    times = _times({"eager": call, **programs}, x, gradients)
    best, words = "eager", {}
    for name in programs:
        kept = times[best] / times[name] > 1 + _GAIN
        best = name if kept else best
        words[name] = f"{times['eager'] / times[name]:.2f} times as fast as the model" + ("" if kept else ", no gain")
    return ladder.get(best), words | {"kept": best}


@dataclass(frozen=True)
class Pieces:
    """How many ``samples`` at a time are fastest, and about how many bytes each takes."""

    samples: int
    each: int


def best_pieces(run: Callable[[Tensor], Any], x: Tensor, *, gradients: bool) -> Pieces:
    """How many samples at a time go through a network fastest, each: with more, maps no longer fit into caches, and
    large blocks of memory are handed back and taken anew."""
    each: dict[int, float] = {}
    began = time.perf_counter()
    with torch.set_grad_enabled(gradients), Meter() as meter:  # a backward frees as it goes
        run(x[:1].clone().requires_grad_(gradients))
    sample = meter.each(1, gradients)
    for n in (2, 4, 8, 16):
        if each and n * sample > DEFAULT_BYTES:  # more than a chunk may take
            break
        batch = x[:1].expand(n, *x.shape[1:]).contiguous()
        _timed(run, batch, gradients)
        each[n] = (min(_timed(run, batch, gradients) for _ in range(2)) + _BESIDES) / n
        if n >= 4 and time.perf_counter() - began > _PATIENCE:
            break
    return Pieces(min(each, key=lambda n: each[n]), sample)


def _times(runs: Mapping[str, Callable[[Tensor], Any]], x: Tensor, gradients: bool) -> dict[str, float]:
    """The least time of each, in turn, as often as patience allows and twice at least."""
    found = {name: _timed(run, x, gradients) for name, run in runs.items()}
    began = time.perf_counter()
    for _ in range(_ROUNDS):
        for name, run in runs.items():
            found[name] = min(found[name], _timed(run, x, gradients))
        if time.perf_counter() - began > _PATIENCE:
            break
    return found


def _timed(run: Callable[[Tensor], Any], x: Tensor, gradients: bool) -> float:
    began = time.perf_counter()
    with torch.set_grad_enabled(gradients):
        if gradients:
            leaf = x.detach().clone().requires_grad_()
            outputs = [y for y in pytree.tree_leaves(run(leaf.clone())) if isinstance(y, Tensor) and y.requires_grad]
            if outputs:
                torch.autograd.grad(outputs[0].sum(), leaf, allow_unused=True)
        else:
            run(x.clone())
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - began
