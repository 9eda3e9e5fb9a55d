"""Takes file names that lead nowhere, gives the nearest that do; opens nothing."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from seewhy.errors import nearest, reason

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["missing_file"]

#: a folder is listed only this far when a close file name is looked for
_LISTED = 2000


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
