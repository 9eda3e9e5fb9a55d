"""What a person sees while waiting: takes progress calls and warnings, gives a bar on a terminal's stderr, plain lines
elsewhere."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["EVERY", "KEPT", "Bars", "bars", "complain", "duration", "quiet_warnings"]

#: seconds between two lines of progress where there is no terminal
EVERY = 10.0


#: what is said of a command that was interrupted
KEPT = "interrupted; files finished so far are kept"


def complain(message: str) -> None:
    """One line on stderr, whatever a library put into its text."""
    typer.echo(f"seewhy: {' '.join(message.split())}", err=True)


def duration(seconds: float) -> str:
    """How long something takes, for people.

    >>> duration(90), duration(600), duration(86400)
    ('90 s', '10 minutes', '24.0 hours')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


class Bars:
    """One bar for the photos and one for the pass under way; without a terminal a line every few seconds, or nothing if
    ``quiet``."""

    def __init__(self, progress: Progress | None, *, quiet: bool = False) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._quiet = quiet
        self._began = self._told = time.monotonic()
        #: what is not through yet, the outermost first; and when each was first told of, and how much was done then
        self._under_way: dict[str, str] = {}
        self._first: dict[str, tuple[float, int]] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` of ``what`` are through."""
        if self._progress is None:
            now = time.monotonic()
            self._under_way[what] = f"{what}: {done} of {total}{self._pace(what, now, done, total)}"
            if done >= total:
                del self._under_way[what], self._first[what]
            if not self._quiet and now - self._told >= EVERY and done < total:
                self._told = now
                complain(f"{', '.join(self._under_way.values())} after {now - self._began:.0f} s")
            return
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total, visible=done < total)

    def _pace(self, what: str, now: float, done: int, total: int) -> str:
        """How fast it goes, and how long it still will, once that can be said."""
        since, before = self._first.setdefault(what, (now, done))
        if now <= since or done <= before:
            return ""
        each = (now - since) / (done - before)
        rate = f"{1 / each:.3g} a second" if each < 1 else f"{each:.3g} s each"
        return f" ({rate}, about {duration(each * (total - done))} left)"

    @contextmanager
    def aside(self) -> Iterator[None]:
        """No bar while the context lasts: what is printed inside starts on a line of its own."""
        if self._progress is None:
            yield
            return
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()


@contextmanager
def bars(quiet: bool) -> Iterator[Bars]:
    """Progress on stderr while the context lasts, unless ``quiet``: bars on a terminal, lines elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield Bars(None, quiet=quiet)
        return
    from seewhy.cli.bar import on_stderr

    with on_stderr() as progress:
        yield Bars(progress)


@contextmanager
def quiet_warnings(quiet: bool) -> Iterator[None]:
    """Warnings as single lines on stderr, each once; none with ``quiet``."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *rest: object) -> None:
        text = " ".join(str(message).split())
        if not quiet and issubclass(category, UserWarning) and text not in shown:
            shown.add(text)
            print(f"seewhy: note: {text}", file=sys.stderr)

    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        try:
            yield
        finally:
            warnings.showwarning = before
