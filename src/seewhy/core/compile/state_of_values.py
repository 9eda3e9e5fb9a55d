"""State of values: takes values that a model has or reads, gives what can be compared at a later time: the bytes of
tensors and arrays, values where they are plain, what lies in containers and in objects, the identity of the rest, which
is kept as long as it is compared; runs nothing."""

from __future__ import annotations

import array
import datetime
import decimal
import fractions
import functools
import logging
import os
import pathlib
import random
import re
import uuid
import weakref
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from contextvars import ContextVar
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GenericAlias,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seewhy.core.compile.attributes import PLAIN, Split, split_of, written_down
from seewhy.core.compile.checksums import digest
from seewhy.core.compile.state_of_code import Whole, left_alone, read_by, read_of
from seewhy.core.compile.state_of_python import (
    MOST_BYTES,
    Same,
    attributes,
    beneath,
    bytes_of,
    in_logger,
    is_python,
    refuse_shared,
)
from seewhy.core.network.parts import tensors_of
from seewhy.errors import CapabilityError

__all__ = ["Look"]

#: what objects that are plain in the end are made from
_BASES: tuple[Any, ...] = (int, float, complex, str, bytes)

#: values that nobody can change, and that are the same where they are equal
_VALUES = (
    range, CodeType, ModuleType, type, fractions.Fraction, decimal.Decimal, datetime.date, datetime.time,
    datetime.timedelta, datetime.tzinfo, uuid.UUID, pathlib.PurePath, re.Pattern, np.dtype, torch.dtype, torch.device,
    torch.layout, torch.memory_format, type(...), type(NotImplemented),
)  # fmt: skip

_SEQUENCES = (list, tuple, deque)

_PLAIN_OR_TUPLE = PLAIN | {tuple}

_CONTAINERS = frozenset((tuple, list, set, frozenset))

_MAPPINGS = (dict, MappingProxyType)

_BUFFERS = (bytearray, array.array)

#: entries in all that are looked at in every call; with more there is no program
_MOST = 100_000

#: how deep attributes of attributes are followed; with more there is no program
_DEEP = 12

#: those of the libraries that are left alone whose objects hold what people put into them, besides Python's own
_OPEN = ("numpy", "scipy", "transformers", "torch.distributions", "torch.nn")


class Look:
    """One look at a network of these ``parts``: gives of every value what can be compared. Each object is entered once,
    however many refer to it."""

    def __init__(self, parts: Sequence[nn.Module] = ()) -> None:
        self._parts = parts
        self._held: set[int] | None = None
        self._left = _MOST
        # an object that is made for the look (a bound method) must not give its number to the next one
        self._kept: list[Any] = []

    @functools.cached_property
    def _seen(self) -> dict[int, int]:
        """The numbers that objects were given, those of the parts first."""
        return {id(part): n for n, part in enumerate(self._parts)}

    def several(self, values: Sequence[Any], split: Split | None = None, names: Sequence[str] = ()) -> tuple[Any, ...]:
        """What is to be compared of several values, with their names if those are asked for: the plain ones as bytes,
        then the others. ``split`` is how they fall into those, where that is known."""
        split = split_of(values) if split is None else split
        others = [v if type(v := values[n]) is Whole else self(v, names[n] if names else "") for n in split.rest]
        return (self._counted(split.written, names[0] if names else ""), *others)

    def __call__(self, value: Any, name: str = "", depth: int = 0) -> Hashable:
        """What is to be compared of ``value``, which the model has as ``name``.

        Raises `CapabilityError` where that is too much, or cannot be done.
        """
        kind = type(value)
        if kind is Whole or kind is Same:
            return value  # type: ignore[no-any-return]
        if kind in PLAIN or _flat(value, kind):
            return self._written(value, name)
        number = id(value)
        if number in self._seen:
            return self._seen[number]
        if isinstance(value, _VALUES) and (kind is not type or left_alone(value.__module__)):
            return Whole((kind, value))
        if isinstance(value, Tensor):
            version = None if value.is_inference() else value._version
            own = (self(value.__dict__, name, depth + 1),) if value.__dict__ else ()
            return number, _address(value), version, self._bits(value), *own
        inner = self._inside(value, kind, name)
        if inner is None:
            return Same(value)
        if depth == _DEEP:
            raise CapabilityError(f"its {name!r} is nested deeper than can be looked at in every call")
        self._seen[number] = len(self._seen)
        self._kept.append(value)
        self._left -= len(inner)
        if self._left < 0:
            raise CapabilityError(f"its {name!r} holds more than can be looked at in every call")
        plain = [v if type(v) in PLAIN or _flat(v, type(v)) else ... for v in inner]
        others = [self(item, name, depth + 1) for item, flat in zip(inner, plain, strict=True) if flat is ...]
        return (kind.__name__, self._written(plain, name), *others)

    def _written(self, value: Any, name: str) -> bytes:
        """A plain value, or a container of plain ones, so that it can be compared to the bit."""
        return self._counted(written_down(value), name)

    def _counted(self, written: bytes, name: str) -> bytes:
        self._left -= len(written) // _EACH
        if self._left < 0:
            raise CapabilityError(f"its {name!r} holds more than can be looked at in every call")
        return written

    def _inside(self, value: Any, kind: type, name: str) -> Sequence[Any] | None:
        """What a value is made of; None for what its identity stands for."""
        if isinstance(value, _MAPPINGS):
            return [*value.keys(), *value.values(), *attributes(value, kind)]
        if isinstance(value, _SEQUENCES):
            return [*value, *attributes(value, kind)]
        if isinstance(value, set | frozenset):
            return [*sorted(value, key=_order), *attributes(value, kind)]
        if isinstance(value, np.ndarray | np.generic):
            return [*_array(value, name), *(() if kind is np.ndarray else attributes(value, kind))]
        if isinstance(value, _BUFFERS):
            return [bytes_of(memoryview(value), kind, name), *attributes(value, kind)]
        if kind is FunctionType:
            code = Whole((value.__code__,))
            return [code] if left_alone(value.__module__) else [code, *value.__dict__.values(), *read_of(value)]
        if isinstance(value, functools.partial):
            return [value.func, value.args, value.keywords, *attributes(value, kind)]
        if kind is MethodType:
            return [value.__func__, value.__self__]
        if kind is BuiltinFunctionType:
            owner = value.__self__
            return None if owner is None or isinstance(owner, ModuleType) else [value.__name__, owner]
        if kind is slice:
            return [value.start, value.stop, value.step]
        if isinstance(value, type):
            # what code reads of classes by their names is among its readings; this one an object has, or is one of
            return [Whole((value,)), *(reading for _, reading in read_by([value]))]
        if isinstance(value, nn.Module) and kind.__module__.partition(".")[0] == "keras":
            # its weights are looked at with the network's; what else it keeps is its own book-keeping
            return [
                part
                for item in value.__dict__.items()
                if type(item[1]) in PLAIN or _flat(item[1], type(item[1]))
                for part in item
            ]
        if isinstance(value, nn.Module):
            return attributes(value, kind)
        return self._of_library(value, kind, name)

    def _of_library(self, value: Any, kind: type, name: str) -> Sequence[Any] | None:
        """What an object is made of that is neither container, function nor module; None for what its identity stands
        for."""
        refuse_shared(value, kind, name)
        if (drawn := _drawn(value)) is not None:
            return [drawn]
        if isinstance(value, ContextVar):
            return [value.get(None)]
        if isinstance(value, os._Environ):
            return [dict(value)]
        if isinstance(value, weakref.ref):
            return [value()]
        base = next((base for base in _BASES if isinstance(value, base)), None)
        if base is not None:
            return [*base.__getnewargs__(value), *attributes(value, kind)]
        if isinstance(value, logging.Logger):
            return in_logger(value)
        if kind.__module__ == "typing" or kind is GenericAlias:
            return None
        memory = _as_array(value, kind, name)
        if memory and is_python(kind):
            return memory
        if not left_alone(kind.__module__) or is_python(kind) or kind.__module__.startswith(_OPEN):
            return [*([Same(value)] if memory else beneath(value, kind, name)), *memory, *attributes(value, kind)]
        return memory or None

    def _bits(self, value: Tensor) -> Hashable:
        """What lies in a tensor that is neither parameter nor buffer: code may have read it as Python's numbers, which
        stand in a graph as they were."""
        if self._held is None:
            self._held = set(map(id, tensors_of(self._parts)))
        return None if id(value) in self._held else digest(value)


#: about how many bytes a number takes that is written down
_EACH = 8


def _flat(value: Any, kind: type) -> bool:
    """Whether a value is a container of Python's own with nothing but plain ones, and tuples of such, in it."""
    if kind is dict:
        return _all_plain(value) and _all_plain(value.values())
    return kind in _CONTAINERS and _all_plain(value)


def _all_plain(values: Iterable[Any]) -> bool:
    kinds = set(map(type, values))
    if kinds <= PLAIN:
        return True
    if not kinds <= _PLAIN_OR_TUPLE:
        return False
    return all(PLAIN.issuperset(map(type, value)) for value in values if type(value) is tuple)


def _order(value: Any) -> tuple[str, str, int]:
    """An order in which a set is the same as long as it holds the same."""
    return type(value).__name__, repr(value) if type(value) in PLAIN else "", hash(value)


def _array(value: Any, name: str) -> list[Any]:
    """What lies in an array, or is a number of numpy's."""
    if value.dtype.hasobject:
        return [value.shape, *value.flat]
    if value.nbytes > MOST_BYTES:
        raise CapabilityError(f"its {name!r} is a large numpy array, which can be changed without a trace")
    return [value.dtype, value.shape, value.tobytes()]


def _as_array(value: Any, kind: type, name: str) -> list[Any]:
    """What lies in something that gives its memory, or itself as an array: pictures, tables, structures of C."""
    if hasattr(kind, "__array__") or hasattr(value, "__array_interface__"):
        try:
            data = np.asarray(value)
        except Exception:  # it has that, and has it for nothing
            return []
        return _array(data, name)
    try:
        view = memoryview(value)
    except TypeError:
        return []
    return [bytes_of(view, kind, name)]


def _drawn(value: Any) -> Any:
    """How far a generator of random numbers is; None for what is none."""
    if isinstance(value, torch.Generator):
        return value.get_state().cpu().numpy()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, np.random.RandomState):
        return value.get_state(legacy=False)
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        return value.getstate()
    return None


def _address(value: Tensor) -> int:
    try:
        return value.data_ptr()
    except RuntimeError:  # one without memory of its own, such as a sparse one
        return 0
