"""What an audit found: takes findings, gives them as data, and as JSON holds them; draws and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.api.given.truths import Found
from seewhy.audits.clusters import Cluster
from seewhy.audits.cue import Box
from seewhy.audits.evidence import Where
from seewhy.audits.groups import Group
from seewhy.audits.trials import Effect
from seewhy.audits.verdicts import Candidate, Finding, told_effects
from seewhy.explanation.plain import plain

__all__ = ["Against", "Answered", "Example", "Outcome", "accuracies", "cluster_name", "finding_name"]

#: the version of the JSON document
FORMAT = 1


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


def finding_name(number: int) -> str:
    """The file of a finding's pictures, in an audit's folder."""
    return f"finding-{number + 1:02}.png"


def cluster_name(index: int, number: int) -> str:
    """The file of a cluster's pictures."""
    return f"class-{index}-cluster-{number + 1}.png"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an audit of ``model`` by the pictures of ``source`` found.

    ``findings``, shortcuts first; how many pictures of each class were ``checked``, with the smallest effect that would
    have been seen (``power``, a share of pictures); classes that were ``skipped``, and why. ``where`` each class's
    evidence lies, and its ``clusters``; ``accuracy`` by class; how the model does on ``groups`` of a class's pictures,
    the worst first; ``against``, the same trials with another model. ``failed`` pictures, and what has to be known
    besides, ``notes``; ``passes`` are samples that went through the model, a backward counted as two.
    """

    model: str
    source: str
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
    where: Mapping[int, Where] = field(default_factory=dict)
    clusters: Mapping[int, Sequence[Cluster]] = field(default_factory=dict)
    cluster_pictures: Mapping[int, Sequence[Sequence[Example]]] = field(default_factory=dict)
    against: Against | None = None

    @property
    def shortcuts(self) -> tuple[Finding, ...]:
        """Those that are proved, matter, and are no part of the object; each thing once."""
        return tuple(each for each in self.findings if each.proved and each.verdict == "shortcut")

    def both(self) -> Iterator[tuple[Finding, Effect, Effect]]:
        """Each effect of what is proved, each thing once, with that of the other model; nothing without one."""
        if self.against is None:
            return
        for number, each in enumerate(self.findings):
            for mine in each.candidate.effects if each.proved else ():
                for theirs in (one for one in self.against.effects[number] if one.what == mine.what):
                    yield each, mine, theirs

    def strength(self, index: int) -> float:
        """How surely something besides the object makes a class, in standard errors of the surest effect; half of those
        of what may be a part of the object. Classes are ordered by it; it is no verdict."""
        return max((each.strength for each in self.by_class.get(index, ())), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        found: dict[str, Any] = plain(
            {
                "version": FORMAT,
                "model": self.model,
                "source": self.source,
                "findings": [self._told(n) for n in range(len(self.findings))],
                "accuracy": {self.label(k): share for k, share in self.accuracy.items()},
                "evidence": {self.label(k): each.told() for k, each in self.where.items()},
                "clusters": {self.label(k): self._clusters(k) for k in self.clusters},
                "groups": [{**each.told(), "label": self.label(each.index)} for each in self.groups],
                "against": None
                if self.against is None
                else {
                    "model": self.against.model,
                    "accuracy": {self.label(k): share for k, share in self.against.accuracy.items()},
                },
                "checked": {self.label(k): count for k, count in self.checked.items()},
                "power": {self.label(k): share for k, share in self.power.items()},
                "skipped": {self.label(k): why for k, why in self.skipped.items()},
                "settings": dict(self.settings),
                "passes": self.passes,
                "failed": list(self.failed),
                "notes": list(self.notes),
            }
        )
        return found

    def _clusters(self, index: int) -> list[dict[str, Any]]:
        some = self.clusters[index]
        return [{**each.told(self.label), "picture": cluster_name(index, n)} for n, each in enumerate(some)]

    def _told(self, number: int) -> dict[str, Any]:
        finding = self.findings[number]
        document = {**finding.told(), "label": self.label(finding.candidate.index)}
        if number in self.examples:
            document["picture"] = finding_name(number)
        if self.against is not None:
            document["against"] = told_effects(self.against.effects[number])
        return document

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def label(self, index: int) -> str:
        """What a class is called, or its number."""
        return self.labels.get(index) or str(index)
