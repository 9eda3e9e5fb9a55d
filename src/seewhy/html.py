"""Names, values and pictures as HTML for a notebook: takes plain values, gives fragments that refer to no file; decides
nothing about what is worth telling."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, TypeVar

__all__ = ["Rows", "bar", "pairs", "picture", "table"]

_LEFT = 'style="text-align:left"'
#: a longer table scrolls in its cell
_TALL = "max-height:32em;overflow:auto"

T = TypeVar("T")


class Rows(list[T]):
    """A list that a notebook shows as a table, with a row for each entry and the attributes of ``columns``, by
    heading; the first column is what IPython lists where there are only letters.

    >>> from fractions import Fraction
    >>> halves = Rows([Fraction(1, 2)], {"over": "numerator", "under": "denominator"})
    >>> halves, "<td" in halves._repr_html_()
    ([Fraction(1, 2)], True)
    """

    def __init__(self, entries: Iterable[T], columns: Mapping[str, str]) -> None:
        super().__init__(entries)
        self._columns = dict(columns)

    def _repr_html_(self) -> str:
        cells = ([getattr(entry, name) for name in self._columns.values()] for entry in self)
        return f"{table(list(self._columns), cells)}<p>{len(self)} rows</p>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """In place of all that every entry knows, which a notebook would keep beside the table."""
        first = next(iter(self._columns.values()))
        printer.text(f"{len(self)} rows: {', '.join(str(getattr(entry, first)) for entry in self)}")


def table(heads: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table with a line of ``heads`` and ``rows`` of values under it."""
    head = "".join(f"<th {_LEFT}>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f'<div style="{_TALL}"><table><tr>{head}</tr>{body}</table></div>'


def pairs(named: Iterable[tuple[str, Any]]) -> str:
    """A table of names and values, without those that are None or ''."""
    body = "".join(
        f"<tr><th {_LEFT}>{escape(name)}</th><td {_LEFT}>{_shown(value)}</td></tr>"
        for name, value in named
        if value is not None and value != ""
    )
    return f"<table>{body}</table>"


def picture(data: bytes, kind: str, alt: str) -> str:
    """A picture file of ``kind``, ``"png"`` or ``"jpeg"``, no wider than its cell."""
    text = base64.b64encode(data).decode("ascii")
    return f'<img alt="{escape(alt)}" style="max-width:100%" src="data:image/{kind};base64,{text}"/>'


def bar(what: str, done: int, total: int, words: str = "") -> str:
    """How far something has come, as a line."""
    return (
        f'<div><progress value="{done}" max="{total}" style="vertical-align:middle"></progress> '
        f"{escape(what)}: {done} of {total}{escape(words)}</div>"
    )


def _cell(value: Any) -> str:
    """Numbers stay at the right, where notebooks have everything."""
    number = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    return f"<td>{_shown(value)}</td>" if number else f"<td {_LEFT}>{_shown(value)}</td>"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple) and value and all(isinstance(part, int) for part in value):
        return "×".join(map(str, value))
    if isinstance(value, tuple | list | set | frozenset):
        return escape(", ".join(map(str, value)))
    return escape(str(value))
