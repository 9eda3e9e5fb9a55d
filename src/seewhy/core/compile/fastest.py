"""The fastest way: takes a built network and inputs, gives the steps and pieces that are fastest here, measured now, or
in an earlier process and held against the model once more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from seewhy.core.compile.building import TORCH, Build, Steps
from seewhy.core.compile.measuring import Pieces, best_pieces, best_steps, hand_back, still_faster
from seewhy.core.compile.onnx_part import NAME, can_run
from seewhy.core.compile.remembered import Question, recall, remember
from seewhy.errors import reason

__all__ = ["Found", "fastest"]


@dataclass(frozen=True)
class Found:
    """``steps`` worth their while (None: the model itself is as fast), how many samples go together, where that was
    asked, and what was found in words."""

    steps: Steps | None
    pieces: Pieces | None = None
    words: dict[str, str] = field(default_factory=dict)


def fastest(build: Build, call: Callable[[Tensor], Any], x: Tensor, *, gradients: bool, engines: bool) -> Found:
    """What is fastest for scores, or ``gradients`` at the input, of inputs like ``x``, of one image or of several; with
    ``engines`` others than torch are tried."""
    began = time.perf_counter()
    available = NAME if engines and not gradients and can_run(x) else TORCH
    question = Question(build, x, "gradients" if gradients else "scores", available)
    try:
        with _disable_current_modes():  # a meter of ours would be measured, too
            found = recall(question)
            if found is not None and _holds(build, call, x, found, gradients=gradients):
                words = {"taken over": "from an earlier process, and faster than the model again"}
            else:
                steps, words = best_steps(build, call, x, gradients=gradients, engines=available != TORCH)
                found = steps, None if steps is None or len(x) == 1 else _pieces(build, steps, x, gradients=gradients)
                remember(question, *found)
    except Exception as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            raise
        found, words = (None, None), {"why": f"preparing it failed ({reason(error)})"}
    steps, pieces = found
    if pieces is not None:
        words["pieces"] = f"{pieces.samples} samples"
    hand_back()
    return Found(steps, pieces, words | {"measured in": f"{time.perf_counter() - began:.1f} s"})


def _holds(
    build: Build,
    call: Callable[[Tensor], Any],
    x: Tensor,
    found: tuple[Steps | None, Pieces | None],
    *,
    gradients: bool,
) -> bool:
    """Whether what was fastest in an earlier process is all that is asked, and faster than the model in this one."""
    steps, pieces = found
    if steps is None or (pieces is None and len(x) > 1):
        return steps is None
    program, _ = build.program([], "all" if gradients else "none", steps, single=len(x) == 1)
    return still_faster(program, call, x, gradients=gradients)


def _pieces(build: Build, steps: Steps, x: Tensor, *, gradients: bool) -> Pieces:
    program, _ = build.program([], "all" if gradients else "none", steps)
    return best_pieces(program, x, gradients=gradients)
