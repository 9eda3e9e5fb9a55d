"""What pages of all kinds have in common: takes values, gives tables without empty columns, settings in words, and
where results come from."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from seewhy._version import __version__
from seewhy.errors import CapabilityError, one_line
from seewhy.reports.page import Badge, Block, Cell, Code, Figure, Figures, Number, Pairs, Points, Table, Words, held

__all__ = [
    "NO_ANSWER",
    "REPORT",
    "ROWS",
    "Asked",
    "chart",
    "joined",
    "level_badge",
    "listed",
    "percent",
    "provenance_of",
    "settings_in_words",
    "share",
    "spec_or_name",
    "status_badge",
    "table_of",
    "trust_badge",
]

#: the line of Python that makes a report of what was found
REPORT = 'seewhy.report(found, "report.html")'
#: rows of a table at most
ROWS = 1000
#: characters of a setting's value
_VALUE = 120
#: lines of a list at most, and characters of one
_LINES, _LINE = 300, 2000
_LEVELS = {"green": "good", "amber": "doubt", "red": "bad"}
#: statuses whose map answers nothing, and none at all; all others but "ok" are to be taken with care
NO_ANSWER = ("zero-gradient", "non-finite", "failed")


@dataclass(frozen=True)
class Asked:
    """What is known of how a report was asked for: the ``command`` line, or none; the ``model``, where the result does
    not say more of it than its name; the ``source`` of a run's pictures, where it is open already."""

    command: str = ""
    model: Any = None
    source: Any = None


def table_of(caption: str, rows: Sequence[Mapping[str, Cell]], most: int = ROWS) -> list[Block]:
    """A table of rows by heads, without columns in which nothing stands; a sentence on rows that are left out."""
    shown = rows[:most]
    heads = [
        head
        for head in dict.fromkeys(name for row in shown for name in row)
        if any(_says(row.get(head)) for row in shown)
    ]
    if not heads:
        return []
    found: list[Block] = [Table(heads, [[row.get(head) for head in heads] for row in shown], caption)]
    if len(rows) > most:
        found.append(Words(f"The first {most:,} of {len(rows):,} rows.", note=True))
    return found


def listed(lines: Sequence[str]) -> list[Block]:
    """Lines, one below the other: of very many the first ones, each as long as can be read."""
    if not lines:
        return []
    shown = [one_line(line, _LINE) for line in lines[:_LINES]]
    more = [Words(f"And {len(lines) - _LINES:,} more.", note=True)] if len(lines) > _LINES else []
    return [Points(shown), *more]


def chart(result: Any, alt: str, title: str) -> list[Block]:
    """A result's own chart; in words why there is none."""
    try:
        return [Figures([Figure(held(result.figure(), drawing=True), alt, title, drawing=True)])]
    except CapabilityError as error:  # without matplotlib
        return [Words(str(error), note=True)]


def _says(cell: Cell) -> bool:
    return cell is not None and cell != "" and (not isinstance(cell, Number) or cell.known or bool(cell.shown))


def share(value: float | None, digits: int = 0) -> Number | None:
    """A share as percent; None for none."""
    return None if value is None else Number(value, percent(value, digits))


def percent(value: float, digits: int = 0) -> str:
    """``50 %``; a dash where there is no number."""
    return f"{100 * value:.{digits}f} %".replace("-", "−") if math.isfinite(value) else "–"


def settings_in_words(settings: Mapping[str, Any]) -> str:
    """``n=16, seed=0``."""
    return ", ".join(f"{name}={one_line(value, _VALUE)}" for name, value in settings.items() if value is not None)


def level_badge(level: str, what: str = "") -> Badge | None:
    """A level of a trust card, or of one of its measures (of ``what``); None for none."""
    return Badge(f"{what}{level}", _LEVELS[level]) if level in _LEVELS else None


def trust_badge(level: str) -> Badge | None:
    """A trust card's level."""
    return level_badge(level, "trust: ")


def status_badge(code: str) -> Badge:
    """A status, by its code."""
    return Badge(code, "good" if code == "ok" else "bad" if code in NO_ANSWER else "doubt")


def spec_or_name(model: str) -> str:
    """A model as a line of Python has it: by what loads it, or by a name for what is in hand.

    >>> spec_or_name("torchvision:resnet18"), spec_or_name("builtin"), spec_or_name("Sequential")
    ("'torchvision:resnet18'", "'builtin'", 'model')
    """
    return repr(model) if ":" in model or model == "builtin" else "model"


def joined(values: Iterable[Any]) -> str:
    """All different ones of ``values``, in their order."""
    return ", ".join(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def provenance_of(
    asked: Asked, named: Sequence[tuple[str, Cell]], python: str = "", origins: Sequence[Mapping[str, Any]] = ()
) -> list[Block]:
    """Where a page's numbers come from: the model with its fingerprint, what is ``named`` besides, versions (those of
    ``origins``, where results know them), when, and what to type for the same."""
    model = asked.model
    rows: list[tuple[str, Cell]] = [
        (
            "model",
            joined(each.get("model", each.get("name")) for each in origins)
            or getattr(model, "spec", "")
            or getattr(model, "name", ""),
        ),
        ("weights", joined(each.get("weights") for each in origins) or getattr(model, "weights", "")),
        ("fingerprint", joined(each.get("fingerprint") for each in origins) or _fingerprint(model)),
        *named,
        ("device", joined(each.get("device") for each in origins)),
        ("precision", joined(each.get("dtype") for each in origins)),
        ("seewhy", joined(each.get("seewhy") for each in origins) or __version__),
        ("torch", joined(each.get("torch") for each in origins) or _version("torch")),
        ("Python", joined(each.get("python") for each in origins) or platform.python_version()),
        ("written", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
    ]
    named_once = {name: cell for name, cell in reversed(rows) if cell not in (None, "")}
    found: list[Block] = [
        Pairs([(name, named_once[name]) for name in dict.fromkeys(name for name, _ in rows) if name in named_once])
    ]
    if asked.command:
        found += [Words("The same again, in a shell:"), Code(asked.command, "Command line")]
    elif python:
        found += [Words("The same again, in Python:"), Code(python, "Python")]
    return found


def _fingerprint(model: Any) -> str:
    return "" if model is None else str(model.fingerprint() or "")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
