"""Where a source lies: takes a path or a URL, gives its folders' contents, its files and parts of them; on this machine
by itself, elsewhere by way of fsspec; writes nothing."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from seewhy.errors import ImageError, SeewhyError, UsageError, reason
from seewhy.models._missing_files import missing_file

__all__ = ["MOST_BYTES", "Listed", "Place", "is_pattern"]

#: what one picture's file may have, where it is read into memory
MOST_BYTES = 1 << 30

#: as Windows has letters of drives, a scheme has two at least
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
#: stores of fsspec that lie in others
_CHAIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://.*)?::.*://")
#: stores of fsspec that are archives, whose members its readers unpack whole
_ARCHIVES = ("zip", "tar", "libarchive")


class Listed(NamedTuple):
    """What a folder holds: a name, whether that is a folder, bytes (-1 where nobody says), and which folder it is on
    this machine, by device and number, where links may lead back to it."""

    name: str
    folder: bool
    size: int
    mark: tuple[int, int] | None = None


@dataclass(frozen=True)
class Place:
    """A file or a folder. ``path`` is the one on this machine, or the one within ``store``, a file system of fsspec."""

    path: str
    store: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, spec: str) -> Place:
        """The place that a path, or a URL, names; whether anything is there is not asked.

        Raises `UsageError` for a URL that nothing installed opens.

        >>> Place.of("photos/a.jpg").folder.path
        'photos'
        """
        match = _SCHEME.match(spec)
        if (match and match[1].lower() in _ARCHIVES) or _CHAIN.match(spec):
            raise UsageError(
                f"{spec!r} is within another file or store; of archives only .tar files are read, which need no "
                "unpacking: give one, or a folder"
            )
        if match is None:
            return cls(str(Path(spec).expanduser()))
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise UsageError(f"{spec!r} is a URL, which takes fsspec: pip install 'seewhy[data]'") from None
        try:
            store, path = url_to_fs(spec)
        except (ImportError, ValueError) as error:  # a driver that is not installed, a scheme that nobody knows
            raise UsageError(f"cannot open {spec!r}: {reason(error)}") from error
        if isinstance(store.protocol, str | tuple) and "file" in store.protocol:
            return cls(str(path))
        return cls(str(path), store)

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        return self.store is None

    @property
    def word(self) -> str:
        """What errors call it."""
        return self.path if self.local else str(self.store.unstrip_protocol(self.path))

    @property
    def name(self) -> str:
        """Without folders."""
        return str(self._paths.basename(self.path.rstrip("/")))

    @property
    def folder(self) -> Place:
        """The folder that it is in."""
        return Place(self._paths.dirname(self.path) or ("." if self.local else ""), self.store)

    @property
    def _paths(self) -> Any:
        return os.path if self.local else posixpath

    def below(self, relative: str) -> Place:
        """What is called so from here; absolute paths, too."""
        if not self.local and _SCHEME.match(relative):
            relative = "/" + str(self.store._strip_protocol(relative)).lstrip("/")
        if not self.local and relative.startswith("/") and not self.path.startswith("/"):
            return Place(relative.lstrip("/"), self.store)
        return Place(self._paths.normpath(self._paths.join(self.path, relative)), self.store)

    def owns(self, path: str) -> bool:
        """Whether something that may be a URL is in the same store; any path is."""
        match = _SCHEME.match(path)
        if match is None or self.local:
            return match is None
        known = self.store.protocol
        return match[1].lower() in ((known,) if isinstance(known, str) else tuple(known))

    def is_file(self) -> bool:
        """Whether there is such a file."""
        with _spoken(self.word):
            return Path(self.path).is_file() if self.local else bool(self.store.isfile(self.path))

    def is_folder(self) -> bool:
        """Whether there is such a folder."""
        with _spoken(self.word):
            return Path(self.path).is_dir() if self.local else bool(self.store.isdir(self.path))

    def missing(self) -> str:
        """Why there is nothing here, with the nearest that there is; '' where there is."""
        if self.local:
            return missing_file(Path(self.path))
        return "" if self.is_file() or self.is_folder() else "there is nothing of that name"

    def listed(self) -> list[Listed]:
        """What is in this folder, by name. Raises `OSError` where it may not be listed."""
        if self.local:
            with os.scandir(self.path or ".") as found:
                return sorted(map(_local, found))
        here = self.path.strip("/")
        with _spoken(self.word):
            rows = self.store.ls(self.path, detail=True)
            self.store.invalidate_cache(self.path)  # or it would hold whatever was ever listed
        kept = [row for row in rows if str(row["name"]).strip("/") != here]  # some stores keep a mark for the folder
        return sorted(
            Listed(posixpath.basename(str(row["name"]).rstrip("/")), row["type"] == "directory", _bytes_of(row))
            for row in kept
        )

    def matching(self, pattern: str) -> list[str]:
        """Files below this folder that a pattern of ``*``, ``?`` and ``[...]`` names, relative to it, sorted."""
        if self.local:
            found = Path(self.path).glob(pattern)
            return sorted(path.relative_to(self.path).as_posix() for path in found if path.is_file())
        with _spoken(self.word):
            paths = self.store.glob(posixpath.join(self.path, pattern))
        return sorted(posixpath.relpath("/" + str(path).lstrip("/"), "/" + self.path.lstrip("/")) for path in paths)

    def size(self) -> int:
        """Its bytes."""
        if self.local:
            return Path(self.path).stat().st_size
        with _spoken(self.word):
            return int(self.store.size(self.path))

    def open(self) -> IO[bytes]:
        """The file, to be read from its start and at any place. Raises `OSError`, or `UsageError` for stores."""
        if self.local:
            return Path(self.path).open("rb")
        with _spoken(self.word):
            return cast(IO[bytes], self.store.open(self.path, "rb"))

    def given(self) -> bytes | Path:
        """The file as `Source.read` gives it: its path, or its bytes. Raises `ImageError`."""
        if self.local:
            return Path(self.path)
        with _spoken(self.word, ImageError):
            size = int(self.store.size(self.path) or 0)
            if size > MOST_BYTES:
                raise ImageError(_too_large(self.word, size))
            return cast(bytes, self.store.cat_file(self.path))

    def part(self, start: int, size: int, word: str) -> bytes:
        """So many bytes from ``start`` on; ``word`` is what errors call them. Raises `ImageError`."""
        if size > MOST_BYTES:
            raise ImageError(_too_large(word, size))
        with _spoken(word, ImageError):
            if self.local:
                with self.open() as file:
                    file.seek(start)
                    data = file.read(size)
            else:
                data = self.store.cat_file(self.path, start=start, end=start + size)
        if len(data) != size:
            raise ImageError(f"cannot read {word!r}: {self.word!r} ends before it does; it has changed since")
        return bytes(data)


def is_pattern(name: str) -> bool:
    """Whether a name has ``*``, ``?`` or ``[...]`` in it."""
    return bool(set("*?[") & set(name))


def _local(entry: os.DirEntry[str]) -> Listed:
    try:
        folder = entry.is_dir()
        known = entry.stat()
    except OSError:  # a link that leads nowhere: reading it says so
        return Listed(entry.name, False, -1)
    return Listed(entry.name, folder, -1 if folder else known.st_size, (known.st_dev, known.st_ino) if folder else None)


def _bytes_of(row: Any) -> int:
    return -1 if row.get("size") is None else int(row["size"])


def _too_large(word: str, size: int) -> str:
    return f"cannot read {word!r}: {size / 2**30:.1f} GiB; a picture's file has up to {MOST_BYTES >> 30} GiB"


@contextmanager
def _spoken(word: str, kind: type[SeewhyError] = UsageError) -> Iterator[None]:
    """Whatever a store's driver raises becomes one error of a ``kind``: of one picture `ImageError`."""
    try:
        yield
    except kind:
        raise
    except Exception as error:  # each driver has errors of its own
        raise kind(f"cannot read {word!r}: {reason(error)}") from error
