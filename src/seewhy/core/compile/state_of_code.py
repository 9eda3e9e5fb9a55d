"""State of code: takes classes and functions, gives what their code reads besides its arguments, as it is now: names of
globals (and of what is read of modules and classes among them), modules that are imported within functions, cells of
closures, defaults, the environment, and the same of the functions that are called by such names; runs nothing.

Of the libraries that are left alone no code is read: of those the functions themselves are looked at which a class has
or a name gives, so that one that somebody has replaced is another one.
"""

from __future__ import annotations

import builtins
import dis
import functools
import operator
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import resolve_name
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Whole", "functions_of_torch", "left_alone", "read_by", "read_of"]

#: packages whose own globals are not looked into
_LEFT = frozenset(("torch", "numpy", "keras", "transformers", "scipy", "PIL", "seewhy")) | sys.stdlib_module_names

#: what is called without its name
_SPECIAL = frozenset(("__call__", "__init__", "__new__", "__post_init__", "__getattr__", "__getitem__", "__enter__"))

#: by which code finds modules whose names are words in it, and the environment
_FINDERS = frozenset(("import_module", "__import__", "modules"))
_ENVIRONMENT = frozenset(("environ", "environb", "getenv", "getenvb"))

_PLAIN = frozenset((int, float, bool, str, bytes, complex, type(None)))

#: what of a class is looked up in it and does something
_DOING = (staticmethod, classmethod, property, functools.cached_property)


class Whole(tuple[Any, ...]):
    """What is compared as it is, each by its own idea of what is the same: functions, classes, modules."""


def left_alone(module: str | None) -> bool:
    """Whether a module of that name belongs to a library that is not looked into."""
    return (module or "").partition(".")[0] in _LEFT


@functools.lru_cache(4096)
def _words(code: CodeType) -> tuple[frozenset[str], frozenset[str], frozenset[tuple[str, int]]]:
    """The names that a function's code, and code within it, reads, and the words in it that could be some
    (``getattr(settings, "gain")``); the globals among them; the modules that it imports, each with its level."""
    names, globals_read, imported = set(code.co_names), set[str](), set[tuple[str, int]]()
    before: list[Any] = [0, 0]
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            globals_read.add(instruction.argval)
        elif instruction.opname == "IMPORT_NAME":
            imported.add((instruction.argval, before[-2] if isinstance(before[-2], int) else 0))
        before = [before[-1], instruction.argval]
    words = set[str]()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = _words(constant)
            names, globals_read, imported = names | inner[0], globals_read | inner[1], imported | inner[2]
        else:
            several = constant if isinstance(constant, tuple | frozenset) else (constant,)
            words |= {item for item in several if isinstance(item, str)}
    if names & _FINDERS:
        imported |= {(word, 0) for word in words if word.isidentifier() or "." in word}
    names |= {part for name, _ in imported for part in name.split(".")}
    return frozenset(names | {w for w in words if w.isidentifier()}), frozenset(globals_read), frozenset(imported)


class _Readings:
    """What some functions read: ``readers``, names with functions that give the values; whether they are ``current``,
    as what is read decides where else to look."""

    def __init__(self, functions: Iterable[FunctionType]) -> None:
        self.readers: list[tuple[str, Callable[[], Any]]] = []
        self._waiting = list(functions)
        self._met: set[tuple[int, str]] = set()
        #: functions, classes and modules behind which there was more to read, and how they were come by
        self._doors: list[tuple[Callable[[], Any], ref[Any]]] = []
        #: names that are not there so far, which may come
        self._absent: dict[int, tuple[Mapping[str, Any], set[str]]] = {}
        #: names of functions in libraries
        self._library: dict[int, tuple[Mapping[str, Any], set[str]]] = {}
        #: what there is in classes: asked for twice, Python gives two objects
        self._spaces: dict[type, Mapping[str, Any]] = {}
        # functions are the same if they are one; kept, so that none has the number of another
        seen: dict[int, FunctionType] = {}
        while self._waiting:
            function = self._waiting.pop()
            if id(function) not in seen:
                seen[id(function)] = function
                self._read(function)
        for space, wanted in self._library.values():
            self.readers.append(("", functools.partial(_all_of, space, tuple(sorted(wanted)))))
        del self._waiting, self._spaces

    def current(self) -> bool:
        """Whether what was found would be found again."""
        for space, names in self._absent.values():
            if not space.keys().isdisjoint(names):
                return False
        return all(read() is door() for read, door in self._doors)

    def now(self) -> list[tuple[str, Any]]:
        """Everything that is read, as it is now."""
        return [(name, told(read())) for name, read in self.readers]

    def _read(self, function: FunctionType) -> None:
        names, globals_read, imported = _words(function.__code__)
        space = function.__globals__
        self._enter(space, set(names), set())
        self._miss(space, globals_read - vars(builtins).keys())
        self._miss(space, globals_read & vars(builtins).keys())
        for module, level in imported:
            full = _resolved(module, level, space)
            parts = full.split(".")
            for n in range(len(parts)):
                self._find(sys.modules, ".".join(parts[: n + 1]), set(names), set())
        self.readers.append((function.__name__, functools.partial(_worn, ref(function))))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            # the cell by which super() finds the class would keep it for ever
            if name != "__class__" and self._note(id(cell), name, functools.partial(_content, cell)):
                self._follow(_content(cell), functools.partial(_content, cell))

    def _miss(self, space: Mapping[str, Any], names: Iterable[str]) -> None:
        """Note which of the ``names`` are not there."""
        if missing := set(names) - space.keys():
            self._absent.setdefault(id(space), (space, set()))[1].update(missing)

    def _note(self, owner: int, name: str, read: Callable[[], Any]) -> bool:
        new = (owner, name) not in self._met
        if new:
            self._met.add((owner, name))
            self.readers.append((name, read))
        return new

    def _follow(self, value: Any, read: Callable[[], Any]) -> None:
        """Have the functions that a value is read, too, unless they belong to a package that is left alone."""
        if functions := [function for function in functions_in(value) if not left_alone(function.__module__)]:
            self._waiting.extend(functions)
            if isinstance(value, FunctionType | functools.partial):
                self._doors.append((read, ref(value)))

    def _enter(self, space: Mapping[str, Any], names: set[str], seen: set[Any]) -> None:
        """Note what code with these ``names`` may read of a namespace, and of the modules and classes that it gives,
        unless they were ``seen``: of a class its own attributes, its bases' and its metaclass's, and what calling it,
        or an object of it, calls."""
        for name in names & space.keys():
            self._find(space, name, names, seen)

    def _find(self, space: Mapping[str, Any], name: str, names: set[str], seen: set[Any]) -> None:
        if name not in space:
            self._miss(space, (name,))
            return
        value, read = space[name], functools.partial(space.get, name)
        if self._note(id(space), name, read):
            self._follow(value, read)
        if (value is os and names & _ENVIRONMENT) or value is os.getenv or name == "getenvb":
            self._note(id(os), "environ", functools.partial(_itself, os.environ))
        if isinstance(value, type):
            metaclass: type = type(value)
            owners = {*value.__mro__, *metaclass.__mro__} - seen
            called = names if issubclass(value, nn.Module) else names | _SPECIAL  # those are made before
            self._doors.append((read, ref(value)))
            for owner in owners:
                seen.add(owner)
                if not left_alone(owner.__module__):
                    self._enter(self._spaces.setdefault(owner, vars(owner)), called, seen)
        elif isinstance(value, ModuleType) and value not in seen:
            seen.add(value)
            self._doors.append((read, ref(value)))
            if left_alone(value.__name__):
                self._of_library(vars(value), names, seen)
            else:
                self._enter(vars(value), names, seen)
                self._miss(vars(value), names)

    def _of_library(self, space: Mapping[str, Any], names: set[str], seen: set[Any]) -> None:
        """Note the functions of a library that ``names`` give, and those of its modules."""
        for name in names & space.keys():
            value = space[name]
            if isinstance(value, ModuleType):
                if value not in seen and left_alone(value.__name__):
                    seen.add(value)
                    self._of_library(vars(value), names, seen)
            elif callable(value):
                self._library.setdefault(id(space), (space, set()))[1].add(name)


class _Functions:
    """The functions of a namespace, to be looked up at once; found anew where it has other names. The namespace is
    not kept."""

    def __init__(self) -> None:
        self._size = -1
        self._get: Callable[[Mapping[str, Any]], tuple[Any, ...]] = lambda space: ()

    def now(self, space: Mapping[str, Any]) -> Whole:
        """As they are now."""
        try:
            if len(space) == self._size:
                return Whole(self._get(space))
        except KeyError:
            pass
        # not what Python itself puts there when somebody asks for annotations, or copies an object
        names = [name for name, value in space.items() if callable(value) or isinstance(value, _DOING)]
        self._size = len(space)
        self._get = operator.itemgetter(*names, *names[:1], *names[:1]) if names else lambda space: ()
        return Whole(self._get(space))


_of_torch = [(_Functions(), vars(owner)) for owner in (F, Tensor, nn.Module)]


def functions_of_torch() -> list[Whole]:
    """What torch's layers are made of, and every network: one that somebody has replaced is another one."""
    return [functions.now(space) for functions, space in _of_torch]


class _Owner:
    """A class, as it was looked at last: ``functions`` where it is a library's, else what its code reads. It is not
    kept."""

    def __init__(self, owner: type) -> None:
        number = id(owner)
        self.skipped = "__init__" if issubclass(owner, nn.Module) else ""  # it has run
        bare = owner in (object, nn.Module)  # the latter's are among torch's own
        self.functions = None if bare or not left_alone(owner.__module__) else _Functions()
        meta = type(owner)
        self.meta = None if meta is type or left_alone(meta.__module__) else meta
        self.bodies: Whole | None = None
        self.readings = _Readings(())
        self.ref = ref(owner, lambda gone: _owners.pop(number, None) and None)

    def read(self, own: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """What its modules read besides their own attributes; ``own`` is what there is in the class."""
        # what functions do here, what they read comes below; a class within a class belongs to it
        bodies = Whole([value.__code__ if type(value) is FunctionType else id(value) for value in own.values()])
        readings: list[tuple[str, Any]] = [("", bodies)]
        for name, value in own.items():
            if type(value) is not FunctionType:
                readings.append((name, value if isinstance(value, type) else told(value)))
        if self.meta is not None:
            readings += [(name, value) for name, value in vars(self.meta).items() if type(value) in _PLAIN]
        if self.bodies != bodies or not self.readings.current():
            inside = (f for name, value in own.items() if name != self.skipped for f in functions_in(value))
            self.bodies, self.readings = bodies, _Readings(inside)
        return readings + self.readings.now()


# by number, for speed; a class made in a function goes with it, and takes its entry along
_owners: dict[int, _Owner] = {}


def read_by(kinds: Sequence[type]) -> list[tuple[str, Any]]:
    """Everything that modules of these classes read besides their own attributes, by name, as it is now: attributes of
    the classes, and globals and closures of their functions; of classes of the libraries their functions."""
    readings: list[tuple[str, Any]] = []
    for owner in dict.fromkeys([owner for kind in dict.fromkeys(kinds) for owner in kind.__mro__]):
        known = _owners.get(id(owner))
        if known is None:
            known = _owners[id(owner)] = _Owner(owner)
        if known.functions is not None:
            readings.append(("", known.functions.now(vars(owner))))
        elif owner is not object and owner is not nn.Module:
            readings += known.read(vars(owner))
    return readings


def read_of(function: FunctionType) -> list[Any]:
    """What a function that an attribute holds reads besides its arguments, as it is now. Found anew in every call: its
    cells may hold the model, and whoever kept them would keep that."""
    return [value for _, value in _Readings([function]).now()]


def told(value: Any) -> Any:
    """A value that code reads; of a function its code, since what is read by it is among the code's readings itself, of
    a class what it is."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is FunctionType:
        return Whole((value.__code__,))
    if isinstance(value, _DOING):
        return Whole((type(value), *(f.__code__ for f in functions_in(value))))
    return Whole((value,)) if isinstance(value, type | ModuleType) else value


def functions_in(value: Any) -> Iterator[FunctionType]:
    """The functions of Python that a value is, or wraps."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    for inner in (value.fget, value.fset) if isinstance(value, property) else (value,):
        while inner is not None:
            inner = inner.func if isinstance(inner, functools.cached_property | functools.partial) else inner
            if isinstance(inner, MethodType):
                inner = inner.__func__
            if isinstance(inner, FunctionType):
                yield inner
            inner = getattr(inner, "__wrapped__", None) if callable(inner) else None


def _resolved(module: str, level: int, space: Mapping[str, Any]) -> str:
    """The whole name of a module that code with these globals imports."""
    try:
        return resolve_name("." * level + module, space.get("__package__")) if level else module
    except (ImportError, ValueError):
        return module


def _all_of(space: Mapping[str, Any], names: Sequence[str]) -> Whole:
    return Whole([space.get(name) for name in names])


def _worn(function: ref[FunctionType]) -> Any:
    """What a function has besides its code: defaults, attributes, its words; other functions among them are read for
    themselves."""
    if (now := function()) is None:
        return None
    given, by_name = now.__defaults__ or (), now.__kwdefaults__ or {}
    seen = now.__name__, hash(now.__doc__), len(given), *given, *by_name, *by_name.values()
    return (*seen, {name: told(value) for name, value in now.__dict__.items()}) if now.__dict__ else seen


def _itself(value: Any) -> Any:
    return value


def _content(cell: Any) -> Any:
    """What a closure's cell holds; None for one that is empty so far."""
    try:
        return cell.cell_contents
    except ValueError:
        return None
