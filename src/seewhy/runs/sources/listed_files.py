"""Files that a list names: takes rows of a table or a JSON file, gives entries whose files are looked for folder by
folder; holds eight bytes of each name."""

from __future__ import annotations

import os
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from seewhy.errors import UsageError
from seewhy.runs.sources.base import Entry
from seewhy.runs.sources.folder import pictures_below
from seewhy.runs.sources.kept import Keeps
from seewhy.runs.sources.notes import LeftOut, Names
from seewhy.runs.sources.place import Place

__all__ = ["ListedFiles", "Row"]

#: names of folders' files that are kept at a time, in all
_HELD = 500_000


class Row(NamedTuple):
    """One line of a list: its number, the file that it names ('' for none), classes and group."""

    number: int
    path: str
    labels: tuple[str, ...] = ()
    group: str = ""


@dataclass
class _Survey:
    """What one look at all rows has shown: the folder that names are relative to, and files that are not there."""

    base: str
    count: int
    left: LeftOut = field(default_factory=LeftOut)
    missing: int = 0
    first: tuple[str, int] = ("", 0)


class ListedFiles(Keeps, ABC):
    """Pictures that a list names, in its order.

    Paths are relative to ``root``, or absolute, and may lead out of it. Names are relative to ``root`` where all are
    below it, and else to the last folder that all pictures have in common.
    """

    kind: str
    #: how lines of the list are called, and whether pictures beside those that it names are told of
    unit = "line"
    tells_unlisted = False

    def __init__(self, spec: str, file: Place, root: Place) -> None:
        super().__init__()
        self.spec, self._file, self._root = spec, file, root
        self._top = _real(root.path) if root.local else root.path
        self._stem = self._top.rstrip("/")
        self._notes: tuple[str, ...] = ()

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """All rows, read anew. Raises `UsageError` for a list that is none."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, in words."""
        return self._notes

    def entries(self) -> Iterator[Entry]:
        """All of them. Raises `UsageError` for an empty list, one that names a file twice, and one of whose files none
        is there."""
        self.forget("survey", "rows")
        survey = self.once("survey", self._surveyed)
        self._notes = (*self._told(survey), *survey.left.sentences())
        for row in self.rows():
            if row.path:
                yield Entry(self._named(row.path, survey.base), row.labels, row.group, f"{self.unit} {row.number}")

    def read(self, entry: Entry) -> bytes | Path:
        """The file. Raises `ImageError`."""
        base = self.once("survey", self._surveyed).base
        if base == self._top:
            return self._root.below(entry.name).given()
        return Place(base, self._root.store).below(entry.name).given()

    def _surveyed(self) -> _Survey:
        survey, names, common, last = _Survey(self._top, 0), Names(), _Common(), ""
        there = _There() if self._root.local else None
        inside = True
        for row in self.rows():
            if not row.path:
                survey.left.add(f"{self.unit}s without a file", f"{self.unit} {row.number}")
                continue
            self._check(row)
            whole = self._whole(row.path)
            names.add(whole)
            folder = posixpath.dirname(whole)
            if folder != last:  # lists go through folders one after the other, mostly
                common.add(folder)
                inside = inside and _within(folder, self._top)
                last = folder
            if there is not None and not there.has(whole, folder):
                survey.missing += 1
                survey.first = survey.first if survey.missing > 1 else (row.path, row.number)
        survey.count = len(names)
        if not survey.count:
            raise UsageError(f"{self.spec!r} lists no pictures")
        if repeated := names.repeated():
            self._refuse_twice(repeated)
        if survey.missing == survey.count:
            raise UsageError(self._none_there(*survey.first))
        survey.base = self._top if inside else common.folder
        return survey

    def _check(self, row: Row) -> None:
        """Refuse what is no path from here."""
        if "://" in row.path and not self._root.owns(row.path):
            where = "this machine" if self._root.local else f"{self._root.word!r}"
            why = f"is an address, and the table is on {where}: list files beside it"
        elif "\0" in row.path:
            why = "has a NUL in it, which no file's name has"
        else:
            return
        raise UsageError(f"{self.spec!r}, {self.unit} {row.number}: {row.path!r:.100} {why}")

    def _whole(self, path: str) -> str:
        """A row's file as a path that is the same for the same file, however it is written."""
        if self._root.local:
            if not path.startswith((".", "/")) and "/." not in path and "//" not in path and "\\" not in path:
                return f"{self._stem}/{path}"
            joined = Path(self._top, path)
            if ".." not in joined.parts and not Path(path).is_absolute():
                return joined.as_posix()
            # what '..' leads to is a question to the disk: the folder before it may be a link
            return posixpath.join(_real(str(joined.parent)), joined.name)
        return self._root.below(path).path

    def _named(self, path: str, base: str) -> str:
        return self._whole(path)[len(base.rstrip("/")) + 1 :]

    def _refuse_twice(self, repeated: frozenset[int]) -> None:
        """Say which rows name one file; hashes may be alike by chance."""
        first: dict[str, int] = {}
        for row in self.rows():
            if not row.path or hash(whole := self._whole(row.path)) not in repeated:
                continue
            if (earlier := first.setdefault(whole, row.number)) != row.number:
                raise UsageError(
                    f"{self.spec!r} lists {row.path!r} twice, in {self.unit} {earlier} and {self.unit} {row.number}; a "
                    f"picture has one {self.unit}"
                )

    def _none_there(self, path: str, number: int) -> str:
        return (
            f"none of the files that {self.spec!r} lists is there, the first {path!r} ({self.unit} {number}); they are "
            f"looked for from {self._root.word!r}, {self.hint}"
        )

    #: what to type where no file is found
    hint = "the folder of the list"

    def _told(self, survey: _Survey) -> Iterator[str]:
        if survey.missing:
            path, number = survey.first
            yield (
                f"{survey.missing} of {survey.count} files that {self._file.name} lists are not there, the first "
                f"{path!r} ({self.unit} {number})"
            )
        if self.tells_unlisted and self._root.local and survey.base == self._top:
            there = sum(1 for _ in pictures_below(self._root, LeftOut()))
            listed = survey.count - survey.missing
            if there > listed:
                yield f"{there - listed} of {there} pictures in {self._root.word!r} are not listed in {self._file.name}"


@lru_cache(maxsize=1024)
def _real(folder: str) -> str:
    return Path(os.path.realpath(folder)).as_posix()


def _within(folder: str, top: str) -> bool:
    return folder == top or folder.startswith(top.rstrip("/") + "/")


class _Common:
    """The last folder that several have in common."""

    def __init__(self) -> None:
        self._parts: list[str] | None = None

    def add(self, folder: str) -> None:
        parts = folder.split("/")
        if self._parts is None:
            self._parts = parts
            return
        same = next((n for n, (a, b) in enumerate(zip(self._parts, parts, strict=False)) if a != b), None)
        self._parts = self._parts[: min(len(self._parts), len(parts)) if same is None else same]

    @property
    def folder(self) -> str:
        return "/".join(self._parts or ()) or "/"


class _There:
    """Whether files are there, by the names in their folder: one look at a folder is cheaper than one at every file,
    much so on a disk that is far away."""

    def __init__(self) -> None:
        self._folders: dict[str, frozenset[str]] = {}
        self._seen: set[int] = set()
        self._held = 0

    def has(self, whole: str, folder: str) -> bool:
        names = self._folders.get(folder)
        if names is None:
            if hash(folder) in self._seen:  # it has been let go: a list that jumps from folder to folder
                return Path(whole).is_file()
            names = self._look(folder)
        # names that are spelt otherwise (letters and their accents apart) may lead to a file all the same
        return whole[len(folder) + 1 :] in names or (bool(names) and Path(whole).is_file())

    def _look(self, folder: str) -> frozenset[str]:
        try:
            with os.scandir(folder) as found:
                names = frozenset(entry.name for entry in found if entry.is_file())
        except OSError:
            names = frozenset()
        self._held += len(names)
        self._folders[folder] = names
        self._seen.add(hash(folder))
        while self._held > _HELD and len(self._folders) > 1:
            oldest = next(iter(self._folders))
            self._held -= len(self._folders.pop(oldest))
        return names
