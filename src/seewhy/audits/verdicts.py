"""Verdicts: takes what trials of all candidates of all classes gave, gives for each whether it is proved, whether it is
a shortcut, why, and what could have been seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seewhy.audits.background import Background
from seewhy.audits.cast import Cast
from seewhy.audits.cue import Box, Cue
from seewhy.audits.groups import fisher
from seewhy.audits.patches import Patch
from seewhy.audits.places import BORDER, Frame, Place
from seewhy.audits.subject import Subject
from seewhy.audits.templates import kept
from seewhy.audits.trials import Effect, clear

__all__ = ["Candidate", "Finding", "corrected", "findings", "judged", "power", "told_effects"]

#: what an effect is at least: a share of pictures, or standard deviations of the odds
FLIPS, ODDS = 0.05, 0.5
#: the rate of false discoveries over all candidates of all classes
RATE = 0.05
#: pictures that show a cue, and the share of windows from which two are one thing
EXAMPLES, _ONE = 12, 0.5
#: share of the certainty that counts of what may be a part of the object
_MAY_BE_OBJECT = 0.5
#: share of an effect by which what is all around objects is ordered
_WIDE = 0.75
#: shares of a window outside objects from which it is outside
OUTSIDE = 0.8
#: where more than this share of all windows keeps its place, pictures are aligned, objects with them: it says nothing
ALIGNED = 0.25
#: times as much as inside pixels change at the edge of a border
SET_OFF = 3.0
#: accuracy that pictures without a cue lose at least, and how many there have to be
LOSES, FEWEST = 0.1, 5


def _matters(effect: Effect) -> bool:
    """Whether an effect is of a size that matters: answers certainly flip, so many, or the odds move far."""
    return (effect.flipped >= FLIPS and effect.interval[0] > 0) or effect.moved >= ODDS


@dataclass(frozen=True, eq=False)
class Candidate:
    """A cue of a class, what its trials gave, and ``outside``: why it is no part of the object, or empty; ``examples``
    are rows of the second half that have most of it, each with where it is, and ``boxes`` where it is in every row; its
    trials are drawn by ``word``."""

    index: int
    cue: Cue
    effects: tuple[Effect, ...]
    outside: str
    measured: Mapping[str, float] = field(default_factory=dict)
    examples: tuple[tuple[int, Box | None], ...] = ()
    word: str = ""
    boxes: tuple[Box | None, ...] = ()

    @property
    def best(self) -> Effect:
        """The effect that is the least likely by chance: of those of a size that matters, if there is one."""
        return min([each for each in self.effects if _matters(each)] or self.effects, key=lambda each: each.p)

    @property
    def p(self) -> float:
        """How likely the better of its effects is, by chance: corrected for their number, whichever is the better."""
        return min(1.0, len(self.effects) * self.best.p)

    @property
    def large(self) -> bool:
        """Whether there is an effect of a size that matters."""
        return _matters(self.best)

    @property
    def strength(self) -> float:
        """How surely it causes the answer, in standard errors of the odds' mean change; at least 0. Of what may be a
        part of the object, which every class loses with it, pasting alone counts, by half: an object's parts make its
        class, too."""
        sure = [
            each.surely * (1.0 if self.outside else _MAY_BE_OBJECT)
            for each in self.effects
            if self.outside or each.what == "pasting"
        ]
        return max([0.0, *sure])

    @property
    def tag(self) -> str:
        """What it is, in a word, as far as it was measured."""
        named: str = self.cue.told()["tag"]
        if "comes again unchanged" in self.measured:
            return "watermark or text"
        if isinstance(self.cue, Patch) and self.cue.outside >= OUTSIDE:
            return "co-occurring object"
        return named


@dataclass(frozen=True, eq=False)
class Finding:
    """A candidate with its ``q`` over all of an audit, and a ``verdict``: ``shortcut``, ``object or shortcut, look``,
    or empty where nothing is proved; ``same_as`` is the number of an earlier finding that is of the same thing in the
    same pictures, seen by other windows."""

    candidate: Candidate
    q: float
    verdict: str
    same_as: int | None = None

    @property
    def proved(self) -> bool:
        """Whether it has a verdict, and is the first that tells of its thing."""
        return bool(self.verdict) and self.same_as is None

    def told(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "class": self.candidate.index, "kind": self.candidate.cue.kind, **self.candidate.cue.told(),
            "tag": self.candidate.tag, "effects": told_effects(self.candidate.effects),
            "q": self.q, "verdict": self.verdict, "outside": self.candidate.outside,
            "measured": dict(self.candidate.measured), "same_as": self.same_as,
        }  # fmt: skip


def told_effects(effects: Sequence[Effect]) -> dict[str, Any]:
    """Effects as JSON holds them."""
    return {
        each.what: {
            "flips": each.flipped, "interval": list(each.interval), "odds": each.moved, "p": each.p,
            "against": each.control, "pictures": each.count,
        }
        for each in effects
    }  # fmt: skip


def judged(
    subject: Subject, cue: Cue, effects: Sequence[Effect], word: str = "", aligned: float = 0.0
) -> Candidate:  # fmt: skip
    """A candidate, and whether and why it is outside the object; ``aligned`` is the share of windows that keep their
    place in any class's pictures."""
    own, others = subject.own[1], subject.others[1]
    presence, elsewhere = cue.presence(own), cue.presence(others)
    measured: dict[str, float] = {}
    outside = ""
    if isinstance(cue, Cast):
        outside = "a colour of the whole picture"
    elif isinstance(cue, Background):
        outside = "masks say where objects are"
    elif isinstance(cue, Patch) and cue.outside >= OUTSIDE:
        outside = f"{cue.outside:.0%} of it is outside objects, by masks"
        measured["outside"] = cue.outside
    elif isinstance(cue, Place | Frame):
        free = clear(cue, own)
        if own.objects is not None and not bool((own.objects & cue.mask.bool()).flatten(1).any(1)[free].any()):
            measured["pictures whose object is elsewhere"] = float(free.sum())
            outside = f"masks: tried with {int(free.sum())} pictures whose object is elsewhere"
        top, keeps = kept(presence, elsewhere)
        measured["keeps its place"] = top
        if not outside and keeps and aligned <= ALIGNED:
            outside = f"it keeps its place: pictures have the same there (correlation {top:.2f})"
        if not outside and own.objects is None and isinstance(cue, Frame) and cue.name == BORDER:
            measured["set off"] = cue.set_off(own)
            if measured["set off"] >= SET_OFF:
                outside = f"it is a border: pixels change {measured['set off']:.0f} times as much at its edge as inside"
    if isinstance(cue, Patch) and (same := cue.unchanged(own))[1]:
        measured["comes again unchanged"], words = same
    else:
        words = ""
    if not outside:
        gap, p, few = without(subject, presence, elsewhere)
        if few:
            measured["pictures without it"] = float(few)
        if gap >= LOSES and p <= RATE:
            outside = f"pictures without it lose {gap:.0%} of accuracy"
            measured["loses"] = gap
        elif words and own.objects is None:
            outside = f"it was put into pictures: {words}"
    first = presence.nan_to_num(0).argsort(descending=True, stable=True)[:EXAMPLES].tolist()
    boxes = cue.boxes(own)
    return Candidate(
        subject.index, cue, tuple(effects), outside, measured, tuple((row, boxes[row]) for row in first), word,
        tuple(boxes),
    )  # fmt: skip


def without(subject: Subject, presence: torch.Tensor, elsewhere: torch.Tensor) -> tuple[float, float, int]:
    """How much accuracy pictures of the class lose that have no more of a cue than pictures of other classes have, how
    likely by chance (Fisher's exact test), and how many they are; nothing where nobody knows the truth."""
    own = subject.own[1]
    if not bool(presence.isfinite().all()) or not bool(elsewhere.isfinite().all()):
        return 0.0, 1.0, 0
    has = presence > elsewhere.quantile(0.95)
    right = own.said == own.truth
    few = int((~has).sum())
    if few < FEWEST or int(has.sum()) < FEWEST:
        return 0.0, 1.0, few
    gap = float(right[has].double().mean() - right[~has].double().mean())
    return gap, fisher(int(right[has].sum()), int(has.sum()), int(right[~has].sum()), few, more=True), few


def corrected(chances: Sequence[float]) -> NDArray[np.float64]:
    """q of each chance: the rate of false discoveries if it and all smaller ones were discoveries. Benjamini & Hochberg
    1995, doi:10.1111/j.2517-6161.1995.tb02031.x.

    >>> corrected([0.01, 0.04, 0.03, 0.2]).round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.2]
    """
    given = np.asarray(chances, dtype=np.float64)
    order = np.argsort(given)
    scaled = given[order] * len(given) / np.arange(1, len(given) + 1)
    found = np.empty_like(given)
    found[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return found


_ORDER = {"shortcut": 0, "object or shortcut, look": 1, "": 2}


def findings(candidates: Sequence[Candidate]) -> list[Finding]:
    """All candidates of all classes of an audit: shortcuts first, of each verdict the largest effect first; all that is
    around objects after a part of it that does nearly as much."""
    qs = corrected([each.p for each in candidates])
    found = []
    for candidate, q in zip(candidates, qs, strict=True):
        proved = q <= RATE and candidate.large
        verdict = "" if not proved else "shortcut" if candidate.outside else "object or shortcut, look"
        found.append(Finding(candidate, float(q), verdict))
    found.sort(key=lambda each: (_ORDER[each.verdict], -_told_by(each.candidate), each.q))
    told: list[Finding] = []
    for each in found:
        first = next((n for n, one in enumerate(told) if one.same_as is None and _one_thing(one, each)), None)
        told.append(replace(each, same_as=first))
    return told


def _told_by(candidate: Candidate) -> float:
    """By what findings are ordered: their effect, of what says least of where the cue is a part."""
    wide = isinstance(candidate.cue, Background) or (isinstance(candidate.cue, Frame) and candidate.cue.name != BORDER)
    return candidate.best.flipped * (_WIDE if wide else 1.0)


def _one_thing(one: Finding, other: Finding) -> bool:
    """Whether two proved cues of a class are at one place: in the pictures that show the first, half of the smaller
    window lies in the other, on average."""
    mine, theirs = one.candidate, other.candidate
    if mine.index != theirs.index or not (one.verdict and other.verdict):
        return False
    shares = [
        _covered(box, theirs.boxes[row]) for row, box in mine.examples if row < len(theirs.boxes) and box is not None
    ]
    return bool(shares) and not isinstance(theirs.cue, Frame) and float(np.mean(shares)) >= _ONE


def _covered(one: Box, other: Box | None) -> float:
    """Which share of the smaller one lies in the other."""
    if other is None:
        return 0.0
    across, down = (min(one[n + 2], other[n + 2]) - max(one[n], other[n]) for n in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return max(across, 0) * max(down, 0) / max(min(areas), 1)


def power(candidates: Sequence[Candidate], tests: int) -> float:
    """The smallest share of flipped pictures that an audit of a class with these trials would have seen with a chance
    of 80 %: (z of the first of ``tests`` + z of 80 %) standard errors, at the median spread of the trials."""
    errors = [
        float(each.flips.std(ddof=1) / each.count**0.5)
        for candidate in candidates
        for each in candidate.effects
        if each.count > 1
    ]
    if not errors:
        return 1.0
    normal = NormalDist()
    z = normal.inv_cdf(1 - RATE / max(tests, 1)) + normal.inv_cdf(0.8)
    # effects of nobody vary less than the smallest effect would: a flip in twenty has this spread at least
    least = (FLIPS * (1 - FLIPS) / 96) ** 0.5
    return float(min(1.0, max(FLIPS, z * max(float(np.median(errors)), least))))
