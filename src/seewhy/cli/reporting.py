"""``--report``: takes where a report is to go, which is checked before anything is run, gives it written, with the line
that was typed at its end."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seewhy.api.reporting.explanations import Explained
    from seewhy.explanation import Explanations
    from seewhy.models import Model

__all__ = ["TYPED", "PhotoReport", "checked", "typed_line", "write_report"]

#: the words of the command that runs, without its own name
TYPED: ContextVar[Sequence[str]] = ContextVar("TYPED", default=())
#: what is told of a word that opens something: a URL's user and password, its signature, an argument that is called so
_HIDDEN = "..."
_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_NAMED = re.compile(
    r"(?i)([\w-]*(?:token|secret|password|passwd|signature|credential|api[_-]?key|access[_-]?key|sig)[\w-]*=)[^&\s]+"
)


def typed_line() -> str:
    """The command as it was typed, but for passwords and the like: it goes into a file that is handed on.

    >>> token = TYPED.set(["run", "s3://me:pass@store/my photos", "--arg", "token=abc"])
    >>> print(typed_line())
    seewhy run 's3://...@store/my photos' --arg token=...
    >>> TYPED.reset(token)
    """
    words = (_NAMED.sub(rf"\1{_HIDDEN}", _USER.sub(_HIDDEN, word)) for word in TYPED.get())
    return shlex.join(["seewhy", *words])


def checked(path: Path | None, *, force: bool) -> Path | None:
    """A report's path, if it may be written; raises `UsageError` if not, before any work is done."""
    if path is None:
        return None
    from seewhy.api.reporting.making import SUFFIXES
    from seewhy.render import check
    from seewhy.reports import Folder

    found = check(path, SUFFIXES, force=force)
    Folder(found.parent)
    return found


def write_report(result: Any, path: Path, *, model: Any = None, source: Any = None) -> Path:
    """Write a report of a result; ``model`` and a run's ``source`` as in `seewhy.report`."""
    from seewhy.api.reporting.making import write

    return write(result, path, command=typed_line(), model=model, source=source)


class PhotoReport:
    """A report of one photo after the other, which holds small pictures alone."""

    def __init__(self, path: Path) -> None:
        from seewhy.api.reporting.explanations import Explained

        self.path = path
        self._made: Explained = Explained()

    def add(self, explanations: Explanations) -> None:
        """What was found of a photo."""
        self._made.add(explanations, explanations.cost)

    def keep(self, name: str, told: Mapping[str, Any], small: Path) -> None:
        """A photo that an earlier run has explained, of whose maps there is a ``small`` picture."""
        self._made.keep(name, told, small.read_bytes() if small.is_file() else None)

    def fail(self, reason: str) -> None:
        """A photo that has no explanation."""
        self._made.fail(reason)

    def write(self, model: Model) -> Path:
        """Write the file."""
        return write_report(self._made, self.path, model=model)
