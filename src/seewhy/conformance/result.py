"""What a run of units found: takes rows, gives a record with its table in words, as HTML and as JSON; runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seewhy.html import table

__all__ = ["BY_DESIGN", "FAILED", "PASSED", "UNFIT", "Conformance", "Row"]

PASSED, BY_DESIGN, FAILED, UNFIT = "passed", "failed by design", "failed", "not applicable"
#: how outcomes look in a table
_SIGNS = {PASSED: "passed", BY_DESIGN: "by design", FAILED: "FAILED", UNFIT: "-"}


@dataclass(frozen=True)
class Row:
    """One method on one unit: the ``outcome``, what was ``found`` wrong (of what cannot be asked, why not), and the
    ``reason`` for which a card excepts it."""

    method: str
    unit: str
    outcome: str
    found: str = ""
    reason: str = ""

    def to_dict(self) -> dict[str, str]:
        """As plain JSON, without what is empty."""
        named = {name: getattr(self, name) for name in ("method", "unit", "outcome", "found", "reason")}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True)
class Conformance:
    """Methods of one ``library`` on units, with the ``versions`` of what ran. ``pairs`` are all of them, ``rows`` those
    in which there was something to judge."""

    library: str
    pairs: tuple[Row, ...]
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def rows(self) -> tuple[Row, ...]:
        """What was judged."""
        return tuple(row for row in self.pairs if row.outcome != UNFIT)

    @property
    def unfit(self) -> tuple[Row, ...]:
        """What could not be asked, with the reason."""
        return tuple(row for row in self.pairs if row.outcome == UNFIT)

    @property
    def failures(self) -> tuple[Row, ...]:
        """What failed, and not by design."""
        return tuple(row for row in self.pairs if row.outcome == FAILED)

    def table(self) -> list[tuple[str, ...]]:
        """Methods by units in words, the heading first: passed, by design, FAILED, or a dash for what cannot be asked.

        >>> Conformance("seewhy", (Row("saliency", "linear", "passed"),)).table()
        [('method', 'linear'), ('saliency', 'passed')]
        """
        names = list(dict.fromkeys(row.unit for row in self.pairs))
        found: dict[str, dict[str, str]] = {}
        for row in self.pairs:
            found.setdefault(row.method, {})[row.unit] = _SIGNS[row.outcome]
        return [("method", *names), *((name, *(own[each] for each in names)) for name, own in found.items())]

    def to_dict(self) -> dict[str, Any]:
        """As plain, strictly valid JSON: ``results`` are what was judged."""
        return {
            "library": self.library,
            "versions": dict(self.versions),
            "results": [row.to_dict() for row in self.rows],
            "not_applicable": [{"method": row.method, "unit": row.unit, "reason": row.found} for row in self.unfit],
        }

    def _repr_html_(self) -> str:
        heads, *rows = self.table()
        words = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"<p>{self.library}: {words}</p>{table(heads, rows)}"
