"""Faults of torch itself, worked around: takes intercepted calls, gives right gradients; nothing else ever goes here.

Batch norm in eval mode gets the gradient of a single image wrong on the CPU when the gradient that arrives has a
batch stride other than its size suggests, as after ``flatten(2).transpose(1, 2)`` (torch 2.14.1: convolutional stems
of transformers, at batch size 1). Instance norm gets it wrong when the gradient of a single image arrives channels
last, as from a convolution of such weights. A gradient with an axis of length 1 is therefore brought into plain order
first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from seewhy.core.intercept.functions import Call, Handler

__all__ = ["WORKAROUNDS"]


def _norm(call: Call, proceed: Callable[[Call], Any]) -> Any:
    out = proceed(call)
    if isinstance(out, Tensor) and out.requires_grad and 1 in out.shape:
        out.register_hook(_plain_order)  # type: ignore[no-untyped-call]  # on a tensor of this pass: it dies with the pass
    return out


def _plain_order(gradient: Tensor | None) -> Tensor | None:
    return None if gradient is None else gradient.contiguous()  # none comes from behind a quantised layer


WORKAROUNDS: dict[str, Handler] = {"batch_norm": _norm, "instance_norm": _norm}
