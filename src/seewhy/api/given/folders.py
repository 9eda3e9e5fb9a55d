"""Folders of photos: takes a folder and a model, gives paths with their true classes, and the photos that activate a
target most; explains nothing."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seewhy.api.given.images import read_items
from seewhy.core.forward.answers import score_batch
from seewhy.core.layers.choice import read_layer
from seewhy.core.network.borrowed import Network
from seewhy.core.targets import Target
from seewhy.errors import ImageError, UnknownName, UsageError
from seewhy.explanation import Tile
from seewhy.models import Model
from seewhy.models.images import SUFFIXES
from seewhy.runs.sources.names import FILES, LABELS, column_of, is_hidden

__all__ = ["Labelled", "labelled", "photos_in", "strongest"]

_TABLE = "labels.csv"


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
    an invalid table, `UnknownName` for a class that the model does not have.
    """
    root, photos = Path(folder), photos_in(folder)
    listing = Path(table) if table is not None else root / _TABLE
    if table is not None or listing.is_file():
        return _from_table(model, root if root.is_dir() else root.parent, listing)
    listed, known = [], dict[str, int | None]()
    for path in photos:
        name = "" if path.parent == root or path == root else path.relative_to(root).parts[0]
        if name not in known:
            known[name] = _class_of(model, name, f"sub-folder {name!r} of {root}") if name else None
        listed.append(Labelled(path, known[name]))
    return listed


def _from_table(model: Model, root: Path, table: Path) -> list[Labelled]:
    try:
        rows = list(csv.reader(table.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read the table {table}: {error}") from error
    numbered = [(number, row) for number, row in enumerate(rows, 1) if row]
    file, label = 0, 1
    if numbered and (header := _header(numbered[0][1])):
        (file, label), numbered = header, numbered[1:]
    if not numbered:
        raise UsageError(f"the table {table} is empty; a line for each photo: file,label")
    known, lines, listed = dict[str, int](), dict[Path, int](), []
    for number, row in numbered:
        where = f"{table}, line {number}"
        if len(row) <= max(file, label):
            raise UsageError(f"{where}: {','.join(row)!r}; a line is file,label")
        path, name = root / row[file].strip(), row[label].strip()
        if not path.is_file():
            raise UsageError(f"{where}: no file {path}; names are relative to the folder")
        if (first := lines.setdefault(path.resolve(), number)) != number:
            raise UsageError(f"{where}: {path} is in line {first} as well; a photo has one line")
        if name not in known:
            known[name] = _class_of(model, name, where)
        listed.append(Labelled(path, known[name]))
    return listed


def _header(row: Sequence[str]) -> tuple[int, int] | None:
    """The columns of files and of labels, where ``row`` names them."""
    file, label = column_of(row, FILES), column_of(row, LABELS)
    return (file, label) if file is not None and label is not None and file != label else None


def _class_of(model: Model, name: str, where: str) -> int:
    try:
        return model.find_label(name)
    except (UnknownName, UsageError) as error:
        if re.fullmatch(r"-?\d*\.\d+|-?\d+\.", name):  # 3.0 and nan are what tables of numbers write
            whole = float(name).is_integer()
            hint = f"a class is a whole number or a label{f': {float(name):.0f}' if whole else ''}"
            raise UsageError(f"{where}: {name!r} is no class; {hint}") from error
        raise UsageError(f"{where} is no class of the model: {error}") from error


def photos_in(folder: str | Path | Sequence[str | Path], also: Collection[str] = ()) -> list[Path]:
    """The image files in a folder and below it, by name, and those whose names end in ``also``; or those of a list.
    Raises `UsageError` if there are none."""
    if not isinstance(folder, str | Path):
        return [Path(photo) for photo in folder]
    root = Path(folder)
    if root.is_file():
        return [root]
    known = SUFFIXES | set(also)
    files = (path for path in root.rglob("*") if path.name.lower().endswith(tuple(known)) and path.is_file())
    paths = sorted(path for path in files if not is_hidden(path, root))
    if not paths:
        what = "there is no such folder" if not root.exists() else "no image files in it"
        raise UsageError(f"folder {str(root)!r}: {what}; name one with .png, .jpg or .webp files")
    return paths


def strongest(
    model: Model,
    network: Network,
    target: Target,
    folder: str | Path | Sequence[str | Path],
    count: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Tile]:
    """The ``count`` photos with the highest score, best first; unreadable ones are passed over.

    Raises `UsageError` if none can be read, or for a ``count`` under one.
    """
    if count < 1:
        raise UsageError(f"examples={count}: at least one, e.g. examples=4")
    paths = photos_in(folder)
    best: list[tuple[float, str, Any]] = []
    for number, path in enumerate(paths, 1):
        try:
            ((item,), _) = read_items(model, str(path))
        except ImageError:
            continue
        score = float(score_batch(network, network.like(item.tensor[None]), target, reader=read_layer)[0])
        best = sorted([*best, (score, path.name, item.view)], key=lambda scored: -scored[0])[:count]
        if progress is not None:
            progress("photos", number, len(paths))
    if not best:
        raise UsageError(f"none of the {len(paths)} photos in {str(folder)!r:.80} can be read")
    return [Tile(view, (name, f"score {score:.3g}"), value=score) for score, name, view in best if view is not None]
