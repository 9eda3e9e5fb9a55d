"""State of what Python itself brings along: takes an object of its library (or made from one), gives what no attribute
of it shows; raises `CapabilityError` for what nobody can look into; runs nothing."""

from __future__ import annotations

import ctypes
import decimal
import functools
import io
import logging
import operator
import re
import struct
import sys
import threading
import types
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from typing import Any

from seewhy.errors import CapabilityError

__all__ = [
    "MOST_BYTES",
    "Same",
    "attributes",
    "beneath",
    "bytes_of",
    "in_logger",
    "is_python",
    "refuse_shared",
    "settings_of_python",
]

#: bytes of one array that are looked at in every call; with more there is no program
MOST_BYTES = 65_536

#: what Python's own ``class`` says of the types that it makes, and what those made in C say
_MADE, _FIXED = 1 << 9, 1 << 8

#: made in C, and nothing in it that attributes do not show
_SHOWN = (
    types.SimpleNamespace, types.UnionType, operator.itemgetter, operator.attrgetter,
    operator.methodcaller, struct.Struct, re.Match, type(threading.RLock()), type(functools.lru_cache(abs)),
)  # fmt: skip

_VIEWS: tuple[Any, ...] = (type({}.keys()), type({}.values()), type({}.items()))

#: what an object has by its type alone
_BARE = frozenset((list, tuple, dict, deque))

#: what loggers share with all others, or make of each other
_SHARED = frozenset(("manager", "parent", "root", "handlers", "_cache"))


class Same:
    """An object of which nothing can be looked at: the very same one. It is kept, unless it can be known to have gone,
    so that no other one has its number meanwhile."""

    __slots__ = ("_held", "_number")

    def __init__(self, value: Any) -> None:
        self._number = id(value)
        self._held: Callable[[], Any]
        try:
            self._held = weakref.ref(value)
        except TypeError:
            self._held = lambda: value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Same) or self._number != other._number:
            return False
        return (held := self._held()) is not None and held is other._held()

    def __hash__(self) -> int:
        return self._number


def is_python(kind: type) -> bool:
    """Whether a type comes with Python."""
    return kind.__module__.partition(".")[0] in sys.stdlib_module_names


def settings_of_python() -> tuple[Hashable, ...]:
    """What Python computes by, for all code alike."""
    context = decimal.getcontext()
    numbers = context.prec, context.rounding, context.Emin, context.Emax, context.capitals, context.clamp
    return (*numbers, *context.traps.values(), sys.getrecursionlimit())


def beneath(value: Any, kind: type, name: str) -> list[Any]:
    """What an object has besides its attributes, of types that are made in C; the model has it as ``name``."""
    below = next((owner for owner in kind.__mro__ if owner is not object and not _by_python(owner)), None)
    if below is None:
        return [Same(value)] if is_python(kind) else []
    if not is_python(below) or issubclass(kind, _SHOWN) or hasattr(below, "__get__"):
        return [Same(value)]
    if issubclass(kind, BaseException):
        return [value.args]
    if isinstance(value, _VIEWS):
        return [value.mapping]
    if isinstance(value, types.CellType):
        return [*_contents(value)]
    if isinstance(value, types.MethodWrapperType):
        return [value.__name__, value.__self__]
    if isinstance(value, io.BytesIO | io.StringIO):
        return [] if value.closed else [value.getvalue(), value.tell()]
    if isinstance(value, io.IOBase):  # one that is written alone
        return [Same(value)]
    for held in ("locked", "_get_value"):  # of locks and semaphores
        if hasattr(below, held):
            return [Same(value), getattr(value, held)()]
    if isinstance(value, Iterator):
        raise CapabilityError(f"its {name!r} is a {kind.__name__}, and how far that is nobody can look at")
    raise CapabilityError(f"its {name!r} is a {kind.__name__}, into which nobody can look")


def refuse_shared(value: Any, kind: type, name: str) -> None:
    """Raise `CapabilityError` for what gives what other threads, processes or programs write."""
    if isinstance(value, threading.local):
        raise CapabilityError(f"its {name!r} is a threading.local, of which every thread reads its own")
    managers = sys.modules.get("multiprocessing.managers")
    elsewhere = isinstance(value, ctypes._Pointer) or (managers and isinstance(value, managers.BaseProxy))
    if elsewhere or (hasattr(kind, "fileno") and not _written_alone(value)):
        raise CapabilityError(f"its {name!r} is a {kind.__name__}, and what comes through that nobody can look at")


def _written_alone(value: Any) -> bool:
    """Whether a file lies in memory, or is not to be read from."""
    if any(value is stream for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)):
        return True
    return isinstance(value, io.BytesIO | io.StringIO) or (
        isinstance(value, io.IOBase) and (value.closed or not value.readable())
    )


def in_logger(value: logging.Logger) -> list[Any]:
    """What a logger goes by; those above it are asked for no more than its level."""
    own = {name: held for name, held in vars(value).items() if name not in _SHARED}
    return [Same(value), own, value.getEffectiveLevel(), value.manager.disable, *map(Same, value.handlers)]


def _contents(cell: types.CellType) -> Iterator[Any]:
    """What is in a closure's cell, if anything is so far."""
    with suppress(ValueError):
        yield cell.cell_contents


def _by_python(owner: type) -> bool:
    """Whether a class is made by Python's ``class``, so that its attributes are all that its objects have."""
    return bool(owner.__flags__ & _MADE) and not owner.__flags__ & _FIXED


#: the slots of a class and of its bases
_slots: weakref.WeakKeyDictionary[type, tuple[str, ...]] = weakref.WeakKeyDictionary()


def attributes(value: Any, kind: type) -> list[Any]:
    """What an object has by names, in its dictionary and its slots, and what it is."""
    if kind in _BARE:
        return []
    slots = _slots.get(kind)
    if slots is None:
        namespaces = [vars(owner).items() for owner in kind.__mro__]
        slots = tuple(name for space in namespaces for name, slot in space if type(slot) is types.MemberDescriptorType)
        _slots[kind] = slots
    own = getattr(value, "__dict__", {})
    return [kind, *own.keys(), *own.values(), *(getattr(value, slot) for slot in slots if hasattr(value, slot))]


def bytes_of(view: memoryview, kind: type, name: str) -> bytes:
    """What lies in the memory that an object gives."""
    if view.nbytes > MOST_BYTES:
        raise CapabilityError(f"its {name!r} is a large {kind.__name__}, which can be changed without a trace")
    return view.tobytes()
