"""Results of a unit: takes what was found of each of its entries, gives the bytes of its maps and of its part of the
index, always the same for the same; and reads them back. Runs nothing.

Maps are safetensors, a tensor each. The index is Parquet, a row for each explanation and for each entry without one,
with one schema for all parts of all runs.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import UsageError
from seewhy.runs.arrow import arrow_of
from seewhy.runs.sources import Entry

__all__ = ["DTYPES", "EntryDone", "Result", "index_bytes", "map_bytes", "schema"]

#: what maps may be kept as
DTYPES = ("float32", "float16")


@dataclass(frozen=True, eq=False)
class Result:
    """One explanation: its ``values``, any shape, and what else the index says of it (see `schema`)."""

    values: NDArray[Any]
    columns: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class EntryDone:
    """One entry of a listing: which, the digest of its file, and its results, or in words why there are none."""

    row: int
    entry: Entry
    digest: str = ""
    results: Sequence[Result] = ()
    reason: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)


def schema() -> Any:
    """The columns of an index, as pyarrow has them.

    ``row`` counts the listing, ``digest`` is the SHA-256 of the picture's file. ``status`` is "ok" or as
    `Explanation.status`, "failed" where there is no explanation, for the ``reason``. ``trust`` is the level of the
    map's card, and ``trust_says`` its sentence, where cards were asked for. ``key`` is the name of the map in
    the file ``shard``; its values times ``scale`` are the map's, to within ``rounding``, of the map's units. Passes are
    samples that went through the network.
    """
    arrow, _ = arrow_of()
    text, whole, number = arrow.string(), arrow.int64(), arrow.float64()
    several, sides = arrow.list_(text), arrow.list_(arrow.int32())
    return arrow.schema(
        [
            ("row", whole), ("path", text), ("digest", text), ("labels", several), ("group", text), ("truth", whole),
            ("method", text), ("layer", text), ("target", text), ("target_index", whole), ("prediction", whole),
            ("prediction_label", text), ("probability", number), ("score", number), ("unit", text), ("map_unit", text),
            ("status", text), ("reason", text), ("notes", several), ("trust", text), ("trust_says", text),
            ("forwards", whole), ("backwards", whole),
            ("shard", text), ("key", text), ("shape", sides), ("size", sides), ("channels", arrow.bool_()),
            ("scale", number), ("rounding", number),
        ]
    )  # fmt: skip


def map_bytes(done: Sequence[EntryDone], dtype: str) -> tuple[bytes, list[dict[str, Any]]]:
    """The file of a unit's maps, and for each result what its row of the index says of it: ``key``, ``shape``,
    ``scale`` and ``rounding``.

    Half precision keeps numbers from 6e-5 to 65504 well: maps are divided by a power of two, ``scale``, so that their
    largest magnitude lies between 1 and 2; ``rounding`` is the largest difference that is left.
    """
    try:
        from safetensors.numpy import save
    except ImportError:
        raise UsageError("runs keep maps in safetensors: pip install 'seewhy[data]'") from None
    if dtype not in DTYPES:
        raise UsageError(f"dtype={dtype!r}: maps are kept as {' or '.join(DTYPES)}")
    arrays: dict[str, NDArray[Any]] = {}
    columns: list[dict[str, Any]] = []
    for each in done:
        for number, result in enumerate(each.results):
            key = f"{each.row}/{number}"
            kept, scale, rounding = _kept(result.values, dtype)
            # strided arrays would be written as other numbers than theirs
            arrays[key] = np.ascontiguousarray(kept)
            columns.append({"key": key, "shape": list(kept.shape), "scale": scale, "rounding": rounding})
    return save(arrays), columns


def _kept(values: NDArray[Any], dtype: str) -> tuple[NDArray[Any], float, float]:
    """A map as it is kept, what to multiply it by, and how far it may be off then."""
    if dtype == "float32":
        single = np.asarray(values, dtype=np.float32)
        return single, 1.0, _gap(values, single.astype(np.float64))
    wide = np.asarray(values, dtype=np.float64)
    finite = np.abs(wide[np.isfinite(wide)])
    largest = float(finite.max()) if finite.size else 0.0
    scale = 2.0 ** math.floor(math.log2(largest)) if largest > 0 else 1.0
    half = (wide / scale).astype(np.float16)
    return half, scale, _gap(wide, half.astype(np.float64) * scale)


def _gap(values: NDArray[Any], kept: NDArray[Any]) -> float:
    """The largest difference between finite values."""
    apart = np.abs(np.asarray(values, dtype=np.float64) - kept)
    apart = apart[np.isfinite(apart)]
    return float(apart.max()) if apart.size else 0.0


def index_bytes(done: Sequence[EntryDone], maps: Sequence[Mapping[str, Any]], shard: str) -> bytes:
    """A unit's part of the index; ``maps`` are the columns that `map_bytes` gave, ``shard`` the name of that file."""
    arrow, parquet = arrow_of()
    columns = schema()
    rows = list(_rows(done, maps, shard))
    table = arrow.table([[row.get(name) for row in rows] for name in columns.names], schema=columns)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _rows(done: Sequence[EntryDone], maps: Sequence[Mapping[str, Any]], shard: str) -> Iterator[dict[str, Any]]:
    of_maps = iter(maps)
    for each in done:
        known = {
            "row": each.row, "path": each.entry.name, "digest": each.digest or None, "group": each.entry.group or None,
            "labels": list(each.entry.labels), "notes": [], **each.columns,
        }  # fmt: skip
        if not each.results:
            yield {**known, "status": "failed", "reason": each.reason}
        for result in each.results:
            yield {**known, **result.columns, **next(of_maps), "shard": shard}
