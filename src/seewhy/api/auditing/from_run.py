"""A finished run as what is audited: takes where it lies, gives the pictures it is of, what the model said of them, and
their maps; asks no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.api.auditing.drawing import Row
from seewhy.api.auditing.outcome import Answered
from seewhy.api.given.told import told
from seewhy.api.given.truths import Found, Known
from seewhy.errors import TargetError, UsageError
from seewhy.explanation import Explanation
from seewhy.models import Model
from seewhy.runs.manifest import FILE
from seewhy.runs.opened import Run, open_run

__all__ = ["OfRun", "run_at"]

#: rows of an index that are plain values at a time
_SOME = 8192


def run_at(source: Any) -> OfRun | None:
    """The run that a source is, or that lies there; None for sources of another kind."""
    if isinstance(source, Run):
        return OfRun(source)
    if isinstance(source, str | Path) and (Path(source) / FILE).is_file():
        return OfRun(open_run(source))
    return None


@dataclass(frozen=True, eq=False)
class OfRun:
    """What a ``run`` has found already."""

    run: Run

    @property
    def source(self) -> str:
        """Where its pictures are."""
        return str(self.run.manifest.taken["source"])

    def check(self, model: Model) -> None:
        """Raise `UsageError` for a run of another model, and for one of which nothing is done."""
        theirs, mine = self.run.manifest.asked["model"], model.fingerprint() or told(model.module, None)
        if theirs["fingerprint"] != mine:
            raise UsageError(
                f"{self.run.place} is a run of {theirs['name']}, not of this {model.spec or model.name} (weights or "
                f"build differ): audit its own model, or {self.source!r} itself"
            )
        if not len(self.run):
            raise UsageError(f"{self.run.place}: no unit of this run is done; the same seewhy run goes on with it")

    def _answers(self) -> Iterator[dict[str, Any]]:
        """Of each picture the first row with what the model said of it, or else the first; some at a time, since there
        may be a million."""
        columns = ["row", "path", "prediction", "probability", "reason"]
        rows = (row for batch in self.run.table(columns).to_batches(_SOME) for row in batch.to_pylist())
        for _, same in groupby(rows, key=lambda row: row["row"]):
            some = list(same)
            yield next((row for row in some if row["prediction"] is not None), some[0])

    @property
    def note(self) -> str:
        """What of it is not done, in words."""
        if self.run.complete:
            return ""
        done, units = len(self.run.markers), self.run.manifest.units
        return f"{done} of {units} units of the run are done: pictures of the others are left out"

    def said(self, known: Known) -> list[Found[Answered]]:
        """What the model said of each picture of a source, in its order; notes in ``known`` those that failed.

        Raises `UsageError` where the source has other pictures than the run had."""
        answers, found = self._answers(), list[Found[Answered]]()
        row = next(answers, None)
        for number, entry in enumerate(known.source.entries()):
            if row is None or row["row"] != number:
                continue
            if row["path"] != entry.name:
                raise UsageError(
                    f"{self.source!r} has changed since the run: picture {number} was {row['path']!r}, is "
                    f"{entry.name!r}; run it again, or audit the pictures themselves"
                )
            if row["prediction"] is not None and row["probability"] is None:
                raise TargetError("the run's model gives no row of class scores: audits are of classes")
            if row["prediction"] is None:
                known.failed.append(row["reason"] or f"{entry.name}: the run has no answer of the model")
            else:
                answer = [float(row["prediction"]), float(row["probability"])]
                found.append(Found(entry.name, known.truth_of(entry), answer, number))
            row = next(answers, None)
        if row is not None:
            less = 1 + sum(1 for _ in answers)
            raise UsageError(f"{self.source!r} has {less} pictures less than the run had: run it again")
        return found

    @cached_property
    def _index(self) -> tuple[NDArray[np.int64], Any]:
        """Of each row of the index the picture that it is of, and what it is a map of."""
        table = self.run.table(["row", "method", "target_index", "status"])
        return table.column("row").to_numpy(), table

    def maps(self, rows: Sequence[Row], index: int, method: str) -> list[Explanation] | None:
        """Its explanations of rows for a class by a method; None where it does not have all."""
        pictures, table = self._index
        places = np.flatnonzero(np.isin(pictures, [row.row for row in rows]))
        some = zip(places.tolist(), table.take(places).to_pylist(), strict=True)
        wanted = {"method": method, "target_index": index, "status": "ok"}
        known = {told["row"]: n for n, told in some if wanted.items() <= told.items()}
        if not rows or any(row.row not in known for row in rows):
            return None
        return [self.run[known[row.row]] for row in rows]
