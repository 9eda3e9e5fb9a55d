"""A run with as many rows as one likes: takes a small one, gives it with its rows again and again; runs no model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

__all__ = ["enlarged"]


def enlarged(place: Path, rows: int) -> None:
    """The first unit of the run in ``place`` with so many rows: those that it has, over and over, each with a path, a
    score and a probability of its own."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    marker = min((place / "done").glob("*.json"))
    told = json.loads(marker.read_text())
    path = place / told["index"]
    table = parquet.read_table(path)
    table = table.take(np.arange(rows) % len(table))
    draw = np.random.default_rng(0)
    for name, values in {
        "path": [f"{n:06d} {each}" for n, each in enumerate(table.column("path").to_pylist())],
        "score": draw.normal(size=rows),
        "probability": draw.uniform(size=rows),
    }.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(name), arrow.array(values, table.schema.field(name).type))
    parquet.write_table(table, path)
    told |= {"index_sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "rows": rows, "failed": 0}
    marker.write_text(json.dumps(told))
