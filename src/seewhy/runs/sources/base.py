"""What every source of pictures gives: entries, one after the other in an order that never changes, and what each one's
picture is when it is its turn; reads no picture to list it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from seewhy.models import Photo

__all__ = ["Entry", "Source"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of a source, as it is listed.

    ``name`` is what it is called: unique in its source, relative to it, with ``/`` between folders; never an absolute
    path. ``labels`` are its classes as the source names them, ``group`` what else it is sorted by, '' for nothing.
    ``at`` says where it is in words of its source (a byte range, a row); ``size`` in bytes, -1 where that is not known
    without reading it.
    """

    name: str
    labels: tuple[str, ...] = ()
    group: str = ""
    at: str = ""
    size: int = -1


class Source(Protocol):
    """Pictures to come: folders, tables, archives and their like.

    ``spec`` is what was typed, ``kind`` which module reads it, in one word. ``notes`` are sentences about what was left
    out, complete once all entries have been listed.
    """

    spec: str
    kind: str

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, in words."""

    def entries(self) -> Iterator[Entry]:
        """All of them, in an order that depends on the source alone; with memory that does not grow with them.

        Raises `UsageError` for a source that is none.
        """

    def read(self, entry: Entry) -> bytes | Path | Photo:
        """The picture: a local file, the bytes of a file, or the picture itself where there is no file. May be called
        in several threads. Raises `ImageError`."""
