"""Tables by name: take entries, of seewhy and of the entry points of other packages, give look-up; know not what they
hold."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from threading import RLock
from typing import Any, Generic, Protocol, TypeVar

from seewhy.errors import SeewhyError, UnknownName, UsageError, reason

__all__ = ["Registry"]

#: names the packages whose entry points are loaded, with commas between; not set all are, set to nothing none is
ALLOWED = "SEEWHY_EXTENSIONS"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


@dataclass
class Registry(Generic[T]):
    """A table by name: an unknown name suggests the nearest, a name used twice is refused.

    What it is to `wait_for` is entered when it is first looked up. Once it is `open_to` other packages, they add to it
    before it is next read.
    """

    kind: str
    listing: str
    _entries: dict[str, T] = field(default_factory=dict)
    _packages: dict[str, str] = field(default_factory=dict)
    _waiting: dict[str, str] = field(default_factory=dict)
    _home: Callable[[T], str] | None = None
    _opened: tuple[str, Callable[[Any], Iterable[T]]] | None = None
    _lock: RLock = field(default_factory=RLock)

    def add(self, entry: T) -> T:
        """Enter ``entry``; raises `UsageError` if its name is taken."""
        home = self._waiting.get(entry.name)
        if entry.name in self._entries or (home is not None and self._home is not None and self._home(entry) != home):
            by = f" (there is one of {self._packages[entry.name]})" if entry.name in self._packages else ""
            raise UsageError(f"{self.kind} {entry.name!r} is registered twice{by}; rename one of them")
        self._waiting.pop(entry.name, None)
        self._entries[entry.name] = entry
        return entry

    def wait_for(self, modules: Mapping[str, str], home: Callable[[T], str]) -> None:
        """Keep names for entries that are added when their ``modules``, by name, are imported: once one is looked up.
        ``home`` is the module that an entry is of: another one's takes no name that is kept."""
        self._waiting.update((name, module) for name, module in modules.items() if name not in self._entries)
        self._home = home

    def remove(self, name: str) -> None:
        """Forget ``name``: for tests and notebooks that register a trial method."""
        del self._entries[self[name].name]
        self._packages.pop(name, None)

    def package(self, name: str) -> str:
        """Which package's entry point brought ``name``, with its version; '' for what is seewhy's own or registered by
        hand."""
        return self._packages.get(name, "")

    def open_to(self, group: str, entries: Callable[[Any], Iterable[T]]) -> None:
        """Load the entry points of ``group`` when the table is next read: ``entries`` says which entries the thing that
        one names brings.

        What fails, or brings a name that is taken, adds nothing and is a warning; the others go on.
        """
        self._opened = group, entries

    def _read(self) -> dict[str, T]:
        """The entries, with those of other packages."""
        with self._lock:  # re-entrant: what is imported may read the table itself, as far as it is
            opened, self._opened = self._opened, None
            if opened is not None:
                try:
                    self._load(*opened)
                except BaseException:  # interrupted, or warnings are errors: whoever reads next begins anew
                    self._opened = opened
                    raise
        return self._entries

    def _all(self) -> dict[str, T]:
        """The entries, when all of them are there."""
        entries = self._read()
        for name in [*self._waiting]:
            self._fetch(name)
        return entries

    def _fetch(self, name: str) -> None:
        """Import what enters ``name``."""
        with self._lock:
            if name in self._waiting:
                import_module(self._waiting[name])
                self._waiting.pop(name, None)  # if it is another one's file

    def _load(self, group: str, entries: Callable[[Any], Iterable[T]]) -> None:
        try:
            announced = _announced(group)
        except Exception as error:  # whatever a damaged installation makes of its metadata
            warnings.warn(f"no package adds to {group}: entry points cannot be read: {reason(error)}", stacklevel=2)
            return
        for entry in announced:
            self._enter(entry, entries)

    def _enter(self, entry: EntryPoint, entries: Callable[[Any], Iterable[T]]) -> None:
        """What one entry point brings: all of it, or nothing."""
        before = self._names()
        try:
            for brought in entries(entry.load()):
                if self._entries.get(brought.name) is not brought:
                    self.add(brought)
                self._packages.setdefault(brought.name, _package(entry))
        except BaseException as error:  # another package's code may raise anything, or end the process
            for name in set(self._entries) - before:
                self.remove(name)
            if not isinstance(error, Exception | SystemExit):
                raise
            warnings.warn(_refusal(entry, error), stacklevel=2)

    def __getitem__(self, name: str) -> T:
        entries = self._read()
        self._fetch(name)
        try:
            return entries[name]
        except KeyError:
            raise UnknownName(self.kind, name, self.keys(), self.listing) from None

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __iter__(self) -> Iterator[T]:
        return iter(sorted(self._all().values(), key=lambda entry: entry.name))

    def __len__(self) -> int:
        return len(self.keys())

    def keys(self) -> set[str]:
        """The names."""
        self._read()
        return self._names()

    def entered(self) -> list[T]:
        """The entries that are there, while others may be waited for."""
        return [*self._read().values()]

    def _names(self) -> set[str]:
        return {*self._entries, *self._waiting}


def _announced(group: str) -> list[EntryPoint]:
    """The entry points of ``group``, by package and name, of the packages that ``SEEWHY_EXTENSIONS`` allows.

    Raises whatever a damaged installation makes of its own metadata.
    """
    allowed = os.environ.get(ALLOWED)
    if allowed is not None:
        names = {_plain(name) for name in re.split(r"[,\s]+", allowed) if name}
        points = [entry for entry in entry_points(group=group) if _plain(_name(entry)) in names] if names else []
    else:
        points = list(entry_points(group=group))
    return sorted(points, key=lambda entry: (_plain(_name(entry)), entry.name))


def _package(entry: EntryPoint) -> str:
    """The name and version of the package that an entry point belongs to, as in ``seewhy-toy 0.1``."""
    return _name(entry) if entry.dist is None else f"{_name(entry)} {entry.dist.version}"


def _refusal(entry: EntryPoint, error: BaseException) -> str:
    """One line: which entry point of which package is left out, why, and how to get rid of it."""
    why = str(error) if isinstance(error, SeewhyError) else reason(error)
    return (
        f"{_package(entry)} is left out: its entry point {entry.name} = {entry.value} ({entry.group}) cannot be used: "
        f"{why}. To get rid of it: pip uninstall {_name(entry)}"
    )


def _name(entry: EntryPoint) -> str:
    return "an unknown package" if entry.dist is None else str(entry.dist.name)


def _plain(name: str) -> str:
    """A package's name as indexes compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()
