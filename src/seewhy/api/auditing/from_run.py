"""A finished run as what is audited: takes where it lies, gives the pictures it is of, what the model said of them, and
their maps; asks no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

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
        if not self._rows:
            raise UsageError(f"{self.run.place}: no unit of this run is done; the same seewhy run goes on with it")

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        columns = ["row", "path", "method", "target_index", "prediction", "probability", "status", "reason"]
        rows: list[dict[str, Any]] = self.run.table(columns).to_pylist()
        return rows

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
        first: dict[int, dict[str, Any]] = {}
        for each in self._rows:
            if each["row"] not in first or first[each["row"]]["prediction"] is None:
                first[each["row"]] = each
        found = list[Found[Answered]]()
        for number, entry in enumerate(known.source.entries()):
            row = first.pop(number, None)
            if row is None:
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
                continue
            answer = [float(row["prediction"]), float(row["probability"])]
            found.append(Found(entry.name, known.truth_of(entry), answer, number))
        if first:
            raise UsageError(f"{self.source!r} has {len(first)} pictures less than the run had: run it again")
        return found

    @cached_property
    def _maps(self) -> dict[tuple[int, str, int], int]:
        return {
            (each["row"], each["method"], each["target_index"]): number
            for number, each in enumerate(self._rows)
            if each["status"] == "ok" and each["target_index"] is not None
        }

    def maps(self, rows: Sequence[Row], index: int, method: str) -> list[Explanation] | None:
        """Its explanations of rows for a class by a method; None where it does not have all."""
        numbers = [self._maps.get((row.row, method, index)) for row in rows]
        if not numbers or any(number is None for number in numbers):
            return None
        return [self.run[number] for number in numbers if number is not None]
