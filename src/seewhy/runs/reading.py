"""Reading ahead: takes entries and what makes an input of each, gives them in their order, some of them read in threads
while others are computed; a picture that cannot be read is a reason in words."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from seewhy.errors import ImageError, UsageError
from seewhy.models import Photo
from seewhy.models.images import pixels_of
from seewhy.runs.sources import Entry, Source

__all__ = ["Opened", "in_order", "read_ahead"]

T = TypeVar("T")
R = TypeVar("R")

Open = Callable[[Entry, bytes | Path | Photo], Any]


@dataclass(frozen=True, eq=False)
class Opened:
    """One entry as it was read: its number, its input, the SHA-256 of its file; the ``reason`` where there is none."""

    row: int
    entry: Entry
    input: Any = None
    digest: str = ""
    reason: str = ""


def in_order(items: Iterable[T], do: Callable[[T], R], *, threads: int, ahead: int) -> Generator[R]:
    """What ``do`` makes of each of ``items``, in their order; up to ``ahead`` of them are done, or being done, by
    ``threads`` while whoever asked is at work. What ``do`` raises is raised where its result would have come."""
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="seewhy-reader")
    try:
        for item in items:
            waiting.append(pool.submit(do, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


#: pixels from which on no more than one picture is decoded at a time
_LARGE = 2**26

_one_large = Lock()


def _room(raw: Any) -> AbstractContextManager[Any]:
    """Room to decode a picture: pictures of hundreds of megabytes wait for each other, whoever reads them."""
    large = isinstance(raw, Path | bytes) and pixels_of(raw) > _LARGE
    return _one_large if large else nullcontext()


def read_ahead(
    entries: Iterable[tuple[int, Entry]],
    source: Source,
    open_: Open,
    *,
    threads: int,
    ahead: int,
    digests: bool = True,
) -> Generator[Opened]:
    """``entries`` with their inputs, in order, read ahead; with ``digests`` of their files, or none."""

    def opened(numbered: tuple[int, Entry]) -> Opened:
        row, entry = numbered
        try:
            raw = source.read(entry)
            digest = _digest(raw) if digests else ""
            with _room(raw):
                return Opened(row, entry, open_(entry, raw), digest)
        except (ImageError, UsageError) as error:
            return Opened(row, entry, reason=str(error))
        except OSError as error:  # a file that went meanwhile, a store that does not answer
            return Opened(row, entry, reason=f"cannot read {entry.name!r}: {error.strerror or error}")

    return in_order(entries, opened, threads=threads, ahead=ahead)


def _digest(raw: bytes | Path | Photo) -> str:
    """The SHA-256 of a file, or of the pixels of a picture without one."""
    if isinstance(raw, Path):
        with raw.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(raw if isinstance(raw, bytes) else raw.pixels.tobytes()).hexdigest()
