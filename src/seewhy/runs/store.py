"""Where a run's files lie: takes names and bytes, gives files that are whole or not there at all, on this machine or
wherever fsspec reaches; knows nothing of what is in them.

A file of this machine is written beside its name, flushed to the disk and renamed. Other stores put an object in one
step. Nothing that has a name is ever half of something.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

from seewhy.errors import StoreError, UsageError, reason
from seewhy.runs.sources.place import Place

__all__ = ["LocalStore", "RemoteStore", "Store", "host", "store_at"]

#: where files are that are not whole yet; nothing in there counts
PARTS = "tmp"


class Store(Protocol):
    """Files by name, ``folder/name``, below one place."""

    place: str

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted; none where there is no such folder."""

    def read(self, name: str) -> bytes:
        """A file's content. Raises `StoreError`, also where there is none."""

    def size(self, name: str) -> int:
        """A file's length in bytes; -1 where there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Have a file hold ``data``, whole or not at all. Raises `StoreError`."""

    def create(self, name: str, data: bytes) -> bool:
        """The same where there is no such file yet; False, and nothing done, where there is."""

    def remove(self, name: str) -> None:
        """Have no such file."""

    def path(self, name: str) -> Path | None:
        """The file's path, if it lies on this machine."""


def store_at(place: str | os.PathLike[str]) -> Store:
    """The store at a path or a URL; nothing is made yet.

    Raises `UsageError` for a path that is a file, a URL that nothing installed opens, and where fsspec is missing.
    """
    text = os.fspath(place)
    if not text:
        raise UsageError("'' is no place for results: name a folder, or a URL")
    found = Place.of(text)  # a URL of this machine's own files is a path: they are renamed when they are whole
    return LocalStore(Path(found.path)) if found.local else RemoteStore(text, found.store, found.path)


@contextmanager
def _told(place: str, name: str, doing: str) -> Iterator[None]:
    """What a store refuses, in one line."""
    try:
        yield
    except StoreError:
        raise
    except FileNotFoundError as error:
        raise StoreError(f"no file {name!r} in {place}") from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "there is no room left" if full else reason(error, 160)
        raise StoreError(f"cannot {doing} {name!r} in {place}: {why}") from error


class LocalStore:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root, self.place = root, str(root)
        file = next((path for path in (root, *root.parents) if path.is_file()), None)
        if file is not None:
            raise UsageError(f"{str(file)!r} is a file; results go into a folder: name another one")

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        path = self.root / folder
        with _told(self.place, folder, "list"):
            return sorted(entry.name for entry in os.scandir(path) if entry.is_file()) if path.is_dir() else []

    def read(self, name: str) -> bytes:
        """See `Store`."""
        with _told(self.place, name, "read"):
            return (self.root / name).read_bytes()

    def size(self, name: str) -> int:
        """See `Store`."""
        with _told(self.place, name, "read"):
            try:
                return (self.root / name).stat().st_size
            except FileNotFoundError:
                return -1

    def write(self, name: str, data: bytes) -> None:
        """See `Store`."""
        with _told(self.place, name, "write"), self._part(data) as part:
            target = self._target(name)
            part.replace(target)
            _flush_folder(target.parent)

    def create(self, name: str, data: bytes) -> bool:
        """See `Store`."""
        with _told(self.place, name, "write"), self._part(data) as part:
            target = self._target(name)
            try:
                os.link(part, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
                    raise
                if target.exists():  # a file system without second names
                    return False
                part.replace(target)
            _flush_folder(target.parent)
            return True

    def remove(self, name: str) -> None:
        """See `Store`."""
        with _told(self.place, name, "remove"):
            (self.root / name).unlink(missing_ok=True)

    def path(self, name: str) -> Path | None:
        """See `Store`."""
        return self.root / name

    def tidy(self) -> None:
        """Forget what was never finished: the parts of processes of this machine that are no more."""
        for path in (self.root / PARTS).glob("*") if (self.root / PARTS).is_dir() else ():
            machine, _, rest = path.name.partition("+")
            number = rest.partition("+")[0]
            if machine == host() and number.isdigit() and not _alive(int(number)):
                path.unlink(missing_ok=True)
        with suppress(OSError):  # somebody is at work in there, or there is none
            (self.root / PARTS).rmdir()

    def _target(self, name: str) -> Path:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    @contextmanager
    def _part(self, data: bytes) -> Iterator[Path]:
        """``data`` on the disk under a name that nobody reads, gone in the end."""
        part = self.root / PARTS / f"{host()}+{os.getpid()}+{secrets.token_hex(8)}"
        try:
            with _opened(part) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield part
        finally:
            part.unlink(missing_ok=True)


class RemoteStore:
    """A place that fsspec reaches, whose objects are put in one step."""

    def __init__(self, place: str, system: Any, root: str) -> None:
        self.place, self._system, self._root = place, system, PurePosixPath(root)

    def _at(self, name: str) -> str:
        return str(self._root / name)

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        self._system.invalidate_cache()
        try:
            found = self._system.ls(self._at(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(path).name for path in found)

    def read(self, name: str) -> bytes:
        """See `Store`."""
        with _told(self.place, name, "read"):
            data: bytes = self._system.cat_file(self._at(name))
            return data

    def size(self, name: str) -> int:
        """See `Store`."""
        try:
            return int(self._system.size(self._at(name)) or 0)
        except FileNotFoundError:
            return -1

    def write(self, name: str, data: bytes) -> None:
        """See `Store`."""
        with _told(self.place, name, "write"):
            self._system.makedirs(str((self._root / name).parent), exist_ok=True)
            self._system.pipe_file(self._at(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """See `Store`; two that create at one moment leave one of both, whole."""
        if self.size(name) >= 0:
            return False
        self.write(name, data)
        return True

    def remove(self, name: str) -> None:
        """See `Store`."""
        with _told(self.place, name, "remove"):
            if self.size(name) >= 0:
                self._system.rm_file(self._at(name))

    def path(self, name: str) -> Path | None:
        """See `Store`."""
        return None


def _opened(part: Path) -> BinaryIO:
    """A new file, in a folder that another process may take for left over and remove."""
    while True:
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            return part.open("xb")
        except FileNotFoundError:
            if part.parent.is_dir():
                raise


def host() -> str:
    """This machine's name, as a part of a file's."""
    return "".join(c if c.isalnum() or c in "-." else "-" for c in os.uname().nodename)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _flush_folder(folder: Path) -> None:
    """Have a name last that was given in ``folder``; where folders cannot be flushed, nothing is."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
