"""Directories that Hugging Face's datasets has saved: takes one, gives its rows with the names of their classes; never
decodes a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seewhy.errors import ImageError, UnknownName, UsageError, reason
from seewhy.runs.sources.base import Entry
from seewhy.runs.sources.csv_index import ROLES
from seewhy.runs.sources.kept import Keeps
from seewhy.runs.sources.names import column_of
from seewhy.runs.sources.notes import LeftOut, Tells
from seewhy.runs.sources.parquet import numbered, picture_of, words_of
from seewhy.runs.sources.place import Place

__all__ = ["SavedDataset"]

#: rows that are listed at a time
_ROWS = 1024


class SavedDataset(Tells, Keeps):
    """The rows of a data set saved by ``save_to_disk``, with its image feature as bytes or path.

    They are called by their numbers, from 0, and the name of the file that they were; classes are names, where the
    feature has them.
    """

    kind = "datasets"

    def __init__(self, spec: str, place: Place, columns: Mapping[str, str]) -> None:
        super().__init__()
        self.spec, self._place, self._asked = spec, place, dict(columns)
        self._left = LeftOut()
        if not place.local:
            raise UsageError(
                f"{spec!r} is a directory of datasets, which is read in place: copy it to this machine first"
            )
        if (place.path and place.below("dataset_dict.json").is_file()) and not place.below("state.json").is_file():
            splits = [found.name for found in place.listed() if found.folder]
            raise UsageError(
                f"{spec!r} holds the splits {', '.join(map(repr, splits))}; give one: {place.below(splits[0]).word!r}"
                if splits
                else f"{spec!r} says that it holds splits, and has none"
            )

    def entries(self) -> Iterator[Entry]:
        """All of them. Raises `UsageError` for a directory that cannot be read, or has no pictures."""
        self._left = left = LeftOut()
        none = True
        with self._spoken():
            for row, (empty, path), labels, group in self._rows():
                if empty:
                    left.add("rows without a picture", f"row {row}")
                    continue
                none = False
                yield Entry(numbered(row, path or ""), labels, group, f"row {row}")
        if none:
            raise UsageError(f"{self.spec!r} holds no pictures")

    def _rows(self) -> Iterator[tuple[int, tuple[bool, str | None], tuple[str, ...], str]]:
        """Of each row its number, whether it has no picture and the path of that, classes and group."""
        data = self._loaded()
        columns = self._columns(data.features)
        label, group = columns.get("label"), columns.get("group")
        names = _class_names(data.features[label]) if label else None
        number = 0
        for batch in data.select_columns(list(dict.fromkeys(columns.values()))).with_format("arrow").iter(_ROWS):
            labels, groups = (batch.column(name).to_pylist() if name else None for name in (label, group))
            for n, cell in enumerate(_cells(batch.column(columns["image"]))):
                yield (
                    number + n,
                    cell,
                    words_of(labels[n], names) if labels else (),
                    "; ".join(words_of(groups[n])) if groups else "",
                )
            number += batch.num_rows

    def read(self, entry: Entry) -> bytes | Path:
        """The bytes of the file, or the file. Raises `ImageError`."""
        number = int(entry.at.removeprefix("row "))
        data, image = self.once("pictures", self._pictures)
        try:
            value = data[number][image]
        except Exception as error:  # of damaged rows pyarrow raises anything, SystemError among it
            raise ImageError(f"cannot read row {number} of {self.spec!r}: {reason(error)}") from error
        return picture_of(value, Place("."), f"row {number} of {self.spec!r}")

    def _pictures(self) -> tuple[Any, str]:
        data = self._loaded()
        image = self._columns(data.features)["image"]
        return data.select_columns([image]), image

    def _loaded(self) -> Any:
        return self.once("data", self._load)

    def _load(self) -> Any:
        """The data set with its pictures as they were saved."""
        try:
            import datasets
        except ImportError:
            raise UsageError(f"{self.spec!r} is a directory of datasets: pip install 'seewhy[datasets]'") from None
        with self._spoken():
            # of no rows it writes no file, which it does not read back
            if not json.loads(Path(self._place.path, "state.json").read_bytes())["_data_files"]:
                raise UsageError(f"{self.spec!r} holds no pictures")
            data = datasets.load_from_disk(self._place.path)
            for name, feature in data.features.items():
                if isinstance(feature, datasets.Image):
                    data = data.cast_column(name, datasets.Image(decode=False))
        return data

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """Whatever datasets and pyarrow raise of a damaged directory, which is anything, becomes one `UsageError`."""
        try:
            yield
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(f"cannot read the directory {self.spec!r} of datasets: {reason(error)}") from error

    def _columns(self, features: Mapping[str, Any]) -> dict[str, str]:
        import datasets

        header = list(features)
        for name in self._asked.values():
            if name not in header:
                raise UnknownName("column", name, header, ", ".join(header)[:200], f" in {self.spec!r}")
        pictures = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
        found = dict(self._asked)
        if "image" in found and found["image"] not in pictures:
            raise UsageError(f"column {found['image']!r} of {self.spec!r} holds no pictures; these do: {pictures}")
        if "image" not in found:
            if len(pictures) != 1:
                has = f"several columns of pictures, {pictures}: name one, image={pictures[0]}" if pictures else (
                    f"no column of pictures: it has {', '.join(map(repr, header))[:200]}"
                )  # fmt: skip
                raise UsageError(f"{self.spec!r} has {has}")
            found["image"] = pictures[0]
        for role in ("label", "group"):
            if role not in found and (at := column_of(header, ROLES[role])) is not None:
                found[role] = header[at]
        return found


def _cells(column: Any) -> Iterator[tuple[bool, str | None]]:
    """Of each cell of a column of pictures, whether nothing is in it, and its path; no bytes are copied."""
    for chunk in column.chunks:
        without = chunk.field("bytes").is_null().to_pylist()
        missing = chunk.is_null().to_pylist()
        for none, empty, path in zip(missing, without, chunk.field("path").to_pylist(), strict=True):
            yield none or (empty and not path), None if none else path


def _class_names(feature: Any) -> list[str] | None:
    """The names of a ``ClassLabel``, or of a list of such; None for others."""
    inner = getattr(feature, "feature", None) or feature
    names = getattr(inner, "names", None)
    return None if names is None else list(map(str, names))
