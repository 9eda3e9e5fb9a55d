"""Waiting in a notebook: takes what a call was given to tell how far it is, gives that, or a bar under the cell; knows
nothing of what is being done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from seewhy.html import bar

__all__ = ["Bars", "Progress", "watched"]

Progress = Callable[[str, int, int], None]

#: seconds before a bar is worth a look, and between two looks
_AFTER, _EVERY = 1.0, 0.25


def watched(progress: Progress | None) -> Progress:
    """Whom a call tells how far it is: ``progress``, or what shows it in a notebook, or nobody."""
    if progress is not None:
        return progress
    shell = _shell()
    return _nobody if shell is None else Bars(shell)


def _nobody(what: str, done: int, total: int) -> None:
    pass


def _shell() -> Any:
    """IPython where it has a page to show HTML on; None in a terminal, a script, anywhere else."""
    ipython: Any = sys.modules.get("IPython")
    find = getattr(ipython, "get_ipython", None)
    page = getattr(getattr(ipython, "display", None), "HTML", None)  # what stands in for IPython may have neither
    return ipython if find and page and getattr(find(), "kernel", None) is not None else None


class Bars:
    """A line for each thing under way, under the cell that runs, from the second second on; gone when all is done."""

    def __init__(self, ipython: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._ipython, self._clock = ipython, clock
        self._began = clock()
        self._drawn = -_EVERY
        self._lines: dict[str, tuple[int, int, float]] = {}
        self._place: Any = None
        self._visible = False

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` of ``what`` are through."""
        now = self._clock()
        if done < total:
            self._lines[what] = done, total, self._lines[what][2] if what in self._lines else now
        else:
            self._lines.pop(what, None)
        if now - self._began < _AFTER or (self._lines and now - self._drawn < _EVERY):
            return
        if not self._lines and not self._visible:
            return
        self._drawn, self._visible = now, bool(self._lines)
        html = self._ipython.display.HTML("".join(self._line(name, now) for name in self._lines))
        if self._place is None:
            self._place = self._ipython.display.display(html, display_id=True)
        else:
            self._place.update(html)

    def _line(self, what: str, now: float) -> str:
        done, total, since = self._lines[what]
        left = (now - since) / done * (total - done) if done and now > since else 0.0
        return bar(what, done, total, f", about {left:.0f} s left" if left >= 1 else "")
