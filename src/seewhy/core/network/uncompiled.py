"""What would hide a forward, set aside for its length: takes a module's parts, gives contexts in which nothing is
compiled and nothing recomputed; leaves everything as it was.

A compiled module runs a program that its hooks and intercepted functions are no part of. A checkpointed one records
nothing, and runs again, unwatched, when the gradient comes by: rules for that gradient then never hold, and torch
refuses the gradients at chosen tensors that are asked for here.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.utils.checkpoint as checkpointing
from torch import nn

from seewhy.core.network.parts import Parts

__all__ = ["uncompiled", "unrepeated"]

#: where a module keeps its compiled call, and a ``torch.compile`` around it the module
_COMPILED, _WITHIN = "_compiled_call_impl", "_orig_mod"


@contextmanager
def uncompiled(parts: Parts) -> Iterator[None]:
    """No part runs as ``module.compile()`` or a ``torch.compile`` around it has it run. The parts' locks are held."""
    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        seen = parts.seen
        some = any(seen.of(_COMPILED)) or any(_WITHIN in inner for inner in filter(None, seen.of("_modules")))
        for part in parts if some else ():  # nearly never
            own = part.__dict__
            if isinstance(part, torch.jit.ScriptModule):
                continue
            if own.get(_COMPILED) is not None:
                before.append((own, _COMPILED, own[_COMPILED]))
                own[_COMPILED] = None
            inner = part._modules.get(_WITHIN)
            if isinstance(inner, nn.Module) and "forward" in own:  # torch.compile(part), somewhere inside
                before.append((own, "forward", own["forward"]))
                own["forward"] = inner
        if before:
            parts.forget()
        yield
    finally:
        for own, name, value in reversed(before):
            own[name] = value


class _Here(threading.local):
    """How many forwards of ours are under way in a thread."""

    depth = 0


_here = _Here()

_guard = threading.Lock()

_users = 0

#: what `torch.utils.checkpoint.checkpoint` looks up by name, and what stands there meanwhile
_originals: dict[str, Any] = {}


@contextmanager
def unrepeated() -> Iterator[None]:
    """`torch.utils.checkpoint` runs its function once, recorded like any other, in this thread; other threads
    checkpoint as ever."""
    _install()
    _here.depth += 1
    try:
        yield
    finally:
        _here.depth -= 1
        _uninstall()


def _install() -> None:
    global _users
    with _guard:
        _users += 1
        if _users > 1:
            return
        for name, make in _STANDING_IN.items():
            if (original := getattr(checkpointing, name, None)) is not None:
                _originals[name] = original
                setattr(checkpointing, name, make(original))


def _uninstall() -> None:
    global _users
    with _guard:
        _users -= 1
        if not _users:
            for name, original in _originals.items():
                setattr(checkpointing, name, original)
            _originals.clear()


@functools.cache
def _reentrant(original: Any) -> Any:
    class CheckpointFunction:
        @staticmethod
        def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
            return function(*args) if _here.depth else original.apply(function, preserve, *args)

    return CheckpointFunction


def _by_hooks(original: Callable[..., Any]) -> Callable[..., Any]:
    def generator(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Iterator[None]:
        if not _here.depth:
            yield from original(function, *args, **kwargs)
            return
        yield  # torch runs the function between the two

    return generator


_STANDING_IN: dict[str, Callable[[Any], Any]] = {
    "CheckpointFunction": _reentrant,
    # the name that it had before torch 2.13, and the one since
    "_checkpoint_without_reentrant_generator": _by_hooks,
    "_checkpoint_without_reentrant_generator_impl": _by_hooks,
}
