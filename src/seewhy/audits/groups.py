"""Subgroups: takes what a model said of pictures, their classes and groups, gives how it does on each group of each
class, the worst first; runs no model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

__all__ = ["Group", "by_group", "fisher", "wilson"]


@dataclass(frozen=True)
class Group:
    """The pictures of a class, ``index``, in a group ``name``: how many, the share called right with its 95 % interval,
    the mean ``confidence`` of the answers, and by how much that is above the share that is right (``overconfident``);
    ``behind`` is how far the share is below that of the class's other pictures, ``p`` how likely by chance (Fisher's
    exact test, two-sided); NaN where there are none."""

    index: int
    name: str
    count: int
    accuracy: float
    low: float
    high: float
    confidence: float
    overconfident: float
    behind: float
    p: float

    def told(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "class": self.index, "group": self.name, "pictures": self.count, "accuracy": self.accuracy,
            "interval": [self.low, self.high], "confidence": self.confidence, "overconfident": self.overconfident,
            "behind": self.behind, "p": self.p,
        }  # fmt: skip


def wilson(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Between which shares the true one lies, if ``hits`` of ``count`` were so. Wilson 1927,
    doi:10.1080/01621459.1927.10502953.

    >>> [round(end, 3) for end in wilson(9, 10)]
    [0.596, 0.982]
    """
    if not count:
        return math.nan, math.nan
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return middle - reach, middle + reach


def by_group(groups: Sequence[str], truths: Sequence[int], said: Sequence[int], sure: Sequence[float]) -> list[Group]:
    """Each group of each class, the lowest accuracy first; classes whose pictures are all of one group are left out."""
    cells: dict[int, dict[str, list[tuple[bool, float]]]] = {}
    for group, truth, answer, confidence in zip(groups, truths, said, sure, strict=True):
        cells.setdefault(truth, {}).setdefault(group, []).append((answer == truth, confidence))
    found = []
    for index, own in cells.items():
        if len(own) < 2:
            continue
        total = [pair for some in own.values() for pair in some]
        all_right = sum(right for right, _ in total)
        for name, some in own.items():
            right, count = sum(ok for ok, _ in some), len(some)
            rest_right, rest = all_right - right, len(total) - count
            accuracy = right / count
            low, high = wilson(right, count)
            confidence = sum(chance for _, chance in some) / count
            found.append(
                Group(
                    index, name, count, accuracy, low, high, confidence, confidence - accuracy,
                    rest_right / rest - accuracy, fisher(right, count, rest_right, rest),
                )
            )  # fmt: skip
    return sorted(found, key=lambda each: (each.accuracy, each.index, each.name))


def fisher(a: int, n: int, b: int, m: int, *, more: bool = False) -> float:
    """How likely ``a`` of ``n`` and ``b`` of ``m``, or a split as unlikely, is by chance; ``more``: as many or more of
    the first. Fisher 1935, The Design of Experiments.

    >>> round(fisher(8, 10, 1, 6), 4)
    0.035
    """
    right, total = a + b, n + m
    whole = math.comb(total, right)
    chances = {
        k: math.comb(n, k) * math.comb(m, right - k) / whole for k in range(max(0, right - m), min(n, right) + 1)
    }  # fmt: skip
    if more:
        return math.fsum(chance for k, chance in chances.items() if k >= a)
    # as unlikely but for rounding
    return min(1.0, math.fsum(chance for chance in chances.values() if chance <= chances[a] * (1 + 1e-9)))
