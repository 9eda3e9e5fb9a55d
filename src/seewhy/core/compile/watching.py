"""Watching: takes tensors, attributes, and classes of modules, gives what can be compared at a later time: the bytes of
tensors, values where they are plain, what lies in containers and in the user's own objects, identities of the rest;
runs nothing.

What a function reads besides its arguments is found in its code: the names of globals (and of what is read of modules
and classes among them), cells of closures, defaults, and the same of the functions that it calls by such names.
"""

from __future__ import annotations

import array
import functools
import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from seewhy.core.network.borrowed import tensors_of
from seewhy.errors import CapabilityError

__all__ = ["PLAIN", "Bits", "Look", "digest", "for_sums", "is_plain", "read_by"]

#: what elements of so many bytes are read as
_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Bits:
    """What lies in ``views`` [n] each; to be asked while their tensors lie where they did.

    Numpy puts hundreds of small views together in a fifth of torch's time; where it cannot look, torch does. It looks
    through dlpack, as ``Tensor.numpy`` would forbid the user to resize a tensor ever after.
    """

    def __init__(self, views: Iterable[Tensor]) -> None:
        self._near: dict[torch.dtype, list[np.ndarray[Any, Any]]] = {}
        self._far: dict[object, list[Tensor]] = {}
        for view in views:
            word = _WORDS.get(view.element_size())
            plain = type(view) is Tensor and view.device.type == "cpu" and not (view.is_conj() or view.is_neg())
            if plain and word is not None:
                self._near.setdefault(word, []).append(np.from_dlpack(view.detach().view(word)))
            else:
                self._far.setdefault((view.dtype, view.device), []).append(view)

    def now(self) -> bytes:
        """The bytes as they are now, in an order of their own."""
        near = [np.concatenate(views).tobytes() for views in self._near.values()]
        with torch.no_grad():
            far = [torch.cat(views).cpu().resolve_conj().resolve_neg() for views in self._far.values()]
        return b"".join((*near, *(each.view(torch.uint8).numpy().tobytes() for each in far)))


#: tensors below this many bytes are compared as they are
_SMALL = 16384

#: how many numbers of 8 bytes of a large tensor are summed up together, each far from the next
_TOGETHER = 16


def for_sums(bits: Tensor) -> tuple[Tensor | None, Tensor]:
    """A view [16, n] of the ``bits`` of a large tensor, to be summed up along its first axis, and the rest; None for a
    small one.

    What is summed up together lies an odd number of places apart, a sixteenth of the tensor: values that change places
    within a kernel, a channel or a layer come into other sums.
    """
    if bits.numel() < _SMALL or bits.storage_offset() % 8:
        return None, bits
    apart = bits.numel() // (8 * _TOGETHER)
    apart -= apart % 2 == 0
    summed = 8 * _TOGETHER * apart
    return bits[:summed].view(torch.int64).reshape(_TOGETHER, apart), bits[summed:]


def digest(tensor: Tensor) -> bytes:
    """What lies in ``tensor``: all bytes of a small one, sums over those of a large one; nothing of one that has no
    memory of its own."""
    if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized or tensor.numel() == 0:
        return b""
    with torch.no_grad():
        bits = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
        summed, rest = for_sums(bits)
        parts = [rest] if summed is None else [summed.sum(0).view(torch.uint8), rest]
        return b"".join(np.from_dlpack(each.cpu()).tobytes() for each in parts)


PLAIN = frozenset((int, float, bool, str, bytes, complex, type(None)))

_BY_IDENTITY = frozenset((BuiltinFunctionType, ModuleType))

_SEQUENCES = (list, tuple, deque)

_MAPPINGS = (dict, MappingProxyType)

_BUFFERS = (bytearray, array.array)

#: entries in all, and bytes of one array, that are looked at in every call; with more there is no program
_MOST, _BYTES = 20_000, 65_536

#: how deep attributes of attributes are followed; with more there is no program
_DEEP = 12

#: packages whose own globals and objects are not looked into
_LEFT = frozenset(("torch", "numpy", "keras", "transformers", "scipy", "PIL", "seewhy")) | sys.stdlib_module_names

#: what is called without its name
_SPECIAL = frozenset(("__call__", "__init__", "__new__", "__post_init__", "__getattr__", "__getitem__", "__enter__"))

#: those of Python's own whose objects hold what people put into them
_HOLDERS = frozenset(("argparse", "collections", "configparser", "types"))


def is_plain(value: Any) -> bool:
    """Whether a value, compared, is the same."""
    kind = type(value)
    return kind in PLAIN or (kind is tuple and PLAIN.issuperset(map(type, value)))


class Look:
    """One look at a network of these ``parts``: gives of every value what can be compared. Each object is entered once,
    however many refer to it."""

    def __init__(self, parts: Sequence[nn.Module] = ()) -> None:
        self._seen: dict[int, int] = {id(part): n for n, part in enumerate(parts)}
        self._parts = parts
        self._held: set[int] | None = None
        self._left = _MOST
        # an object that is made for the look (a bound method) must not give its number to the next one
        self._kept: list[Any] = []

    def __call__(self, value: Any, name: str = "", depth: int = 0) -> Hashable:
        """What is to be compared of ``value``, which the model has as ``name``.

        Raises `CapabilityError` where that is too much.
        """
        kind = type(value)
        if is_plain(value):
            return value  # type: ignore[no-any-return]
        number = id(value)
        if kind in _BY_IDENTITY:
            return number
        if number in self._seen:
            return number
        if isinstance(value, Tensor):
            return number, _address(value), None if value.is_inference() else value._version, self._bits(value)
        inner = self._inside(value, kind, name)
        if inner is None:
            return number
        if depth == _DEEP:
            raise CapabilityError(f"its {name!r} is nested deeper than can be looked at in every call")
        self._seen[number] = len(self._seen)
        self._kept.append(value)
        self._left -= len(inner)
        if self._left < 0:
            raise CapabilityError(f"its {name!r} holds more than can be looked at in every call")
        found = [self(each, name, depth + 1) for each in inner]
        plain = kind in _SEQUENCES or kind is dict
        return (kind.__name__ if plain else number, len(found), *found)

    def _inside(self, value: Any, kind: type, name: str) -> Sequence[Any] | None:
        """What a value is made of; None for what its identity stands for."""
        if isinstance(value, _MAPPINGS):
            return [*value.keys(), *value.values(), *_attributes(value, kind)]
        if isinstance(value, _SEQUENCES):
            return [*value, *_attributes(value, kind)]
        if isinstance(value, set | frozenset):
            return [*sorted(map(hash, value)), *_attributes(value, kind)]
        if isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                return [value.shape, *value.flat]
            if value.nbytes > _BYTES:
                raise CapabilityError(f"its {name!r} is a large numpy array, which can be changed without a trace")
            return [value.shape, value.tobytes()]
        if isinstance(value, _BUFFERS):
            if len(value) > _BYTES:
                raise CapabilityError(f"its {name!r} is a large {kind.__name__}, which can be changed without a trace")
            return [bytes(value)]
        if kind is ContextVar:
            return [value.get(None)]
        if kind is FunctionType:
            return None if _left_alone(value.__module__) else [*value.__dict__.values(), *_read_of(value)]
        if kind is functools.partial:
            return [value.func, value.args, value.keywords]
        if kind is MethodType:
            return [value.__func__, value.__self__]
        if isinstance(value, type):
            # what code reads of classes by their names is among its readings; this one an object has, or is one of
            return None if _left_alone(value.__module__) else [each for _, each in read_by([value])]
        if isinstance(value, ModuleType):
            return None
        if isinstance(value, nn.Module) and kind.__module__.partition(".")[0] == "keras":
            # its weights are looked at with the network's; what else it keeps is its own book-keeping
            return [each for item in value.__dict__.items() if is_plain(item[1]) for each in item]
        if not isinstance(value, nn.Module) and _left_alone(kind.__module__) and kind.__module__ not in _HOLDERS:
            return None
        return _attributes(value, kind)

    def _bits(self, value: Tensor) -> Hashable:
        """What lies in a tensor that is neither parameter nor buffer: code may have read it as Python's numbers, which
        stand in a graph as they were."""
        if self._held is None:
            self._held = set(map(id, tensors_of(self._parts)))
        return None if id(value) in self._held else digest(value)


def _attributes(value: Any, kind: type) -> list[Any]:
    """What an object has by names, in its dictionary and its slots, and what it is."""
    if kind in _SEQUENCES or kind is dict:
        return []
    slots = [name for each in kind.__mro__ for name in _names_of(vars(each).get("__slots__", ()))]
    own = getattr(value, "__dict__", {})
    return [kind, *own.keys(), *own.values(), *(getattr(value, slot) for slot in slots if hasattr(value, slot))]


def _names_of(slots: Any) -> Sequence[str]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _address(value: Tensor) -> int:
    try:
        return value.data_ptr()
    except RuntimeError:  # one without memory of its own, such as a sparse one
        return 0


def _left_alone(module: str | None) -> bool:
    return (module or "").partition(".")[0] in _LEFT


#: how to find what a class reads besides its modules' own attributes: names, and functions that give the values
_Readers = list[tuple[str, Callable[[], Any]]]

# weak keys: a class made in a function goes with it
_known: WeakKeyDictionary[type, tuple[Hashable, _Readers]] = WeakKeyDictionary()


def read_by(kinds: Sequence[type]) -> Iterator[tuple[str, Any]]:
    """Everything that modules of these classes read besides their own attributes, by name, as it is now: attributes of
    the classes, and globals and closures of their functions."""
    for kind in dict.fromkeys(kinds):
        for owner in kind.__mro__:
            if owner in (object, nn.Module) or _left_alone(owner.__module__):
                continue
            own = vars(owner)
            # what functions read comes below; a class within a class belongs to it
            yield from ((name, id(value) if type(value) is FunctionType else value) for name, value in own.items())
            if type(owner) is not type and not _left_alone(type(owner).__module__):
                yield from ((name, value) for name, value in vars(type(owner)).items() if is_plain(value))
            functions = tuple(map(id, own.values()))
            known = _known.get(owner)
            if known is None or known[0] != functions:
                made = "__init__" if issubclass(owner, nn.Module) else ""  # it has run
                known = _known[owner] = functions, _readers(value for name, value in own.items() if name != made)
            for name, read in known[1]:
                yield name, _told(read())


def _read_of(function: FunctionType) -> list[Any]:
    """What a function that an attribute holds reads besides its arguments, as it is now. Found anew in every call: its
    cells may hold the model, and whoever kept them would keep that."""
    return [_told(read()) for _, read in _readers([function])]


def _told(value: Any) -> Any:
    """A value that code reads; of a function or a class its identity, since what is read of it is among the code's
    readings itself."""
    return id(value) if isinstance(value, FunctionType | type) else value


def _readers(values: Iterable[Any]) -> _Readers:
    """What the functions among ``values`` read, and those that they call."""
    found: dict[tuple[int, str], tuple[str, Callable[[], Any]]] = {}
    waiting = [function for value in values for function in _functions(value)]
    seen: set[int] = set()
    while waiting:
        function = waiting.pop()
        if id(function.__code__) in seen:
            continue
        seen.add(id(function.__code__))
        names = set(_names(function.__code__))
        for space, name in _within(function.__globals__, names, set()):
            found[id(space), name] = name, functools.partial(space.get, name)
            waiting.extend(_ours(space.get(name)))
        for value in (function.__defaults__, function.__kwdefaults__):
            if value:
                found[id(value), function.__name__] = function.__name__, functools.partial(_itself, value)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            found[id(cell), name] = name, functools.partial(_content, cell)
            waiting.extend(_ours(_content(cell)))
    return list(found.values())


def _within(space: Mapping[str, Any], names: set[str], seen: set[Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """What code with these ``names`` may read of a namespace, and of the modules and classes that it gives, unless they
    were ``seen``: of a class its own attributes, its bases' and its metaclass's, and what calling it, or an object of
    it, calls."""
    for each in names & space.keys():
        value = space[each]
        yield space, each
        if isinstance(value, type):
            metaclass: type = type(value)
            owners = {*value.__mro__, *metaclass.__mro__} - seen
            called = names if issubclass(value, nn.Module) else names | _SPECIAL  # those are made before
            for owner in owners:
                seen.add(owner)
                if not _left_alone(owner.__module__):
                    yield from _within(vars(owner), called, seen)
        elif isinstance(value, ModuleType) and value not in seen and not _left_alone(value.__name__):
            seen.add(value)
            yield from _within(vars(value), names, seen)


def _functions(value: Any) -> Iterator[FunctionType]:
    """The functions of Python that a value is, or wraps."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    for each in (value.fget, value.fset) if isinstance(value, property) else (value,):
        while each is not None:
            each = each.func if isinstance(each, functools.cached_property | functools.partial) else each
            if isinstance(each, MethodType):
                each = each.__func__
            if isinstance(each, FunctionType):
                yield each
            each = getattr(each, "__wrapped__", None)


def _ours(value: Any) -> list[FunctionType]:
    """The functions that a value is, unless they belong to a package that is left alone."""
    return [each for each in _functions(value) if not _left_alone(each.__module__)] if callable(value) else []


def _names(code: CodeType) -> Iterator[str]:
    """Every name that a function's code, and code within it, reads."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _itself(value: Any) -> Any:
    return value


def _content(cell: Any) -> Any:
    """What a closure's cell holds; None for one that is empty so far."""
    try:
        return cell.cell_contents
    except ValueError:
        return None
