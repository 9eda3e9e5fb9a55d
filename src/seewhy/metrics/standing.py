"""Standings: takes a number for each image and method, gives intervals of means, paired differences, and which methods
cannot be told apart; runs no model.

Images are what is drawn anew: numbers of one image are never taken for several.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import UsageError

__all__ = ["FEWEST", "holm", "interval", "letters", "needed", "sign_flips"]

#: images from which on an interval is given: of fewer, resampling tells next to nothing
FEWEST = 5
#: resamplings of an interval, and numbers that are held for them at once
_DRAWS, _AT_ONCE = 5000, 4_000_000
#: images up to which all signs are tried, and draws of signs beyond
_ALL_SIGNS, _SIGNS = 13, 10_000
#: how far sums may differ that are the same but for rounding
_ROUNDING = 1e-12


def interval(values: NDArray[np.float64], *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Between which numbers the mean of ``values`` [N] lies, an image each, with confidence ``level``: bias-corrected
    and accelerated bootstrap of 5000 resamplings from ``seed``. NaN twice for fewer than `FEWEST`; the number itself
    twice where all are equal.

    Raises `UsageError` for values that are no finite row, and a level that is no share.

    Efron 1987, Better Bootstrap Confidence Intervals, doi:10.1080/01621459.1987.10478410, eq. 2.3 and 6.6.

    >>> low, high = interval(np.array([1.0, 2, 3, 4, 5, 6, 7, 8]))
    >>> 2.5 < low < 3.5, 5.5 < high < 6.5, interval(np.array([2.0] * 5))
    (True, True, (2.0, 2.0))
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not np.isfinite(given).all():
        raise UsageError(f"an interval is one of a row of finite numbers; got shape {given.shape}")
    if not 0 < level < 1:
        raise UsageError(f"level={level!r}: a share such as 0.95")
    count = len(given)
    if count < FEWEST:
        return math.nan, math.nan
    if (given == given[0]).all():
        return float(given[0]), float(given[0])
    mean, draws, means = float(given.mean()), np.random.default_rng(seed), list[NDArray[np.float64]]()
    for some in _shares(_DRAWS, max(1, _AT_ONCE // count)):
        means.append(given[draws.integers(0, count, (some, count))].mean(1))
    drawn = np.concatenate(means)
    normal = NormalDist()
    below = float((drawn < mean).mean() + (drawn <= mean).mean()) / 2
    bias = normal.inv_cdf(min(max(below, 0.5 / _DRAWS), 1 - 0.5 / _DRAWS))
    # means without one image each: how they lean says how the spread changes with the mean
    lean = (given - mean) / (count - 1)
    acceleration = float((lean**3).sum() / (6 * (lean**2).sum() ** 1.5))
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        shifted = bias + normal.inv_cdf(tail)
        ends.append(100 * normal.cdf(bias + shifted / (1 - acceleration * shifted)))
    low, high = np.percentile(drawn, ends)
    return float(low), float(high)


def sign_flips(differences: NDArray[np.float64], *, seed: int = 0, least: int = 0) -> NDArray[np.float64]:
    """How likely it is that the mean of each column of paired ``differences`` [N, P] is as far from 0 as it is, or
    farther, if signs were tossed: two-sided p [P]. NaN of an image where a pair has no number; p is 1 of a column of
    zeros.

    All 2^N signs are tried up to 13 images; beyond, 10,000 draws from ``seed``, or ``least`` if that is more, the same
    for all columns, and p = (1 + as far) / (1 + draws).

    Fisher 1935, The Design of Experiments, section 21; Phipson & Smyth 2010, doi:10.2202/1544-6115.1585, eq. 2.

    >>> sign_flips(np.array([[1.0, 1.0], [2.0, -2.0], [4.0, 1.0]])).tolist()
    [0.25, 1.0]
    """
    given = np.nan_to_num(np.asarray(differences, dtype=np.float64), nan=0.0)
    if given.ndim != 2 or not len(given) or not np.isfinite(given).all():
        raise UsageError(f"paired differences are finite numbers [N, P], or NaN; got shape {given.shape}")
    count = len(given)
    # of equal sizes some sums are the same, and rounding is not to tell them apart
    found = np.abs(given.sum(0)) - _ROUNDING * np.abs(given).sum(0)
    if count <= _ALL_SIGNS:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=count)))
        return np.asarray((np.abs(signs @ given) >= found).mean(0))
    draws, total = max(_SIGNS, least), np.zeros(given.shape[1])
    drawn = np.random.default_rng(seed)
    for some in _shares(draws, max(1, _AT_ONCE // max(count, given.shape[1]))):
        signs = 2.0 * drawn.integers(0, 2, (some, count)) - 1
        total += (np.abs(signs @ given) >= found).sum(0)
    return np.asarray((1 + total) / (1 + draws))


def needed(comparisons: int, level: float = 0.05) -> int:
    """How many images it takes for tossed signs to tell anything apart in so many comparisons, corrected: the smallest
    p of N images is 2 of 2^N. Never fewer than `FEWEST`.

    >>> needed(1), needed(30), needed(435)
    (6, 11, 15)
    """
    return max(FEWEST, 1 + math.ceil(math.log2(max(comparisons, 1) / level)))


def _shares(total: int, most: int) -> list[int]:
    """``total`` in pieces of at most ``most``."""
    return [min(most, total - start) for start in range(0, total, most)]


def holm(chances: Sequence[float]) -> list[float]:
    """The p of several tests, corrected so that any is false with no more than the level's chance: Holm 1979, A Simple
    Sequentially Rejective Multiple Test Procedure, Scand. J. Statistics 6, p. 65.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(chances)), key=chances.__getitem__)
    corrected, highest = [0.0] * len(chances), 0.0
    for place, at in enumerate(order):
        highest = max(highest, min(1.0, (len(chances) - place) * chances[at]))
        corrected[at] = highest
    return corrected


def letters(count: int, apart: Collection[tuple[int, int]]) -> list[str]:
    """Letters for so many methods, the best first: two that share one cannot be told apart, two of ``apart`` share
    none.

    Every letter is a largest set without two that are apart, and comes in the order of its first method; after z
    come aa, ab... Piepho 2004, An Algorithm for a Letter-Based Representation, doi:10.1198/1061860043515, insert and
    absorb.

    >>> letters(3, {(0, 2)})
    ['a', 'ab', 'b']
    """
    groups: list[frozenset[int]] = [frozenset(range(count))]
    for one, other in sorted(tuple(sorted(pair)) for pair in apart):
        parted = [group for group in groups if not {one, other} <= group]
        halves = [group - {each} for group in groups if {one, other} <= group for each in (other, one)]
        for half in dict.fromkeys(halves):
            if not any(half <= group for group in (*parted, *(each for each in halves if each != half))):
                parted.append(half)
        groups = parted
    named = ["".join(letter) for size in (1, 2, 3) for letter in itertools.product(_LETTERS, repeat=size)]
    if len(groups) > len(named):
        raise UsageError(f"{len(groups)} groups of methods: compare fewer at a time")
    found: list[list[str]] = [[] for _ in range(count)]
    for name, group in zip(named, sorted(groups, key=sorted), strict=False):
        for at in group:
            found[at].append(name)
    separator = "" if len(groups) <= len(_LETTERS) else " "
    return [separator.join(each) for each in found]


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
