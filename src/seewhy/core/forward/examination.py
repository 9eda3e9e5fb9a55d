"""A network under examination: takes one input, gives what a few plain forwards and a backward show; judges nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.intercept.backward_rules import RECTIFIERS
from seewhy.core.intercept.functions import canonical_name
from seewhy.core.network.borrowed import Network
from seewhy.core.network.capture import Tape, record
from seewhy.core.network.outputs import Outputs, main_tensor
from seewhy.errors import CapabilityError, SeewhyError

__all__ = ["Examination", "Passed", "examine"]


@dataclass(frozen=True)
class Passed:
    """One call of one module: what it put out, whether what ran before it carries a gradient and whether it does, and
    the share of zeros."""

    name: str
    kind: str
    shape: tuple[int, ...]
    takes_gradient: bool
    gives_gradient: bool
    zeros: float
    #: whether the score's gradient at what it put out is anything but 0; None where there is none
    felt: bool | None = None


@dataclass
class Examination:
    """What was seen of a network on two inputs that differ.

    ``failure`` is the error of its own forward; ``calls`` are its modules' calls in order; ``activations`` counts the
    rectifiers met, by whether a module's, a functional or an in-place call; outputs are those of the first input:
    again, in a batch with the second, and of the second.
    """

    failure: str = ""
    output: Tensor | None = None
    raw: Any = None
    again: Tensor | None = None
    together: Tensor | None = None
    other: Tensor | None = None
    calls: list[Passed] = field(default_factory=list)
    activations: Counter[str] = field(default_factory=Counter)
    #: why it takes one input at a time; '' if it takes two
    alone: str = ""
    changed_buffers: list[str] = field(default_factory=list)
    #: whether there was a number whose gradient could be looked at
    scored: bool = False
    differentiable: bool = False
    gradient: Tensor | None = None
    seconds_forward: float = 0.0
    seconds_backward: float = 0.0


def examine(network: Network, x: Tensor, other: Tensor, score: Callable[[Outputs], Tensor]) -> Examination:
    """Run the network on ``x`` and ``other`` [1, C, *size] each; ``score`` makes the number whose gradient is looked
    at.

    The network is left as it was. Its own errors become `Examination.failure`.
    """
    examination = Examination()
    with network.borrowed() as call:
        try:
            with torch.no_grad():
                examination.output = _scores(call(x.clone()))
                examination.again = _scores(call(x.clone()))
                examination.other = _scores(call(other.clone()))
                examination.together, examination.alone = _together(call, torch.cat([x, other]))
        except (SeewhyError, KeyboardInterrupt):
            raise
        except Exception as error:  # whatever somebody's forward raises is what is wrong with it
            examination.failure = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
            if examination.output is None:
                return examination
        if network.root is not None:
            _watched(network.root, call, x, score, examination)
    return examination


def _together(call: Callable[[Tensor], Any], pair: Tensor) -> tuple[Tensor | None, str]:
    """What two inputs give together; or why they have to go one by one."""
    try:
        return _scores(call(pair)), ""
    except CapabilityError as error:
        return None, str(error)


def _scores(raw: Any) -> Tensor | None:
    try:
        scores = main_tensor(raw).detach()
        return scores if scores.ndim else scores.reshape(1)  # of one image
    except SeewhyError:  # an output that only a target of the user's understands
        return None


def _watched(
    root: nn.Module,
    call: Callable[[Tensor], Any],
    x: Tensor,
    score: Callable[[Outputs], Tensor],
    examination: Examination,
) -> None:
    """One forward with every module's output noted, and one backward to all of them."""
    leaf, tape = x.clone().requires_grad_(), Tape()
    before = {name: (buffer, buffer.clone()) for name, buffer in root.named_buffers()}
    with ExitStack() as stack:
        if not isinstance(root, torch.jit.ScriptModule):  # it runs its layers unseen
            stack.enter_context(record(root, tape))
        stack.enter_context(_Counter(examination.activations))
        began = time.perf_counter()
        raw = call(leaf.clone())  # a first layer that works in place may not touch a leaf
        examination.seconds_forward = time.perf_counter() - began
    now = dict(root.named_buffers())
    examination.changed_buffers = [
        name for name, (buffer, copy) in before.items() if now.get(name) is not buffer or not torch.equal(buffer, copy)
    ]
    examination.raw = raw
    try:
        value = score(Outputs(raw, 1)).sum()
        examination.scored = True
    except SeewhyError:  # an output that only a target of the user's understands
        value = torch.zeros(())
    examination.differentiable = value.requires_grad
    outputs = [tape.outputs[seen.identity] for seen in tape.seen]
    grads: list[Tensor | None] = [None] * len(outputs)
    if value.requires_grad:
        began = time.perf_counter()
        reached = [n for n, out in enumerate(outputs) if out.requires_grad]
        (examination.gradient, *rest) = torch.autograd.grad(
            value, [leaf, *(outputs[n] for n in reached)], allow_unused=True
        )
        examination.seconds_backward = time.perf_counter() - began
        for n, grad in zip(reached, rest, strict=True):
            grads[n] = torch.zeros(()) if grad is None else grad
    carried = True  # whether anything so far carries a gradient: the input does
    for seen, out, felt_there in zip(tape.seen, outputs, grads, strict=True):
        if seen.name:
            zeros = float((out == 0).double().mean()) if out.numel() else 0.0
            felt = None if felt_there is None else bool(felt_there.any())
            examination.calls.append(Passed(seen.name, seen.kind, seen.shape, carried, out.requires_grad, zeros, felt))
            carried = out.requires_grad


class _Counter(torch.overrides.TorchFunctionMode):
    """Counts rectifiers as they are called: those of modules cannot be told from functionals here, in-place ones
    can."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self._counts = counts

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count and run."""
        name, kwargs = canonical_name(func), kwargs or {}
        if name in RECTIFIERS:
            place = name.endswith("_") or kwargs.get("inplace") is True
            self._counts[f"{name.rstrip('_')}{', in place' if place else ''}"] += 1
        return func(*args, **kwargs)
