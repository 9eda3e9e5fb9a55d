"""What files and columns are called: takes names, says which of them are pictures, classes or hidden; opens nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import PurePath

from seewhy.models.images import SUFFIXES

__all__ = ["FILES", "GROUPS", "LABELS", "column_of", "is_hidden", "is_hidden_name", "is_picture", "suffix_of"]

#: what the columns of a table with a header are called, the likeliest first
FILES = ("file", "file_name", "filename", "path", "image", "image_path", "name", "id")
LABELS = ("label", "labels", "class", "target", "category", "truth", "class_id")
GROUPS = ("group", "groups")

#: read as pictures as well, by their names: DICOM files of one slice
_MORE = frozenset((".dcm", ".dicom"))


def column_of(header: Sequence[str], known: Collection[str]) -> int | None:
    """The column of a header that has one of the ``known`` names, the first of these that it has.

    >>> column_of(["Id", "File Name", "class"], FILES)
    1
    """
    names = [cell.strip().lower().replace(" ", "_") for cell in header]
    return next((names.index(name) for name in known if name in names), None)


def suffix_of(name: str) -> str:
    """What a name ends in, small, with its dot.

    >>> suffix_of("a/B.JPG"), suffix_of(".hidden")
    ('.jpg', '')
    """
    return PurePath(name).suffix.lower()


def is_picture(name: str) -> bool:
    """Whether a file of that name is taken for a picture.

    >>> is_picture("a.JPG"), is_picture("a.txt")
    (True, False)
    """
    suffix = suffix_of(name)
    return suffix in SUFFIXES or suffix in _MORE


def is_hidden(path: PurePath, root: PurePath) -> bool:
    """Whether a file below ``root`` is none that somebody put there to be seen: it, or a folder on the way, begins with
    a dot, or is what an archive of macOS keeps beside its files."""
    return any(map(is_hidden_name, path.relative_to(root).parts))


def is_hidden_name(name: str) -> bool:
    """`is_hidden`, of a file's or folder's own name."""
    return name.startswith(".") or name == "__MACOSX"
