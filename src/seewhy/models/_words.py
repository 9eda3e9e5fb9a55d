"""Takes other people's messages and file names, gives one-line words for ours; never decides anything."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from seewhy.errors import nearest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["missing_file", "one_line", "reason"]

#: a folder is listed only this far when a close file name is looked for
_LISTED = 2000


def one_line(text: object, limit: int = 200) -> str:
    """``text`` with every run of white space as one space, cut at ``limit`` characters.

    >>> one_line("two\\n  lines")
    'two lines'
    """
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def reason(error: BaseException, limit: int = 200) -> str:
    """An exception's type and text on one line.

    >>> reason(ValueError("not\\nthis"))
    'ValueError: not this'
    """
    text = one_line(error, limit)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def missing_file(path: Path) -> str:
    """Why there is no file at ``path``: a missing folder, or the nearest name there; '' if there is one."""
    try:
        if path.exists():
            return ""
        folder = path.parent
        if not folder.is_dir():
            return f"there is no folder {str(folder)!r}"
        close = nearest(path.name, (entry.name for entry in islice(folder.iterdir(), _LISTED)))
    except (OSError, ValueError) as error:  # a name too long, a NUL in it, a folder that may not be listed
        return reason(error)
    return f"there is no such file; nearest: {str(folder / close[0])!r}" if close else "there is no such file"
