"""Tables on the command line: takes column names, gives a table and a console wide enough for it."""

from __future__ import annotations

import os

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

__all__ = ["console", "table"]


def console() -> Console:
    """A console as wide as the terminal; off a terminal as wide as need be: one row is one line, for grep."""
    console = Console(emoji=False)  # python:train:Net is no railway
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=1000, emoji=False)


def table(*columns: str) -> Table:
    """An empty table with these columns."""
    empty = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        empty.add_column(column)
    return empty
