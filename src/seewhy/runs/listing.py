"""The listing of a run: takes the entries of a source, gives them by number from a file beside the results, and a hash
by which a source is known again; holds a few thousand of them at a time."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Self

from seewhy.errors import StoreError, UsageError, one_line
from seewhy.runs.arrow import arrow_of
from seewhy.runs.sources import Entry, Source
from seewhy.runs.store import Store

__all__ = ["Listed", "Listing", "digest_of", "first_other", "is_listed", "write_listing"]

#: entries that are held at a time
_GROUP = 8192
#: groups that are kept after they were read
_KEPT = 4


@dataclass(frozen=True)
class Listed:
    """How many entries a source has, and 32 hexadecimal digits of them all, names, classes, groups and sizes."""

    count: int
    digest: str


def digest_of(source: Source) -> Listed:
    """What a source lists now; raises `UsageError` for an empty one."""
    return _passed(source, None)


def write_listing(source: Source, store: Store) -> Listed:
    """List a source, beside the results, in a file that is named by what it lists: one that was made of the same source
    at another time, when it held other pictures, stays what it is. Raises `UsageError` for an empty source."""
    arrow, parquet = arrow_of()
    schema = arrow.schema(
        [
            ("name", arrow.string()),
            ("labels", arrow.list_(arrow.string())),
            ("group", arrow.string()),
            ("at", arrow.string()),
            ("size", arrow.int64()),
        ]
    )
    with tempfile.TemporaryFile() as file:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:

            def keep(entries: list[Entry]) -> None:
                columns = [[getattr(entry, name) for entry in entries] for name in schema.names]
                writer.write_table(arrow.table(columns, schema=schema))

            listed = _passed(source, keep)
        file.seek(0)
        store.write(_file(listed.digest), file.read())
    return listed


def _passed(source: Source, keep: Any) -> Listed:
    """Go through all entries once, some of them at a time."""
    hashed, count, some = hashlib.blake2b(digest_size=16), 0, list[Entry]()
    for entry in source.entries():
        hashed.update(json.dumps([entry.name, entry.labels, entry.group, entry.at, entry.size]).encode())
        count += 1
        if keep is not None:
            some.append(entry)
            if len(some) == _GROUP:
                keep(some)
                some.clear()
    if some:
        keep(some)
    if not count:
        notes = f" ({'; '.join(source.notes)})" if source.notes else ""
        raise UsageError(f"{source.spec!r} holds no pictures{notes}: name a folder, a table, shards or a film of some")
    return Listed(count, hashed.hexdigest())


def is_listed(store: Store, digest: str) -> bool:
    """Whether a listing with this digest lies beside the results, and can be opened."""
    if store.size(_file(digest)) < 0:
        return False
    try:
        with Listing(store, digest):
            return True
    except StoreError:
        return False


def first_other(store: Store, digest: str, source: Source) -> str:
    """In words the first entry of a listing that a source no longer has as it was."""
    with Listing(store, digest) as listing:
        for number, (old, new) in enumerate(zip_longest(listing.between(0, len(listing)), source.entries())):
            if old is None or new is None or old.name != new.name:
                was, now = (one and repr(one.name) for one in (old, new))
                return f"number {number} was {was or 'not there'}, is {now or 'not there'}"
            for name in ("labels", "group", "size", "at"):
                if (was := getattr(old, name)) != (now := getattr(new, name)):
                    return f"{old.name!r}: {name} was {one_line(was, 60)}, is {one_line(now, 60)}"
    return ""


class Listing:
    """Entries by number, read from where a run has them, as long as the context lasts."""

    def __init__(self, store: Store, digest: str) -> None:
        _, parquet = arrow_of()
        name = _file(digest)
        path = store.path(name)
        if path is not None and not path.is_file():
            raise StoreError(f"no file {name!r} in {store.place}: this is no run, or one whose listing is gone")
        self._word = f"{name} in {store.place}"
        with self._whole():
            self._file = parquet.ParquetFile(path if path is not None else io.BytesIO(store.read(name)))
        self._group = lru_cache(_KEPT)(self._read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # pyarrow's own are kinds of these
            raise StoreError(
                f"{self._word} is damaged ({one_line(error, 100)}): delete it, and the same command lists anew"
            ) from error

    def _read(self, number: int) -> list[Entry]:
        with self._whole():
            columns = self._file.read_row_group(number).to_pydict()
        rows = zip(*(columns[name] for name in ("name", "labels", "group", "at", "size")), strict=True)
        return [Entry(name, tuple(labels), group, at, size) for name, labels, group, at, size in rows]

    def __getitem__(self, number: int) -> Entry:
        return self._group(number // _GROUP)[number % _GROUP]

    def between(self, start: int, stop: int) -> Iterator[Entry]:
        """The entries from ``start`` to ``stop``, which is none of them."""
        return (self[number] for number in range(start, min(stop, len(self))))


def _file(digest: str) -> str:
    """What the listing of pictures with this digest is called."""
    return f"listing-{digest[:16]}.parquet"
