"""Measuring: takes a built network, times each step of preparing against the eager model, keeps what is faster; changes
nothing."""

from __future__ import annotations

import ctypes
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from seewhy.core.compile.building import TORCH, Build, Steps
from seewhy.core.compile.fusing import can_fuse
from seewhy.core.compile.onnx_part import NAME, can_run
from seewhy.core.forward.demand import Recorded
from seewhy.core.memory_budget import DEFAULT_BYTES, Meter
from seewhy.errors import CapabilityError, reason

__all__ = ["Pieces", "best_pieces", "best_steps", "hand_back", "still_faster"]

#: a step is kept if it saves this share of the time
_GAIN = 0.03

#: seconds, and rounds, that one measurement may take after a first run of everything
_PATIENCE = 0.6

_ROUNDS = 7

#: bytes that a piece may take: less than a chunk, since a program has copies of weights
_MOST = DEFAULT_BYTES * 5 // 8

#: how many samples a piece may be
_SIZES = (2, 4, 8, 16)

#: seconds that a piece takes besides its passes: variants are made, scores read, maps added up
_BESIDES = 0.006

_LADDER = {
    "fold": Steps(True),
    "channels_last": Steps(True, True),
    "fuse": Steps(True, True, True),
    "tiles": Steps(True, True, True, True),
}


def best_steps(
    build: Build, call: Callable[[Tensor], Any], x: Tensor, *, gradients: bool, engines: bool = False
) -> tuple[Steps | None, dict[str, str]]:
    """The steps that make scores of ``x``, or their gradients at the input, fastest, and what was found in words.

    Each step includes those before it, and is kept if it is faster than the best so far: no more than two programs are
    there at a time. With ``engines`` others than torch are tried for scores. None where the model itself is as fast.
    """
    recorded: Recorded = "all" if gradients else "none"
    best, steps, run, speed = "eager", None, call, 1.0
    _timed(run, x, gradients)  # the first time round memory is taken
    words: dict[str, str] = {}
    for name, more in _ladder(x, engines=engines and not gradients):
        if more.engine != TORCH:
            more = replace(steps or more, engine=more.engine)  # of gradients at layers torch does its part at its best
        try:
            program, counts = build.program([], recorded, more, single=len(x) == 1)
            if name == "tiles" and not counts["tiled"]:  # the one before it, once more
                continue
            before, after = _times(run, program, x, gradients)
        except torch.OutOfMemoryError:
            raise
        except CapabilityError as error:  # another engine cannot run it
            words[name] = str(error)
            continue
        except RuntimeError as error:  # an operation that the graph has and the model has not, which has no gradient
            words[name] = f"does not run ({reason(error)})"
            break
        gain = before / after
        kept = gain > 1 + _GAIN
        words[name] = f"{speed * gain:.2f} times as fast as the model" + ("" if kept else ", no gain")
        if kept:
            best, steps, run, speed = name, more, program, speed * gain
        # let go before the next one is built: a program's copies may be larger than the model
        del program
        hand_back()
    return steps, words | {"kept": best}


def still_faster(
    program: Callable[[Tensor], Any], call: Callable[[Tensor], Any], x: Tensor, *, gradients: bool
) -> bool:
    """Whether a program that was fastest once is faster than the model now; a few passes."""
    before, after = math.inf, _timed(program, x, gradients)
    for _ in range(2):
        before, after = min(before, _timed(call, x, gradients)), min(after, _timed(program, x, gradients))
    return after < before


def _ladder(x: Tensor, *, engines: bool) -> Iterator[tuple[str, Steps]]:
    """What is tried for inputs like ``x``, in order."""
    for name, more in _LADDER.items():
        if not more.fuse or can_fuse(x):
            yield name, more
    if engines and can_run(x):
        yield NAME, Steps(True, engine=NAME)


@dataclass(frozen=True)
class Pieces:
    """How many ``samples`` at a time are fastest, and about how many bytes each takes."""

    samples: int
    each: int


def best_pieces(run: Callable[[Tensor], Any], x: Tensor, *, gradients: bool) -> Pieces:
    """How many samples at a time go through a network fastest, each: with more, maps no longer fit into caches, and
    large blocks of memory are handed back and taken anew."""
    with torch.set_grad_enabled(gradients), Meter() as meter:  # a backward frees as it goes
        run(x[:1].clone().requires_grad_(gradients))
    sample = meter.each(1, gradients)
    began = time.perf_counter()
    per_sample: dict[int, float] = {}

    def take(n: int) -> None:
        batch = x[:1].expand(n, *x.shape[1:]).contiguous()
        per_sample[n] = min(per_sample.get(n, math.inf), (_timed(run, batch, gradients) + _BESIDES) / n)

    for n in _SIZES:
        if per_sample and n * sample > _MOST:
            break
        take(n)
        if n >= 4 and time.perf_counter() - began > _PATIENCE:
            break
    began = time.perf_counter()
    for turn in range(_ROUNDS):  # in turn: the machine's speed drifts
        if turn >= 2 and time.perf_counter() - began > _PATIENCE:
            break
        for n in per_sample:
            take(n)
    return Pieces(min(per_sample, key=lambda n: per_sample[n]), sample)


def hand_back() -> None:
    """Give freed memory back to the system, which glibc keeps: what was measured is larger than what is kept of it."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _times(
    old: Callable[[Tensor], Any], new: Callable[[Tensor], Any], x: Tensor, gradients: bool
) -> tuple[float, float]:
    """The least time of each, in turn, as often as patience allows; ``new`` runs once more, for the first time."""
    before, after = math.inf, _timed(new, x, gradients)
    began = time.perf_counter()
    for _ in range(_ROUNDS):
        before, after = min(before, _timed(old, x, gradients)), min(after, _timed(new, x, gradients))
        if time.perf_counter() - began > _PATIENCE:
            break
    return before, after


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
