"""Training logs: takes a CSV as Keras, Lightning or a loop of one's own writes it, gives its curves; trains nothing."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np

from seewhy.errors import UsageError, nearest, one_line
from seewhy.explanation import Curve, Curves

__all__ = ["training_curves"]

#: what a column's name begins or ends with, and which photos it is about
_ROLES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "eval": "val",
    "dev": "val", "test": "test",
}  # fmt: skip
#: what a log may be ordered by, the best first; of several rows with the same one, the mean is shown
_AXES = ("epoch", "step", "iteration", "batch")
#: the same measure by another name
_SAME = {"acc": "accuracy"}
#: measures in the order of interest; what is not named here comes behind
_FIRST = ("loss", "accuracy")


def training_curves(path: str | Path) -> Curves:
    """The training curves in a CSV file: every column of numbers, training and validation of one measure together.

    Columns are named as Keras' CSVLogger does (``epoch,loss,val_loss,accuracy,val_accuracy``), as Lightning's does
    (``epoch,step,train_loss_step,train_loss_epoch,val_loss``, with empty cells), or with a slash (``train/loss``); a
    name without ``train`` or ``val`` counts as training where there is a validation of the same measure. Rows of one
    epoch are averaged; one without an epoch belongs to the one before. Separators may be commas, semicolons or tabs.

    A `Curves` has ``x`` [E], ``curves`` with ``values`` [E], ``lowest_loss()``, ``figure()`` and ``save`` to PNG, JPEG
    or SVG. Raises `UsageError` for a file that cannot be read or has no column of numbers.

    >>> import tempfile, pathlib, seewhy
    >>> log = pathlib.Path(tempfile.mkdtemp(), "log.csv")
    >>> _ = log.write_text("epoch,loss,val_loss\\n0,2.0,2.2\\n1,1.0,1.5\\n2,0.5,1.7\\n")
    >>> seewhy.training_curves(log).lowest_loss()
    ('val_loss', 1.0, 1.5)
    """
    file = Path(path)
    columns = _columns(file)
    numbers, notes = dict[str, list[float | None]](), list[str]()
    for name, cells in columns.items():
        read = [_number(cell) for cell in cells]
        if any(one is _WORD for one in read):
            notes.append(f"column {name!r} holds words and is left out")
        elif any(one is not None for one in read):
            numbers[name] = read
    axis = next((name for word in _AXES for name in numbers if name.strip().lower().rstrip("s") == word), "")
    kept = [name for name in numbers if name.strip().lower().rstrip("s") not in _AXES]
    if not kept:
        close = nearest("loss", columns)
        hint = f" (nearest to a loss: {close[0]!r})" if close else ""
        raise UsageError(
            f"{file} has no column of numbers beside {axis or 'the epoch'}; it has {one_line(', '.join(columns), 120)}"
            f"{hint}. A line of a log is epoch,loss,val_loss"
        )
    rows = len(numbers[kept[0]])
    at = _filled(numbers[axis]) if axis else [float(n) for n in range(1, rows + 1)]
    x = np.array(sorted(set(at)))
    curves = [_curve(name, numbers[name], at, x) for name in kept]
    return Curves(file.name, axis.strip().lower().rstrip("s") or "row", x, tuple(_ordered(curves)), tuple(notes))


#: what stands in a cell that is no number
_WORD = object()


def _number(cell: str) -> Any:
    """The number in a cell, None for none, `_WORD` for anything else."""
    text = cell.strip()
    if not text or text.lower() in ("none", "null", "-"):
        return None
    try:
        return float(text)
    except ValueError:
        return _WORD


def _columns(file: Path) -> dict[str, list[str]]:
    """Every column's cells by its name."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
        head = lines[0] if lines else ""
        separator = max(",;\t", key=head.count)
        rows = [row for row in csv.reader(lines, delimiter=separator) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise UsageError(
            f"cannot read the training log {file}: {one_line(error)}; name a CSV with lines epoch,loss,val_loss"
        ) from error
    if len(rows) < 2:
        raise UsageError(f"the training log {file} has no rows; a line for each epoch: epoch,loss,val_loss")
    names = [cell.strip() for cell in rows[0]]
    if any(isinstance(_number(name), float) for name in names):
        raise UsageError(f"{file} begins with numbers, not with the columns' names: begin it with epoch,loss,val_loss")
    filled = [row + [""] * (len(names) - len(row)) for row in rows[1:]]
    return {name: [row[n] for row in filled] for n, name in enumerate(names) if name}


def _filled(cells: list[float | None]) -> list[float]:
    """What rows are ordered by: one that does not say (Lightning's of learning rates) belongs to the one before."""
    last = next((value for value in cells if value is not None), 0.0)
    filled = []
    for value in cells:
        last = last if value is None else value
        filled.append(last)
    return filled


def _curve(column: str, cells: list[float | None], at: list[float], x: np.ndarray) -> Curve:
    held: dict[float, list[float]] = {value: [] for value in x.tolist()}
    for place, value in zip(at, cells, strict=True):
        if value is not None:
            held[place].append(value)
    means = np.array([np.mean(several) if several else np.nan for several in held.values()])
    measure, role = _meant(column)
    return Curve(column, measure, role, means)


def _meant(column: str) -> tuple[str, str]:
    """The measure that a column is of, and of which photos."""
    words = [word for word in re.split(r"[_/.\s-]+", column.lower()) if word]
    role = ""
    for end in (0, -1):
        if not role and len(words) > 1 and words[end] in _ROLES:
            role = _ROLES[words.pop(end)]
    if len(words) > 1 and words[-1] in ("epoch", "step"):
        words.pop()
    if words[-1:] and words[-1] in _SAME:
        words[-1] = _SAME[words[-1]]
    return " ".join(words) or column, role


def _ordered(curves: list[Curve]) -> list[Curve]:
    """Losses first, then accuracies; of a measure training first. What is named no role is training where validation
    is, and of a column that was written by step and by epoch, the one by epoch stays."""
    validated = {curve.measure for curve in curves if curve.role == "val"}
    known = [
        Curve(c.column, c.measure, "train" if not c.role and c.measure in validated else c.role, c.values)
        for c in curves
    ]
    by_epoch = {c.column[: -len("epoch")] for c in known if c.column.lower().endswith("epoch")}
    known = [c for c in known if not (c.column.lower().endswith("step") and c.column[: -len("step")] in by_epoch)]
    place = {name: n for n, name in enumerate(dict.fromkeys(c.measure for c in known))}
    first = {word: n for n, word in enumerate(_FIRST)}
    roles = {"train": 0, "": 1, "val": 2, "test": 3}

    def key(curve: Curve) -> tuple[int, int, int]:
        worth = first.get(curve.measure, 2 if "loss" in curve.measure else 3)
        return worth, place[curve.measure], roles[curve.role]

    return sorted(known, key=key)
