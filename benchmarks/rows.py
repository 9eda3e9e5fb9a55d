"""Results: takes laps and what is demanded of them, gives rows with ratios and verdicts, and all of them as JSON and
back; times nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seewhy.api.bench.measures import Measure
from seewhy.api.bench.racing import Lap, fastest
from seewhy.api.bench.result import OURS

__all__ = ["Demand", "Reading", "Report", "Row", "merged", "read", "write"]


@dataclass(frozen=True)
class Demand:
    """How many times as long as ours a rival must take: the fastest library that agrees, or the one ``against`` names;
    with ``most``, how many times as long as the rival ours may take. ``on`` is what the rival runs on, ``ours`` what
    ours does."""

    ratio: float
    against: str = ""
    most: bool = False
    on: str = "eager"
    ours: str = "prepared"


@dataclass(frozen=True)
class Row:
    """One task on one network: ``laps`` and what is demanded; ``words`` says what else there is to know, and why there
    are no laps where there are none."""

    task: str
    network: str
    batch: int
    measure: Measure
    laps: tuple[Lap, ...] = ()
    demands: tuple[Demand, ...] = ()
    words: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it this row and no other."""
        return ("row", self.task, self.network, str(self.batch))

    def lap(self, name: str, on: str = "eager") -> Lap | None:
        """Somebody's."""
        return next((lap for lap in self.laps if lap.name == name and lap.on == on), None)

    def ours(self, on: str = "prepared") -> Lap | None:
        """Ours, on the eager model where nothing was prepared."""
        return self.lap(OURS, on) or self.lap(OURS)

    def rival(self, demand: Demand) -> Lap | None:
        """Who is compared with."""
        return fastest(self.laps, on=demand.on, name=demand.against, besides=OURS)

    def ratio(self, demand: Demand) -> float | None:
        """The rival's time over ours (with ``most``: ours over the rival's); None where one of them has none."""
        rival, mine = self.rival(demand), self.ours(demand.ours)
        if rival is None or mine is None or not mine.seconds:
            return None
        return mine.median / rival.median if demand.most else rival.median / mine.median

    def met(self, demand: Demand) -> bool | None:
        """Whether the ratio is what is demanded; None where there is none."""
        ratio = self.ratio(demand)
        if ratio is None:
            return None
        return ratio <= demand.ratio if demand.most else ratio >= demand.ratio


@dataclass(frozen=True)
class Reading:
    """One number with a limit: ``what`` was measured in which ``case``; ``most`` None for no limit."""

    what: str
    case: str
    value: float
    unit: str
    most: float | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it this reading and no other."""
        return ("reading", self.what, self.case)

    @property
    def met(self) -> bool | None:
        """Whether it is within its limit; None without one."""
        return None if self.most is None else self.value <= self.most


@dataclass
class Report:
    """All results of a run, or of several: ``facts`` about the machine, rows and readings in their order."""

    facts: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)


def merged(reports: Sequence[Report]) -> Report:
    """One report of several: of rows and readings of the same key the last counts, at the place of the first; of facts
    that differ both are told."""
    facts: dict[str, str] = {}
    for report in reports:
        for name, words in report.facts.items():
            known = facts[name].split("; ") if name in facts else []
            facts[name] = "; ".join(dict.fromkeys([*known, *words.split("; ")]))
    rows = {row.key: row for report in reports for row in report.rows}
    readings = {reading.key: reading for report in reports for reading in report.readings}
    return Report(facts, list(rows.values()), list(readings.values()))


def write(report: Report, path: Path) -> None:
    """As JSON, all at once: a run that is interrupted leaves the file of the row before."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    part.replace(path)


def read(path: Path) -> Report:
    """A report that `write` wrote; raises `ValueError` with the file's name for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            Row(**each | {"measure": Measure(**each["measure"]), "laps": tuple(map(_lap, each["laps"])),
                          "demands": tuple(Demand(**demand) for demand in each["demands"])})
            for each in found["rows"]
        ]  # fmt: skip
        return Report(found["facts"], rows, [Reading(**each) for each in found["readings"]])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is no report of python -m benchmarks --json ({error})") from error


def _lap(found: dict[str, Any]) -> Lap:
    return Lap(**found | {"seconds": tuple(found["seconds"])})
