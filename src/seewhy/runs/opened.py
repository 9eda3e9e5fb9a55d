"""A run that was made: takes where it lies, gives its maps by row, as arrays, explanations and tables; computes
nothing, and reads no more than is asked for."""

from __future__ import annotations

import hashlib
import io
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import StoreError, UnknownName, UsageError
from seewhy.explanation import Cost, Explanation, Guess, Prediction, Status
from seewhy.registry import methods as registry
from seewhy.runs.arrow import arrow_of
from seewhy.runs.manifest import Manifest
from seewhy.runs.results import schema
from seewhy.runs.store import Store, store_at
from seewhy.runs.units import MAPS, Marker, Units, damaged

__all__ = ["Run", "open_run"]


@dataclass(frozen=True, eq=False)
class Run:
    """The maps of a data set, by row of the index: an explanation each, or why a picture has none.

    Units that are not done are left out; `complete` says whether there are any. Rows are in the order of the listing.
    """

    store: Store
    manifest: Manifest
    markers: tuple[Marker, ...]

    @property
    def place(self) -> str:
        """Where it lies."""
        return self.store.place

    @property
    def complete(self) -> bool:
        """Whether all units are done."""
        return len(self.markers) == self.manifest.units

    @property
    def failed(self) -> int:
        """How many pictures have no explanation."""
        return sum(marker.failed for marker in self.markers)

    def __len__(self) -> int:
        return sum(marker.rows for marker in self.markers)

    def __iter__(self) -> Iterator[Explanation]:
        """The explanations, unit by unit; pictures without one are passed over."""
        for n, status in enumerate(self.table(["status"]).column("status").to_pylist()):
            if status != "failed":
                yield self[n]

    def table(self, columns: list[str] | None = None) -> Any:
        """The index, as a pyarrow Table: see `seewhy.runs.results.schema`. Raises `StoreError` for damaged parts,
        `UnknownName` for a column that there is not."""
        arrow, _ = arrow_of()
        if unknown := [name for name in columns or () if name not in schema().names]:
            raise UnknownName("column", unknown[0], schema().names, ", ".join(schema().names))
        parts = [self._index(marker, columns) for marker in self.markers]
        return arrow.concat_tables(parts) if parts else schema().empty_table().select(columns or schema().names)

    def _index(self, marker: Marker, columns: list[str] | None = None) -> Any:
        """A unit's part of the index. Raises `StoreError` for one that is not what was written."""
        _, parquet = arrow_of()
        data = self.store.read(marker.index)
        try:
            if hashlib.sha256(data).hexdigest() != marker.index_sha256:
                raise ValueError("it is not what was written")
            return parquet.read_table(io.BytesIO(data), columns=columns)
        except (OSError, ValueError) as error:  # pyarrow's own are kinds of these
            raise damaged(self.store, marker.index, marker.unit, error) from error

    def to_pandas(self) -> Any:
        """The index, as a pandas DataFrame. Raises `UsageError` where pandas is missing."""
        try:
            return self.table().to_pandas()
        except ImportError:
            raise UsageError(
                "a DataFrame takes pandas: pip install pandas; table() gives the same by pyarrow"
            ) from None

    def to_datasets(self) -> Any:
        """The index with the maps, as a Hugging Face `datasets.Dataset`: a column ``map`` beside those of the index,
        float32, flat (``shape`` says how it is to be laid), None where there is none. Held in memory.

        Raises `UsageError` where datasets is missing.
        """
        try:
            import datasets
        except ImportError:
            raise UsageError("a Dataset takes datasets: pip install 'seewhy[datasets]'") from None
        arrow, _ = arrow_of()
        table = self.table()
        status = table.column("status").to_pylist()
        maps = [None if each == "failed" else self.map(n).ravel() for n, each in enumerate(status)]
        return datasets.Dataset(table.append_column("map", arrow.array(maps, arrow.list_(arrow.float32()))))

    def row(self, number: int) -> dict[str, Any]:
        """One row of the index. Raises `UsageError` for a number that there is not."""
        marker, at = self._where(number)
        row: dict[str, Any] = self._part(marker)[at]
        return row

    def map(self, number: int) -> NDArray[np.float32]:
        """The values of one map, float32. Raises `UsageError` for a picture without one."""
        return self._map(self.row(number), number)

    def _map(self, row: dict[str, Any], number: int) -> NDArray[np.float32]:
        if row["status"] == "failed":
            raise UsageError(f"row {number} has no map: {row['reason']}")
        name = f"{MAPS}/{row['shard']}"
        path = self.store.path(name)
        try:
            self._check(name)
            if path is not None:
                from safetensors import safe_open

                with safe_open(path, framework="numpy") as file:
                    kept = file.get_tensor(row["key"])
            else:
                from safetensors.numpy import load

                kept = load(self.store.read(name))[row["key"]]
        except ImportError:
            raise UsageError("runs keep maps in safetensors: pip install 'seewhy[data]'") from None
        except StoreError:
            raise
        except Exception as error:  # safetensors has one error of its own for all damage
            raise damaged(self.store, name, int(row["shard"].partition("-")[0]), error) from error
        values: NDArray[np.float32] = kept.astype(np.float32) * np.float32(row["scale"])
        return values

    def _check(self, name: str) -> None:
        """Raise `ValueError` for a file of maps that is not what was written: looked at when it is first opened."""
        if name not in self._checked:
            right = next(marker.maps_sha256 for marker in self.markers if marker.maps == name)
            if hashlib.sha256(self.store.read(name)).hexdigest() != right:
                raise ValueError("it is not what was written")
            self._checked.add(name)

    @cached_property
    def _checked(self) -> set[str]:
        """The files of maps that were found whole."""
        return set()

    def __getitem__(self, number: int) -> Explanation:
        """One explanation, without its picture. Raises `UsageError` for a row without one."""
        row = self.row(number)
        values = self._map(row, number)
        prediction = None
        if row["prediction"] is not None:
            guess = Guess(row["prediction"], row["prediction_label"], row["probability"], float("nan"))
            prediction = Prediction(guess.index, guess.label, guess.probability, (guess,))
        return Explanation(
            values=values,
            size=tuple(row["size"]),
            method=row["method"],
            target=row["target"],
            target_index=row["target_index"],
            score=row["score"],
            prediction=prediction,
            layer=row["layer"],
            parameters=dict(self.manifest.asked["asked"]["parameters"]),
            status=Status(row["status"], row["reason"] or ""),
            error=None,
            cost=Cost(row["forwards"], row["backwards"]),
            provenance={"run": self.place, "digest": row["digest"], **self.manifest.asked["model"]},
            input=None,
            image=None,
            name=row["path"],
            channels=row["channels"],
            positive=registry[row["method"]].card.positive if row["method"] in registry else False,
            notes=tuple(row["notes"]),
            unit=row["unit"],
            map_unit=row["map_unit"],
        )

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(marker.rows for marker in self.markers)])

    def _where(self, number: int) -> tuple[Marker, int]:
        count = len(self)
        try:
            asked = operator.index(number)
        except TypeError:
            raise UsageError(f"no row {number!r}: rows are asked for one by one, by their numbers") from None
        if not -count <= asked < count:
            so_far = "" if self.complete else " so far"
            raise UsageError(f"no row {number}: this run has {count}{so_far}" + f", 0 to {count - 1}" * (count > 0))
        number = asked % count
        unit = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self.markers[unit], number - int(self._starts[unit])

    def _part(self, marker: Marker) -> list[dict[str, Any]]:
        if self._kept.get("unit") != marker.unit:
            self._kept.update(unit=marker.unit, rows=self._index(marker).to_pylist())
        kept: list[dict[str, Any]] = self._kept["rows"]
        return kept

    @cached_property
    def _kept(self) -> dict[str, Any]:
        """The part of the index that was read last."""
        return {}

    def __repr__(self) -> str:
        state = "complete" if self.complete else f"{len(self.markers)} of {self.manifest.units} units"
        return f"Run({self.place!r}, {len(self)} rows, {state})"


def open_run(place: str | PathLike[str]) -> Run:
    """The run at a path or a URL, as far as it is done. Raises `StoreError` where there is none."""
    store = store_at(place)
    return Run(store, Manifest.of(store), tuple(Units(store).markers()))
