"""Working through units: takes a run and which of its units are to be done, does those one after the other while the
next pictures are read; given what makes an input of a picture and what explains inputs, knows no method."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

from seewhy.errors import OutOfMemory, SeewhyError
from seewhy.runs.listing import Listing
from seewhy.runs.manifest import Manifest
from seewhy.runs.reading import Open, Opened, read_ahead
from seewhy.runs.results import EntryDone
from seewhy.runs.sources import Source
from seewhy.runs.store import Store, host
from seewhy.runs.units import Marker, Units

__all__ = ["INTERRUPTED", "Explain", "Ledger", "Stop", "Work", "interruptible", "work_through"]

#: seconds between two times that a ledger is written
_EVERY = 30.0

LEDGER = "ledger"

#: why a run ended that somebody has interrupted
INTERRUPTED = "it was interrupted"


class Explain(Protocol):
    """What is done with inputs that were read, a unit's at a time: gives for each, in order, what was found."""

    def __call__(self, opened: Sequence[Opened]) -> list[EntryDone]:
        """What was found of each of ``opened``."""


@dataclass
class Stop:
    """Whether a run is to end after the unit that it is at, and why, in words."""

    why: str = ""
    deadline: float = float("inf")

    def __bool__(self) -> bool:
        if not self.why and time.monotonic() > self.deadline:
            self.why = "the time given is over"
        return bool(self.why)


@contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """An interruption (Ctrl-C) ends the run after the unit that it is at, a second one at once; in a thread that gets
    none, and where somebody else sees to them, nothing changes."""
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


@dataclass
class Ledger:
    """Seconds and places of units that one process did, in a file of its own; nothing that is read again depends on
    it."""

    store: Store
    name: str = field(default_factory=lambda: f"{LEDGER}/{_who()}.jsonl")
    _lines: list[str] = field(default_factory=list)
    _written: float = field(default_factory=time.monotonic)

    def note(self, marker: Marker, seconds: float, waited: float) -> None:
        """Note that a unit took so long, and how much of it was waiting for pictures."""
        entry = {"unit": marker.unit, "entries": marker.entries, "seconds": round(seconds, 4)}
        self._lines.append(json.dumps(entry | {"waited": round(waited, 4), "at": datetime.now(UTC).isoformat()}))
        if time.monotonic() - self._written > _EVERY:
            self.write()

    def write(self) -> None:
        """Have the file hold all that was noted."""
        if self._lines:
            self.store.write(self.name, ("\n".join(self._lines) + "\n").encode())
            self._written = time.monotonic()


@dataclass(frozen=True, eq=False)
class Work:
    """A run in one process: where it lies, what is to be done, and by whom."""

    store: Store
    manifest: Manifest
    listing: Listing
    source: Source
    open: Open
    explain: Explain
    dtype: str
    threads: int = 2

    def entries(self, numbers: Iterable[int]) -> Generator[Opened]:
        """The inputs of units, read ahead."""
        rows = (row for number in numbers for row in range(*self.manifest.bounds(number)))
        return read_ahead(
            ((row, self.listing[row]) for row in rows),
            self.source, self.open, threads=self.threads, ahead=self.manifest.unit,
        )  # fmt: skip


def work_through(
    work: Work, numbers: Sequence[int], stop: Stop, tell: Callable[[Marker], None] = lambda marker: None
) -> None:
    """Do the units of these numbers, but for those that are done, until ``stop`` says so. ``tell`` is called with each
    one's marker.

    What is wrong with one picture is told in its rows. Raises what is wrong with the question, with the store, or with
    the memory: the unit it happened in is not done then, those before it are.
    """
    units, ledger = Units(work.store), Ledger(work.store)
    known = units.done()
    waiting = [number for number in numbers if number not in known]
    with interruptible(stop), closing(work.entries(waiting)) as opened:
        try:
            for number in waiting:
                if stop:
                    break
                began = time.perf_counter()
                start, end = work.manifest.bounds(number)
                read = list(islice(opened, end - start))
                waited = time.perf_counter() - began
                marker = units.publish(number, explained(read, work.explain), work.dtype)
                ledger.note(marker, time.perf_counter() - began, waited)
                tell(marker)
        finally:
            ledger.write()


def explained(read: Sequence[Opened], explain: Explain) -> list[EntryDone]:
    """What was found of the entries of one unit, in order; together, or, where that cannot be, one by one."""
    whole = [each for each in read if not each.reason]
    done = {
        each.row: EntryDone(each.row, each.entry, each.digest, reason=each.reason) for each in read if each.reason
    }  # fmt: skip
    try:
        found = explain(whole) if whole else []
    except (OutOfMemory, KeyboardInterrupt):
        raise
    except SeewhyError:  # of one picture, or of all
        found = [_alone(each, explain) for each in whole]
    done |= {each.row: each for each in found}
    return [done[each.row] for each in read]


def _alone(each: Opened, explain: Explain) -> EntryDone:
    try:
        (found,) = explain([each])
    except (OutOfMemory, KeyboardInterrupt):
        raise
    except SeewhyError as error:
        return EntryDone(each.row, each.entry, each.digest, reason=str(error))
    return found


def _who() -> str:
    """This process, at this time, as a file's name."""
    return f"{host()}-{os.getpid()}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
