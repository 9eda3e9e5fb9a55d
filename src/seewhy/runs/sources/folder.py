"""Folders of pictures, and single ones: takes a folder, gives what is in it and below it, sub-folder by sub-folder;
never holds more than the names on the way to where it is."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

from seewhy.errors import UsageError
from seewhy.models.films import SUFFIXES as FILMS
from seewhy.runs.sources.base import Entry
from seewhy.runs.sources.names import is_hidden_name, is_picture, suffix_of
from seewhy.runs.sources.notes import LeftOut, Tells
from seewhy.runs.sources.place import Listed, Place

__all__ = ["Folder", "Picture", "pictures_below"]


class Folder(Tells):
    """The pictures in a folder and below it, in the order of their paths. The first sub-folder on the way is the class,
    the others are the group. Links are followed, but not in a circle."""

    kind = "folder"

    def __init__(self, spec: str, place: Place) -> None:
        self.spec, self._place = spec, place
        self._left = LeftOut()

    def entries(self) -> Iterator[Entry]:
        """All of them. Raises `UsageError` where there are none."""
        self._left = left = LeftOut()
        none = True
        for name, found in pictures_below(self._place, left):
            none = False
            folders = name.split("/")[:-1]
            yield Entry(name, tuple(folders[:1]), "/".join(folders[1:]), size=found.size)
        if none:
            why = "; ".join(("no pictures in it", *left.sentences()))
            raise UsageError(
                f"folder {self.spec!r}: {why}; name one with .png, .jpg or .webp files{_hint(self._place)}"
            )

    def read(self, entry: Entry) -> bytes | Path:
        """The file. Raises `ImageError`."""
        return self._place.below(entry.name).given()


class Picture:
    """A single picture."""

    kind = "picture"
    notes: tuple[str, ...] = ()

    def __init__(self, spec: str, place: Place) -> None:
        self.spec, self._place = spec, place

    def entries(self) -> Iterator[Entry]:
        """It."""
        yield Entry(self._place.name, size=self._place.size())

    def read(self, entry: Entry) -> bytes | Path:
        """The file. Raises `ImageError`."""
        return self._place.given()


def pictures_below(place: Place, left: LeftOut) -> Iterator[tuple[str, Listed]]:
    """The pictures in a folder and below it, named from there, in the order of their paths; the others are ``left``
    out."""
    known = Path(place.path).stat() if place.local else None
    yield from _below(place, "", left, () if known is None else ((known.st_dev, known.st_ino),))


def _below(
    place: Place, prefix: str, left: LeftOut, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, Listed]]:
    try:
        listed = place.listed()
    except OSError:
        left.add("folders that may not be listed", prefix or place.word)
        return
    for found in listed:
        name = posixpath.join(prefix, found.name)
        if why := _why_not(found, above):
            left.add(why, name.encode("utf-8", "backslashreplace").decode())
        elif found.folder:
            deeper = above if found.mark is None else (*above, found.mark)
            yield from _below(place.below(found.name), name, left, deeper)
        else:
            yield name, found


def _why_not(found: Listed, above: tuple[tuple[int, int], ...]) -> str:
    """Why something in a folder is left out; '' for what is not."""
    if not found.name.isprintable() and not _encodes(found.name):
        return "names that are no UTF-8"
    if is_hidden_name(found.name):
        return "hidden files and folders"
    if found.folder:
        return "links to a folder that they are in" if found.mark in above else ""
    if is_picture(found.name):
        return ""
    return "films, each a source of its own" if suffix_of(found.name) in FILMS else "no pictures by their names"


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _hint(place: Place) -> str:
    """What to type, where the folder holds sources of another kind."""
    try:
        names = [found.name for found in place.listed() if not found.folder]
    except OSError:
        return ""
    if any(name.lower().endswith(".tar") for name in names):
        return f", or its shards: '{place.word}/*.tar'"
    table = next((name for name in names if suffix_of(name) in (".csv", ".tsv", ".parquet", ".json")), None)
    return f", or what lists them: '{place.word}/{table}'" if table else ""
