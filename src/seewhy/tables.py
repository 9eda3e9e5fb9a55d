"""Tables by name: take entries, of seewhy and of the entry points of other packages, give look-up; know not what they
hold."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
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

    Once it is `open_to` other packages, they add to it before it is next read.
    """

    kind: str
    listing: str
    _entries: dict[str, T] = field(default_factory=dict)
    _packages: dict[str, str] = field(default_factory=dict)
    _opened: tuple[str, Callable[[Any], Iterable[T]]] | None = None
    _lock: RLock = field(default_factory=RLock)

    def add(self, entry: T) -> T:
        """Enter ``entry``; raises `UsageError` if its name is taken."""
        if entry.name in self._entries:
            by = f" (there is one of {self._packages[entry.name]})" if entry.name in self._packages else ""
            raise UsageError(f"{self.kind} {entry.name!r} is registered twice{by}; rename one of them")
        self._entries[entry.name] = entry
        return entry

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
        before = set(self._entries)
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
        try:
            return entries[name]
        except KeyError:
            raise UnknownName(self.kind, name, entries, self.listing) from None

    def __contains__(self, name: object) -> bool:
        return name in self._read()

    def __iter__(self) -> Iterator[T]:
        return iter(sorted(self._read().values(), key=lambda entry: entry.name))

    def __len__(self) -> int:
        return len(self._read())

    def keys(self) -> set[str]:
        """The names."""
        return set(self._read())


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
