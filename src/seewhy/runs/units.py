"""Units of a run: takes what was found of a range of the listing, writes it so that it is whole or does not count, and
tells which units are done; computes nothing.

A unit is three files. Maps and index have their content's hash in their names, so that two processes that do the same
unit never write over each other's; the marker names both with their checksums, is written last, and never twice: the
first one counts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seewhy.errors import StoreError, one_line
from seewhy.runs.results import EntryDone, index_bytes, map_bytes
from seewhy.runs.store import Store

__all__ = ["INDEX", "MAPS", "Marker", "Units", "damaged"]

#: folders of a run
MAPS, INDEX, DONE = "maps", "index", "done"

#: hexadecimal digits of a content in a file's name
_DIGITS = 16


@dataclass(frozen=True)
class Marker:
    """What a unit that is done consists of: its files with their SHA-256, rows of the index, and entries that could not
    be read."""

    unit: int
    maps: str
    maps_sha256: str
    index: str
    index_sha256: str
    rows: int
    entries: int
    failed: int


class Units:
    """The units of the run in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def done(self) -> set[int]:
        """The numbers of those that are done."""
        names = (re.fullmatch(r"(\d+)\.json", name) for name in self._store.names(DONE))
        return {int(match[1]) for match in names if match is not None}

    def lost(self, done: Collection[int]) -> list[int]:
        """Those of units that are ``done`` of which a file is no longer there."""
        there = {f"{folder}/{name}" for folder in (MAPS, INDEX) for name in self._store.names(folder)}
        markers = map(self.marker, sorted(done))
        return [marker.unit for marker in markers if not {marker.maps, marker.index} <= there]

    def marker(self, number: int) -> Marker:
        """What one that is done consists of. Raises `StoreError` for a damaged one."""
        name = _marker(number)
        try:
            return Marker(**json.loads(self._store.read(name)))
        except (ValueError, TypeError) as error:
            raise damaged(self._store, name, number, error) from error

    def markers(self) -> Iterator[Marker]:
        """Those of all that are done, in their order."""
        return (self.marker(number) for number in sorted(self.done()))

    def publish(self, number: int, done: Sequence[EntryDone], dtype: str) -> Marker:
        """Write a unit; gives the marker that counts, which another process may have written meanwhile."""
        maps, columns = map_bytes(done, dtype)
        maps_name, maps_sum = _named(MAPS, number, maps, "safetensors")
        index = index_bytes(done, columns, maps_name.removeprefix(f"{MAPS}/"))
        index_name, index_sum = _named(INDEX, number, index, "parquet")
        self._store.write(maps_name, maps)
        self._store.write(index_name, index)
        failed = sum(not each.results for each in done)
        marker = Marker(
            number, maps_name, maps_sum, index_name, index_sum, len(columns) + failed, len(done), failed
        )  # fmt: skip
        if self._store.create(_marker(number), _json(marker)):
            return marker
        other = self.marker(number)
        for mine, theirs in ((maps_name, other.maps), (index_name, other.index)):
            if mine != theirs:
                self._store.remove(mine)
        return other

    def undo(self, number: int) -> None:
        """Have a unit count as not done; its files go when they are written anew."""
        old = self.marker(number)
        self._store.remove(_marker(number))
        for name in (old.maps, old.index):
            self._store.remove(name)

    def sound(self, marker: Marker) -> bool:
        """Whether the files of a unit are what its marker says."""
        for name, sha256 in ((marker.maps, marker.maps_sha256), (marker.index, marker.index_sha256)):
            if self._store.size(name) < 0 or hashlib.sha256(self._store.read(name)).hexdigest() != sha256:
                return False
        return True


def damaged(store: Store, name: str, number: int, error: object) -> StoreError:
    """What is said of a file of a unit that cannot be read, and what to do."""
    return StoreError(
        f"{name} in {store.place} is damaged ({one_line(error, 100)}): delete {_marker(number)} there, and the same "
        "command does that unit again"
    )


def _marker(number: int) -> str:
    return f"{DONE}/{number:06d}.json"


def _named(folder: str, number: int, data: bytes, suffix: str) -> tuple[str, str]:
    """What a file of a unit is called, and the SHA-256 of its content."""
    whole = hashlib.sha256(data).hexdigest()
    return f"{folder}/{number:06d}-{whole[:_DIGITS]}.{suffix}", whole


def _json(marker: Marker) -> bytes:
    document: dict[str, Any] = asdict(marker)
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
