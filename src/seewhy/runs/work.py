"""Working through units: takes a run and which of its units are to be done, has those explained one after the other and
written; given what makes an input of a picture and what explains inputs, knows no method."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from seewhy.errors import OutOfMemory, SeewhyError
from seewhy.runs.listing import Listing
from seewhy.runs.manifest import Manifest
from seewhy.runs.reading import Open, Opened
from seewhy.runs.results import EntryDone
from seewhy.runs.sources import Entry, Source
from seewhy.runs.store import Store, host
from seewhy.runs.units import Marker, Units
from seewhy.runs.walking import Stop, walk

__all__ = ["Explain", "Ledger", "Work", "work_through"]

#: seconds between two times that a ledger is written
_EVERY = 30.0

LEDGER = "ledger"


class Explain(Protocol):
    """What is done with inputs that were read, a unit's at a time: gives for each, in order, what was found."""

    def __call__(self, opened: Sequence[Opened]) -> list[EntryDone]:
        """What was found of each of ``opened``."""


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

    def rows(self, number: int) -> list[tuple[int, Entry]]:
        """The entries of one unit, with their numbers."""
        return [(row, self.listing[row]) for row in range(*self.manifest.bounds(number))]


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
    began = time.perf_counter()

    def do(number: int, read: Sequence[Opened], waited: float) -> None:
        nonlocal began
        marker = units.publish(number, explained(read, work.explain), work.dtype)
        ledger.note(marker, time.perf_counter() - began, waited)
        tell(marker)
        began = time.perf_counter()

    groups = ((number, work.rows(number)) for number in waiting)
    try:
        walk(groups, work.source, work.open, do, stop, threads=work.threads, ahead=work.manifest.unit)
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
