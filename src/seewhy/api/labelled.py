"""Photos with their true classes: takes a folder and a model, gives paths and class numbers; reads no picture."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from seewhy.api.examples import photos_in
from seewhy.errors import UnknownName, UsageError
from seewhy.models import Model

__all__ = ["Labelled", "labelled"]

_TABLE = "labels.csv"
_HEADERS = (["file", "label"], ["path", "label"], ["image", "label"])


@dataclass(frozen=True)
class Labelled:
    """A photo and its true class; None where nobody said."""

    path: Path
    truth: int | None


def labelled(model: Model, folder: str | Path, table: str | Path | None = None) -> list[Labelled]:
    """The photos in ``folder`` with their true classes, by name.

    Truth is the name of the sub-folder that a photo is in (``cats/1.png``), as a label, a synonym or a class number; or
    a table with a line ``file,label`` for each photo, ``labels.csv`` in the folder unless ``table`` names another, with
    or without a header; or unknown, where photos lie in the folder itself. Raises `UsageError` for an empty folder and
    a table that cannot be meant, `UnknownName` for a class that the model does not have.
    """
    root, photos = Path(folder), photos_in(folder)
    listing = Path(table) if table is not None else root / _TABLE
    if table is not None or listing.is_file():
        return _from_table(model, root if root.is_dir() else root.parent, listing)
    found, known = [], dict[str, int | None]()
    for path in photos:
        name = "" if path.parent == root or path == root else path.relative_to(root).parts[0]
        if name not in known:
            known[name] = _class_of(model, name, f"sub-folder {name!r} of {root}") if name else None
        found.append(Labelled(path, known[name]))
    return found


def _from_table(model: Model, root: Path, table: Path) -> list[Labelled]:
    try:
        rows = list(csv.reader(table.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read the table {table}: {error}") from error
    rows = [row for row in rows if row]
    if rows and [cell.strip().lower() for cell in rows[0][:2]] in _HEADERS:
        rows = rows[1:]
    if not rows:
        raise UsageError(f"the table {table} is empty; a line for each photo: file,label")
    known, found = dict[str, int](), []
    for number, row in enumerate(rows, 1):
        if len(row) < 2:
            raise UsageError(f"{table}, line {number}: {','.join(row)!r}; a line is file,label")
        path, name = root / row[0].strip(), row[1].strip()
        if not path.is_file():
            raise UsageError(f"{table}, line {number}: no file {path}; names are relative to the folder")
        if name not in known:
            known[name] = _class_of(model, name, f"{table}, line {number}")
        found.append(Labelled(path, known[name]))
    return found


def _class_of(model: Model, name: str, where: str) -> int:
    try:
        return model.find_label(name)
    except (UnknownName, UsageError) as error:
        raise UsageError(f"{where} is no class of the model: {error}") from error
