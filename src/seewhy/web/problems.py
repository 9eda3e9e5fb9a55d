"""Problems: takes an error, gives the answer that a client gets, as application/problem+json (RFC 9457), without a path
of this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from seewhy.errors import OutOfMemory, SeewhyError, StoreError, UnknownName, one_line, reason

__all__ = ["Problem", "Scrub", "problem_of"]

#: characters of a detail at most
_LINE = 400
#: an absolute path with a folder in it, of either kind of system
_PATH = re.compile(r"""(?<![\w.:/\\])(?:[A-Za-z]:)?(?:[/\\][^\s/\\'":,;()<>|]+){2,}""")


class Problem(Exception):
    """What is wrong with a request: an HTTP ``status``, and a line for whoever asked. ``headers`` go with it."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers

    def document(self, scrub: Scrub) -> dict[str, Any]:
        """As RFC 9457 has it."""
        title = HTTPStatus(self.status).phrase
        return {"type": "about:blank", "title": title, "status": self.status, "detail": scrub(self.detail)}


class Scrub:
    """Takes places out of words: of what lies in those that the workbench knows, and of any other path, the last part
    is left."""

    def __init__(self, places: Iterable[str | Path]) -> None:
        known = {str(place).rstrip("/\\") for place in places if str(place)}
        known |= {str(Path(place).resolve()) for place in known if "://" not in place}
        longest = sorted((place for place in known if len(place) > 1), key=len, reverse=True)
        # what lies in a known place may have spaces in its name
        inside = r"""(?:[/\\][^'":,;()<>|\n]*)?"""
        self._known = re.compile("|".join(re.escape(place) + inside for place in longest) or r"(?!)")

    def __call__(self, words: str) -> str:
        """The words on one line, without places."""
        return one_line(_PATH.sub(_last, self._known.sub(_last, words)), _LINE)


def _last(path: re.Match[str]) -> str:
    return "…/" + re.split(r"[/\\]", path[0].rstrip("/\\"))[-1]


def problem_of(error: BaseException) -> Problem:
    """What a client is told of an error: what it can change about its request in the words of the error."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, OutOfMemory):
        return Problem(413, str(error))
    if isinstance(error, UnknownName):
        return Problem(404, str(error))
    if isinstance(error, StoreError):
        return Problem(409, str(error))
    if isinstance(error, SeewhyError):
        return Problem(422, str(error))
    return Problem(500, f"an error of this program, or of the model's own code: {reason(error, 160)}")
