"""The bar on a terminal: takes nothing, gives what rich shows; imported where there is a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["on_stderr"]


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """See `ProgressColumn`."""
        return Text("" if not task.speed else f"{task.speed:.3g}/s", style="progress.data.speed")


def on_stderr() -> Progress:
    """A bar for each task, with how fast it goes and how long it still will."""
    left = TimeRemainingColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), left)
    # stdout is data: it never passes through the bar, which would wrap it and send it to stderr
    return Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
