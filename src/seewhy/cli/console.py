"""What a person sees while waiting: takes progress calls and warnings, gives a bar on a terminal's stderr, plain lines
elsewhere."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

__all__ = ["EVERY", "Bars", "bars", "complain", "quiet_warnings"]

#: seconds between two lines of progress where there is no terminal
EVERY = 10.0


def complain(message: str) -> None:
    """One line on stderr, whatever a library put into its text."""
    typer.echo(f"seewhy: {' '.join(message.split())}", err=True)


class Bars:
    """One bar for the photos and one for the pass under way; without a terminal a line every few seconds, or nothing if
    ``quiet``."""

    def __init__(self, progress: Progress | None, *, quiet: bool = False) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._quiet = quiet
        self._began = self._told = time.monotonic()
        #: what is not through yet, the outermost first
        self._under_way: dict[str, str] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` of ``what`` are through."""
        if self._progress is None:
            now = time.monotonic()
            self._under_way[what] = f"{what}: {done} of {total}"
            if done >= total:
                del self._under_way[what]
            if not self._quiet and now - self._told >= EVERY and done < total:
                self._told = now
                complain(f"{', '.join(self._under_way.values())} after {now - self._began:.0f} s")
            return
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total, visible=done < total)

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
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # stdout is data: it never passes through the bar, which would wrap it and send it to stderr
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
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
