"""Trials: takes a cue and a subject's second half, gives by how much pasting and removing it change the answer, beyond
what as large a change of another kind does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seewhy.audits.cue import Change, Cue, drawn
from seewhy.audits.places import Frame, Place
from seewhy.audits.subject import Half, Subject
from seewhy.metrics.standing import interval, sign_flips

__all__ = ["Effect", "clear", "tried"]

#: pictures that a cue is pasted on, and that it is removed from, at most
PASTED, REMOVED = 96, 64
#: of which so many come first; a cue that has no more than this much of an effect on them is not worth the others
_FIRST, _WORTH = 32, 0.01
#: pictures that tell how large an effect is on a class
_OF_A_CLASS = 4
#: pictures whose object is elsewhere
_CLEAR = 16
#: pictures that have a spread
_PAIR = 2
#: tosses of signs, so that corrected chances can be small
_TOSSES = 20_000


@dataclass(frozen=True, eq=False)
class Effect:
    """What ``pasting`` or ``removing`` a cue does, of all controls against the one that leaves least: ``odds`` in
    logarithms, ``flips`` in shares of pictures, each paired with a control [N], positive if the cue makes the class
    more likely; against ``control``; ``plain`` is how odds spread over pictures of the class and of others."""

    what: str
    control: str
    odds: NDArray[np.float64]
    flips: NDArray[np.float64]
    plain: float
    seed: int = 0

    @property
    def count(self) -> int:
        """Pictures."""
        return len(self.odds)

    @property
    def flipped(self) -> float:
        """The share of pictures that it makes the class, or takes from it, beyond the control."""
        return float(self.flips.mean())

    @cached_property
    def interval(self) -> tuple[float, float]:
        """In which that share lies (95 %)."""
        return interval(self.flips, seed=self.seed)

    @property
    def moved(self) -> float:
        """How far the odds move, in standard deviations of those of pictures as they are."""
        return float(self.odds.mean()) / max(self.plain, 1e-9)

    @property
    def surely(self) -> float:
        """How many standard errors of its mean the odds move."""
        if self.count < _PAIR:
            return 0.0
        error = float(self.odds.std(ddof=1)) / math.sqrt(self.count)
        return float(self.odds.mean()) / max(error, 1e-9)

    @cached_property
    def p(self) -> float:
        """How likely odds move as far, up, by chance: one-sided."""
        half = float(sign_flips(self.odds[:, None], seed=self.seed, least=_TOSSES)[0]) / 2
        return half if self.odds.mean() > 0 else 1 - half


def tried(subject: Subject, cue: Cue, word: str) -> list[Effect]:
    """The effect of pasting the cue on pictures of other classes and of removing it from those that have most of it."""
    own, others = (half.picked(torch.nonzero(clear(cue, half))[:, 0]) for half in (subject.own[1], subject.others[1]))
    draw = subject.generator(f"trials {word}")
    carriers = _carriers(cue, own)
    found = []
    onto = drawn(others, min(PASTED, 2 * len(others)), draw)
    donors = drawn(carriers, len(onto), draw)
    found.append(_effect(subject, "pasting", cue, onto, donors, draw, 1.0))
    right = carriers.picked(torch.nonzero(carriers.said == subject.index)[:, 0])
    if len(right):
        some = drawn(right, min(REMOVED, len(right)), draw)
        found.append(_effect(subject, "removing", cue, some, drawn(others, len(some), draw), draw, -1.0))
    return found


def clear(cue: Cue, own: Half) -> Tensor:
    """Which pictures' objects are not where a cue is that keeps its place [N]: if masks say so of sixteen at least,
    trials are made with those alone; else of all."""
    every = torch.ones(len(own), dtype=torch.bool)
    if own.objects is None or not isinstance(cue, Place | Frame):
        return every
    free = ~(own.objects & cue.mask.bool()).flatten(1).any(1)
    return free if int(free.sum()) >= _CLEAR else every


def _carriers(cue: Cue, own: Half) -> Half:
    """The half of the pictures that have most of the cue, and at least sixteen; all of them if nobody can say."""
    presence = cue.presence(own)
    if not bool(presence.isfinite().all()):
        return own
    count = min(len(own), max(16, len(own) // 2))
    return own.picked(presence.argsort(descending=True)[:count])


def _effect(
    subject: Subject, what: str, cue: Cue, changed: Half, with_: Half, draw: torch.Generator, sign: float
) -> Effect:  # fmt: skip
    def changes(rows: slice) -> list[Change]:
        these = torch.arange(len(changed))[rows]
        one, two = changed.picked(these), with_.picked(these)
        return cue.pasted(two, one, draw) if what == "pasting" else cue.removed(one, two, draw)

    plain = subject.answers(changed.inputs)
    parts = [_differences(subject, changes(slice(0, _FIRST)), plain[:_FIRST], sign)]
    if len(changed) > _FIRST and min(float(each[:, 2].mean()) for each in parts[0].values()) > _WORTH:
        parts.append(_differences(subject, changes(slice(_FIRST, None)), plain[_FIRST:], sign))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    other = (changed if what == "pasting" else with_).truth[: len(next(iter(whole.values())))]
    whole = {name: found[_beside_one(found[:, 0], other.numpy())] for name, found in whole.items()}
    least = min(whole, key=lambda name: float(whole[name][:, 0].mean()))
    return Effect(what, least, whole[least][:, 0], whole[least][:, 2], subject.spread, subject.seed)


def _beside_one(moved: NDArray[np.float64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pictures count [N]: not those of the one ``other`` class on which an effect is largest, where there are
    several. What one class is recognised by is, by its absence, a cue of all others, and no news."""
    classes, counts = np.unique(other, return_counts=True)
    known = [int(k) for k, count in zip(classes, counts, strict=True) if k >= 0 and count >= _OF_A_CLASS]
    if len(known) < 2:
        return np.ones(len(moved), dtype=bool)
    return np.asarray(other != max(known, key=lambda k: float(moved[other == k].mean())))


def _differences(
    subject: Subject, changes: Sequence[Change], plain: Tensor, sign: float
) -> dict[str, NDArray[np.float64]]:  # fmt: skip
    """By control, and by way of change against pictures as they are, whose answers are ``plain``, changed answers less
    the others' [N, 3]; pictures that stand in several changes are asked once."""
    answers: dict[int, Tensor] = {}
    found = {}
    for change in changes:
        for each in (change.edited, change.control):
            if id(each) not in answers:
                answers[id(each)] = subject.answers(each)
        edited = sign * answers[id(change.edited)]
        found[change.name] = (edited - sign * answers[id(change.control)]).numpy()
        found[f"the picture as it is ({change.name})"] = (edited - sign * plain).numpy()
    return found
