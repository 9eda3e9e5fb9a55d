"""Parquet tables: takes a file whose column of pictures holds paths, or the bytes of files, gives a row for each line,
batch by batch; listing reads no column that it does not need."""

from __future__ import annotations

import json
import posixpath
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seewhy.errors import ImageError, UsageError, reason
from seewhy.runs.sources.base import Entry
from seewhy.runs.sources.csv_index import find_columns
from seewhy.runs.sources.kept import Keeps
from seewhy.runs.sources.listed_files import ListedFiles, Row
from seewhy.runs.sources.notes import LeftOut, Tells
from seewhy.runs.sources.place import MOST_BYTES, Place

__all__ = ["ParquetIndex", "ParquetPictures", "numbered", "open_parquet", "words_of"]

#: rows that are taken at a time where they are words, and where they are pictures
_WORDS, _PICTURES = 16_384, 16
#: batches of pictures that are kept, for threads that ask slightly out of order
_KEPT = 4


def open_parquet(
    spec: str, file: Place, root: Place, columns: Mapping[str, str], *, tells_unlisted: bool = False
) -> ParquetIndex | ParquetPictures:
    """The source that a Parquet file is: of files that it names, or of pictures that it holds.

    Raises `UsageError` for a file that is none, and for a column of pictures that holds neither.
    """
    table = Table(spec, file, columns)
    if table.kind == "path":
        return ParquetIndex(spec, file, root, table, tells_unlisted=tells_unlisted)
    return ParquetPictures(spec, root, table)


class Table:
    """A Parquet file: which of its columns are pictures, classes and group, and their values."""

    def __init__(self, spec: str, file: Place, columns: Mapping[str, str]) -> None:
        self.spec, self._file = spec, file
        with self._spoken(), self.opened() as opened:
            schema = opened.schema_arrow
        header = list(schema.names)
        self._names = _class_names(schema)
        asked = dict(columns)
        if (
            "image" not in asked
            and len(held := [name for name in header if _kind(schema.field(name).type) == "both"]) == 1
        ):
            asked["image"] = held[0]
        found = find_columns(spec, header, asked)
        self._columns = {role: header[at] for role, at in found.items()}
        kind = schema.field(self._columns["image"]).type
        self.kind = _kind(kind)
        if not self.kind:
            raise UsageError(
                f"column {self._columns['image']!r} of {spec!r} holds {kind}, neither paths nor the bytes of pictures; "
                f"name another: it has {', '.join(map(repr, header))[:200]}"
            )

    def opened(self) -> Any:
        """The file, its footer read: a reader of its own for whoever asks, as one may not be shared by threads."""
        return _library(self.spec).ParquetFile(self._file.path if self._file.local else self._file.open())

    def rows(self) -> Iterator[Row]:
        """All rows, from 0; of pictures that are bytes alone the path is '', of rows without a picture it is NUL."""
        columns = {role: name for role, name in self._columns.items() if role != "image"}
        image = self._columns["image"]
        shown = {"path": image, "both": f"{image}.path"}.get(self.kind)
        wanted = [*dict.fromkeys([*columns.values(), *([shown] if shown else [])])]
        number = 0
        with self._spoken(), self.opened() as opened:
            for batch in opened.iter_batches(_WORDS, columns=wanted):
                values = {name: batch.column(name).to_pylist() for name in batch.schema.names}
                labels, groups = values.get(columns.get("label", "")), values.get(columns.get("group", ""))
                names = self._names.get(columns.get("label", ""))
                for n in range(batch.num_rows):
                    yield Row(
                        number + n,
                        _path(values[image][n]) if shown else "",
                        words_of(labels[n], names) if labels else (),
                        "; ".join(words_of(groups[n])) if groups else "",
                    )
                number += batch.num_rows

    def pictures(self, opened: Any, group: int) -> Iterator[list[Any]]:
        """The pictures of one group of rows, in batches."""
        image = self._columns["image"]
        for batch in opened.iter_batches(_PICTURES, row_groups=[group], columns=[image]):
            yield batch.column(image).to_pylist()

    @staticmethod
    def starts(opened: Any) -> list[int]:
        """The first row of each group of rows, and how many rows there are."""
        told = opened.metadata
        starts = [0]
        for group in range(told.num_row_groups):
            starts.append(starts[-1] + told.row_group(group).num_rows)
        return starts

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        try:
            yield
        except UsageError:
            raise
        except (OSError, ValueError, KeyError, NotImplementedError) as error:  # pyarrow's own are kinds of these
            raise UsageError(f"cannot read the table {self.spec!r}: {reason(error)}") from error


class ParquetIndex(ListedFiles):
    """Pictures that a Parquet file names."""

    kind = "parquet"
    unit = "row"

    def __init__(self, spec: str, file: Place, root: Place, table: Table, *, tells_unlisted: bool) -> None:
        super().__init__(spec, file, root)
        self._table, self.tells_unlisted = table, tells_unlisted

    def rows(self) -> Iterator[Row]:
        """All rows, from 0, read anew."""
        return (row._replace(path="") if row.path == _NOTHING else row for row in self._table.rows())


class ParquetPictures(Tells, Keeps):
    """Pictures in a Parquet file, as the bytes of their files; or, where a row has none, in the file that it names.

    They are called by their rows, from 0, and the name of the file that they were.
    """

    kind = "parquet"

    def __init__(self, spec: str, root: Place, table: Table) -> None:
        super().__init__()
        self.spec, self._root, self._table = spec, root, table
        self._left = LeftOut()

    def entries(self) -> Iterator[Entry]:
        """All of them. Raises `UsageError` where there are none."""
        self._left = left = LeftOut()
        none = True
        for row in self._table.rows():
            if row.path == _NOTHING:
                left.add("rows without a picture", f"row {row.number}")
                continue
            none = False
            yield Entry(numbered(row.number, row.path), row.labels, row.group, f"row {row.number}")
        if none:
            raise UsageError(f"{self.spec!r} lists no pictures")

    def read(self, entry: Entry) -> bytes | Path:
        """The bytes of the file. Raises `ImageError`."""
        number = int(entry.at.removeprefix("row "))
        try:
            value = self._value(number)
        except (OSError, ValueError, UsageError) as error:  # pyarrow's own are kinds of these
            raise ImageError(f"cannot read row {number} of {self.spec!r}: {reason(error)}") from error
        return picture_of(value, self._root, f"row {number} of {self.spec!r}")

    def _value(self, number: int) -> Any:
        """What stands in one row: found by going through its group of rows, where the last row was, if it can be."""
        with self._lock:
            cursor = self.once("cursor", lambda: _Cursor(self._table))
            return cursor.value(number)


class _Cursor:
    """A place in a table that moves forward."""

    def __init__(self, table: Table) -> None:
        self._table, self._opened = table, table.opened()
        self._starts = table.starts(self._opened)
        self._group, self._next = -1, 0
        self._batches: Iterator[list[Any]] = iter(())
        self._recent: OrderedDict[int, list[Any]] = OrderedDict()

    def value(self, number: int) -> Any:
        for start, batch in self._recent.items():
            if start <= number < start + len(batch):
                return batch[number - start]
        if not 0 <= number < self._starts[-1]:
            raise ValueError(f"there are {self._starts[-1]} rows")
        group = bisect_right(self._starts, number) - 1
        if group != self._group or number < self._next:
            self._group, self._next = group, self._starts[group]
            self._batches = self._table.pictures(self._opened, group)
        for batch in self._batches:
            start, self._next = self._next, self._next + len(batch)
            if number < self._next:
                self._recent[start] = batch
                if len(self._recent) > _KEPT:
                    self._recent.popitem(last=False)
                return batch[number - start]
        raise ValueError("its group of rows ends before")


def picture_of(value: Any, root: Place, word: str) -> bytes | Path:
    """The picture in a cell: bytes, or a mapping with ``bytes`` and ``path`` as `datasets` writes them.

    Raises `ImageError` for a cell that is empty.
    """
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, Mapping) else (value, None)
    if data:
        if len(data) > MOST_BYTES:
            raise ImageError(
                f"cannot read {word}: {len(data) / 2**30:.1f} GiB; a picture has up to {MOST_BYTES >> 30} GiB"
            )
        return bytes(data)
    if not path:
        raise ImageError(f"cannot read {word}: there is no picture in it")
    return root.below(str(path)).given()


def numbered(number: int, path: str) -> str:
    """What a picture without a name of its own is called.

    >>> numbered(17, "/data/cats/a.png"), numbered(17, "")
    ('00000017-a.png', '00000017')
    """
    name = posixpath.basename(path.replace("\\", "/"))
    return f"{number:08}-{name}" if name else f"{number:08}"


def words_of(value: Any, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Classes in a cell, as words: one, several in a list, or none; numbers by ``names``, where there are.

    >>> words_of(1, ["cat", "dog"]), words_of([3.0, "b"]), words_of(None)
    (('dog',), ('3', 'b'), ())
    """
    if value is None or value == "":
        return ()
    if isinstance(value, list | tuple):
        return tuple(word for one in value for word in words_of(one, names))
    if isinstance(value, float):  # as a column of whole numbers becomes where some are missing
        if value != value:
            return ()
        value = int(value) if value.is_integer() else value
    if names is not None and isinstance(value, int):
        return (names[value],) if 0 <= value < len(names) else ()  # -1 is how datasets writes 'not known'
    return (str(value),)


#: stands for the path of a row that has no picture
_NOTHING = "\0"


def _path(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("path") or "")
    return _NOTHING if value is None or value == "" else str(value)


def _kind(kind: Any) -> str:
    """What a column of that type can hold of pictures: a path, bytes, both; '' for neither."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "path"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "bytes"
    return (
        "both"
        if pa.types.is_struct(kind) and {kind.field(n).name for n in range(kind.num_fields)} == {"bytes", "path"}
        else ""
    )


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Names of classes by column, as `datasets` writes them beside a schema."""
    told = (schema.metadata or {}).get(b"huggingface")
    if told is None:
        return {}
    try:
        features = json.loads(told)["info"]["features"]
        named = {key: each.get("feature", each) for key, each in features.items()}
        return {key: list(map(str, each["names"])) for key, each in named.items() if each.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError):  # somebody else's words under that name: numbers stay
        return {}


def _library(spec: str) -> Any:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageError(f"{spec!r} is a Parquet file: pip install 'seewhy[data]', or save it as CSV") from None
    return pq
