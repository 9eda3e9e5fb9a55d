"""Going through pictures: takes groups of entries, has each group's inputs read while the one before is worked on, and
ends where it is told to, between two of them; knows neither what is done with them nor where results go."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from seewhy.errors import UsageError
from seewhy.runs.reading import Open, Opened, read_ahead
from seewhy.runs.sources import Entry, Source

__all__ = ["INTERRUPTED", "Stop", "walk"]

K = TypeVar("K")

#: why a walk ended that somebody has interrupted
INTERRUPTED = "it was interrupted"


@dataclass
class Stop:
    """Whether a walk is to end after the group that it is at, and why, in words."""

    why: str = ""
    deadline: float = float("inf")

    def within(self, hours: float) -> None:
        """End when so many hours are over. Raises `UsageError` for what is no time."""
        if not hours >= 0:  # nor for NaN
            raise UsageError(f"max_hours={hours}: hours until the run ends, e.g. 8")
        self.deadline = min(self.deadline, time.monotonic() + 3600 * hours)

    def __bool__(self) -> bool:
        if not self.why and time.monotonic() > self.deadline:
            self.why = "the time given is over"
        return bool(self.why)


def walk(
    groups: Iterable[tuple[K, Sequence[tuple[int, Entry]]]],
    source: Source,
    open_: Open,
    do: Callable[[K, list[Opened], float], None],
    stop: Stop,
    *,
    threads: int,
    ahead: int,
    digests: bool = True,
) -> None:
    """Call ``do`` with each group's name, its entries as they were read, and the seconds for which they were waited
    for; one group after the other, until ``stop`` says so. An interruption (Ctrl-C) ends it after the group under way,
    a second one at once."""
    begun: deque[tuple[K, int]] = deque()

    def entries() -> Generator[tuple[int, Entry]]:
        for name, numbered in groups:
            begun.append((name, len(numbered)))
            yield from numbered

    if stop:
        return
    read = read_ahead(entries(), source, open_, threads=threads, ahead=ahead, digests=digests)
    with _interruptible(stop), closing(read) as opened:
        some: list[Opened] = []
        since = time.perf_counter()
        for each in opened:
            some.append(each)
            name, count = begun[0]
            if len(some) < count:
                continue
            begun.popleft()
            do(name, some, time.perf_counter() - since)
            if stop:
                return
            some, since = [], time.perf_counter()


@contextmanager
def _interruptible(stop: Stop) -> Iterator[None]:
    """An interruption is noted, the second one raised; in a thread that gets none, and where somebody else sees to
    them, nothing changes."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def once(number: int, frame: Any) -> None:
        stop.why = INTERRUPTED
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
