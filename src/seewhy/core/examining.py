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

from seewhy.core.functions import canonical_name
from seewhy.core.network import Network
from seewhy.core.outputs import Forward, main_tensor
from seewhy.core.rules import RECTIFIERS
from seewhy.errors import SeewhyError

__all__ = ["Examination", "Passed", "examine"]


@dataclass(frozen=True)
class Passed:
    """One call of one module: what it put out, whether a gradient runs through it, and the share of zeros."""

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
    changed_buffers: list[str] = field(default_factory=list)
    differentiable: bool = False
    gradient: Tensor | None = None
    seconds_forward: float = 0.0
    seconds_backward: float = 0.0


def examine(network: Network, x: Tensor, other: Tensor, score: Callable[[Forward], Tensor]) -> Examination:
    """Run the network on ``x`` and ``other`` [1, C, *size] each; ``score`` makes the number whose gradient is looked
    at.

    The network is left as it was. Its own errors become `Examination.failure`.
    """
    found = Examination()
    with network.borrowed() as call:
        try:
            with torch.no_grad():
                found.output = _scores(call(x.clone()))
                found.again = _scores(call(x.clone()))
                found.other = _scores(call(other.clone()))
                found.together = _scores(call(torch.cat([x, other])))
        except (SeewhyError, KeyboardInterrupt):
            raise
        except Exception as error:  # whatever somebody's forward raises is what is wrong with it
            found.failure = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
            if found.output is None:
                return found
        if network.root is not None:
            _watched(network.root, call, x, score, found)
    return found


def _scores(raw: Any) -> Tensor | None:
    try:
        return main_tensor(raw).detach()
    except SeewhyError:  # an output that only a target of the user's understands
        return None


def _watched(
    root: nn.Module, call: Callable[[Tensor], Any], x: Tensor, score: Callable[[Forward], Tensor], found: Examination
) -> None:
    """One forward with every module's output kept, and one backward to all of them."""
    leaf, kept = x.clone().requires_grad_(), list[tuple[str, nn.Module, tuple[Any, ...], Any]]()
    before = {name: (buffer, buffer.clone()) for name, buffer in root.named_buffers()}
    counter = _Counter(found.activations)
    with ExitStack() as stack:
        for name, part in root.named_modules():
            if name:

                def keep(module: nn.Module, args: Any, out: Any, name: str = name) -> None:
                    kept.append((name, module, args, out))

                stack.callback(part.register_forward_hook(keep).remove)
        stack.enter_context(counter)
        began = time.perf_counter()
        raw = call(leaf.clone())  # a first layer that works in place may not touch a leaf
        found.seconds_forward = time.perf_counter() - began
    now = dict(root.named_buffers())
    found.changed_buffers = [
        name for name, (buffer, copy) in before.items() if now.get(name) is not buffer or not _same(buffer, copy)
    ]
    found.raw = raw
    grads: dict[int, Tensor | None] = {}
    tensors = [out for *_, out in kept if isinstance(out, Tensor) and out.requires_grad]
    try:
        value = score(Forward(raw, 1)).sum()
    except SeewhyError:
        value = torch.zeros(())
    found.differentiable = value.requires_grad
    if value.requires_grad:
        began = time.perf_counter()
        (found.gradient, *rest) = torch.autograd.grad(value, [leaf, *tensors], allow_unused=True)
        found.seconds_backward = time.perf_counter() - began
        grads = {id(tensor): grad for tensor, grad in zip(tensors, rest, strict=True)}
    for name, module, args, out in kept:
        if isinstance(out, Tensor):
            grad = grads.get(id(out))
            felt = bool(grad.any()) if grad is not None else False if id(out) in grads else None
            takes = any(isinstance(a, Tensor) and a.requires_grad for a in args)
            zeros = float((out == 0).double().mean()) if out.numel() else 0.0
            found.calls.append(
                Passed(name, type(module).__name__, tuple(out.shape), takes, out.requires_grad, zeros, felt)
            )


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a, b))


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
