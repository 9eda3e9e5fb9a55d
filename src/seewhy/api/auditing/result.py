"""An audit's result: takes findings, gives them as data, words and tables; runs nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seewhy.audits.verdicts import Candidate, Finding
from seewhy.explanation.plain import plain

__all__ = ["Audit"]


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found: ``findings``, shortcuts first; ``candidates`` of each class that was ``checked``, with the
    smallest effect that would have been seen (``power``, a share of pictures); classes that were ``skipped``, and
    why; ``failed`` pictures; what has to be known besides, ``notes``."""

    model: str
    labels: Mapping[int, str]
    findings: tuple[Finding, ...]
    checked: Mapping[int, int]
    power: Mapping[int, float]
    skipped: Mapping[int, str]
    settings: Mapping[str, Any]
    passes: int
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    by_class: Mapping[int, Sequence[Candidate]] = field(default_factory=dict)

    @property
    def shortcuts(self) -> tuple[Finding, ...]:
        """Those that are proved, matter, and are no part of the object."""
        return tuple(each for each in self.findings if each.verdict == "shortcut")

    def strength(self, index: int) -> float:
        """How large the largest effect of a class that is outside the object is at least, a share of pictures."""
        return max((each.strength for each in self.by_class.get(index, ())), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        found: dict[str, Any] = plain(
            {
                "model": self.model,
                "findings": [{**each.told(), "label": self._label(each.candidate.index)} for each in self.findings],
                "checked": {self._label(k): count for k, count in self.checked.items()},
                "power": {self._label(k): share for k, share in self.power.items()},
                "skipped": {self._label(k): why for k, why in self.skipped.items()},
                "settings": dict(self.settings),
                "passes": self.passes,
                "failed": list(self.failed),
                "notes": list(self.notes),
            }
        )
        return found

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def _label(self, index: int) -> str:
        return self.labels.get(index) or str(index)

    def sentences(self) -> list[str]:
        """What was found of each class in a sentence; of most that is nothing, with what would have been seen."""
        found = []
        for index in self.checked:
            mine = [each for each in self.findings if each.candidate.index == index and each.verdict]
            name = self._label(index)
            shortcuts = [each for each in mine if each.verdict == "shortcut"]
            if shortcuts:
                found += [f"{name}: {_sentence(each)}" for each in shortcuts]
            else:
                least = f"an effect on {self.power[index]:.0%} of pictures would have been seen"
                look = f"; {len(mine)} causes to look at, which may be the object" if mine else ""
                found.append(f"{name}: no shortcut found; {least}{look}")
        return found

    def save(self, path: str | Path) -> Path:
        """Write the JSON document; gives its path."""
        target = Path(path)
        target.write_text(self.to_json() + "\n", encoding="utf-8")
        return target


def _sentence(finding: Finding) -> str:
    best, told = finding.candidate.best, finding.candidate.cue.told()
    low, high = best.interval
    return (
        f"shortcut ({told['tag']}): {best.what} it changes the answer of {best.flipped:.0%} of pictures "
        f"[{low:.0%}, {high:.0%}] more than {best.control} does, q={finding.q:.2g}; {finding.candidate.outside}"
    )
