"""An audit's result: takes findings, gives them as data, words and tables; runs nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from seewhy.api.given.truths import Found
from seewhy.audits.cue import Box
from seewhy.audits.groups import Group
from seewhy.audits.trials import Effect
from seewhy.audits.verdicts import Candidate, Finding, told_effects
from seewhy.errors import UsageError
from seewhy.explanation.plain import plain
from seewhy.render import Cell, grid

__all__ = ["Against", "Answered", "Audit", "Example", "accuracies"]

#: pictures in a row of a sheet
_COLUMNS = 6


@dataclass(frozen=True, eq=False)
class Example:
    """A picture uint8 [H, W, 3] that shows a cue, what it is called, and where the cue is: left, top, right, bottom."""

    name: str
    pixels: NDArray[np.uint8]
    box: Box | None


#: a class and how sure the model is of it, or None for numbers that are none
Answered = Sequence[float] | None


@dataclass(frozen=True, eq=False)
class Against:
    """The same trials with another ``model``: its ``accuracy`` by class, and the ``effects`` of each finding."""

    model: str
    accuracy: Mapping[int, float]
    effects: Mapping[int, Sequence[Effect]]


def accuracies(found: Sequence[Found[Answered]]) -> dict[int, float]:
    """The share of each true class's pictures that were called it."""
    right: dict[int, list[bool]] = {}
    for each in found:
        if each.truth is not None:
            right.setdefault(each.truth, []).append(each.found is not None and each.found[0] == each.truth)
    return {index: sum(some) / len(some) for index, some in sorted(right.items())}


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
    examples: Mapping[int, Sequence[Example]] = field(default_factory=dict)
    accuracy: Mapping[int, float] = field(default_factory=dict)
    groups: Sequence[Group] = ()
    against: Against | None = None

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
                "findings": [self._told(n) for n in range(len(self.findings))],
                "accuracy": {self._label(k): share for k, share in self.accuracy.items()},
                "groups": [{**each.told(), "label": self._label(each.index)} for each in self.groups],
                "against": None
                if self.against is None
                else {
                    "model": self.against.model,
                    "accuracy": {self._label(k): share for k, share in self.against.accuracy.items()},
                },
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

    def _told(self, number: int) -> dict[str, Any]:
        finding = self.findings[number]
        document = {**finding.told(), "label": self._label(finding.candidate.index)}
        if self.against is not None:
            document["against"] = told_effects(self.against.effects[number])
        return document

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
                found += [f"{name}: {_sentence(each)}{self._beside(each)}" for each in shortcuts]
            else:
                least = f"an effect on {self.power[index]:.0%} of pictures would have been seen"
                look = f"; {len(mine)} causes to look at, which may be the object" if mine else ""
                found.append(f"{name}: no shortcut found; {least}{look}")
        return found

    def _beside(self, finding: Finding) -> str:
        """The same effect in the other model, in words."""
        if self.against is None:
            return ""
        number = self.findings.index(finding)
        same = [each for each in self.against.effects[number] if each.what == finding.candidate.best.what]
        if not same:
            return f"; {self.against.model} has no pictures to try it on"
        low, high = same[0].interval
        return f"; with {self.against.model} {same[0].flipped:.0%} [{low:.0%}, {high:.0%}]"

    def sheet(self, number: int) -> Image.Image | None:
        """Pictures that show the cue of a finding, which is framed; None where there are none to show."""
        shown = self.examples.get(number)
        if not shown:
            return None
        finding = self.findings[number]
        cells = [Cell(_framed(each), below=(each.name.rpartition("/")[2],)) for each in shown]
        words = f"{self._label(finding.candidate.index)}: {_sentence(finding)}"
        return grid([cells[n : n + _COLUMNS] for n in range(0, len(cells), _COLUMNS)], cell=112, footer=words)

    def to_markdown(self) -> str:
        """What was found in words, every proved cue in a table, and what was not looked at."""
        lines = [f"# Audit of {self.model}", ""]
        lines += [f"- {each}" for each in self.sentences()]
        proved = [each for each in self.findings if each.verdict]
        if proved:
            lines += [
                "",
                "| class | cue | effect | flips, 95 % | q | verdict | outside the object |",
                "|---|---|---|---|---|---|---|",
            ]
        for each in proved:
            best, (low, high) = each.candidate.best, each.candidate.best.interval
            columns = [
                self._label(each.candidate.index), each.candidate.cue.told()["tag"], best.what,
                f"{best.flipped:.0%} ({low:.0%} to {high:.0%})", f"{each.q:.2g}", each.verdict, each.candidate.outside,
            ]  # fmt: skip
            lines.append(f"| {' | '.join(columns)} |")
        if self.groups:
            head = ["class", "group", "pictures", "right, 95 %", "behind the class's others", "p", "confidence"]
            lines += ["", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for row in self.groups:
            columns = [
                self._label(row.index), row.name, str(row.count),
                f"{row.accuracy:.0%} ({row.low:.0%} to {row.high:.0%})",
                f"{row.behind:.0%}", f"{row.p:.2g}", f"{row.confidence:.0%}",
            ]  # fmt: skip
            lines.append(f"| {' | '.join(columns)} |")
        lines += ["", *(f"- {self._label(k)} was passed over: {why}" for k, why in self.skipped.items())]
        lines += [f"- {' '.join(note.split())}" for note in (*self.notes, *self.failed)]
        return "\n".join(lines).rstrip() + "\n"

    def save(self, path: str | Path) -> Path:
        """Write the JSON document (``.json``) or the Markdown page (``.md``); gives its path. Raises `UsageError` for
        another suffix."""
        target = Path(path)
        made = {".json": self.to_json, ".md": self.to_markdown}.get(target.suffix)
        if made is None:
            raise UsageError(f"{target.name!r}: an audit is written as .json or .md")
        target.write_text(made().rstrip("\n") + "\n", encoding="utf-8")
        return target


def _framed(example: Example) -> NDArray[np.uint8]:
    """The picture, large enough for a frame around its cue."""
    large = max(1, round(112 / max(example.pixels.shape[:2])))
    image = Image.fromarray(np.repeat(np.repeat(example.pixels, large, 0), large, 1))
    if example.box is not None:
        left, top, right, bottom = (large * side for side in example.box)
        draw = ImageDraw.Draw(image)
        draw.rectangle((left, top, right - 1, bottom - 1), outline="#f5b83d", width=max(1, large // 2))
    return np.asarray(image)


def _sentence(finding: Finding) -> str:
    best, told = finding.candidate.best, finding.candidate.cue.told()
    low, high = best.interval
    return (
        f"shortcut ({told['tag']}): {best.what} it changes the answer of {best.flipped:.0%} of pictures "
        f"[{low:.0%}, {high:.0%}] more than {best.control} does, q={finding.q:.2g}; {finding.candidate.outside}"
    )
