"""Which pictures of a source an audit looks at: takes what the model said of all, gives rows for each class and some of
others; reads none."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["FEWEST", "Chosen", "Row", "chosen"]

#: pictures of a class that an audit takes at least: twenty that propose and twenty that decide
FEWEST = 40
#: pictures of other classes that cues are pasted on, and taken from
OTHERS = 256


@dataclass(frozen=True)
class Row:
    """A picture by its place in the source, the class ``said`` by the model and the true one, None where nobody knows
    it."""

    row: int
    said: int
    truth: int | None

    @property
    def own(self) -> int:
        """The class that it is of, as far as anybody knows."""
        return self.said if self.truth is None else self.truth


@dataclass(frozen=True)
class Chosen:
    """Rows of each class in two halves, those of a pool of all classes, and the classes that are passed over, with the
    reason."""

    classes: Mapping[int, tuple[tuple[Row, ...], tuple[Row, ...]]]
    pool: tuple[tuple[Row, ...], tuple[Row, ...]]
    skipped: Mapping[int, str]

    def others(self, index: int) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
        """Those of the pool that are not of a class, and not taken for it."""
        first, second = (tuple(row for row in half if index not in (row.own, row.said)) for half in self.pool)
        return first, second


def chosen(rows: Sequence[Row], most: int, seed: int, classes: Sequence[int] | None = None) -> Chosen:
    """Up to ``most`` pictures of each class (or of ``classes``), and a pool of all, drawn from ``seed``."""
    by_class: dict[int, list[Row]] = {}
    for row in rows:
        by_class.setdefault(row.own, []).append(row)
    asked = sorted(by_class) if classes is None else list(classes)
    halves, skipped = {}, {}
    for index in asked:
        mine = by_class.get(index, [])
        right = sum(row.said == index for row in mine)
        if len(mine) < FEWEST:
            skipped[index] = f"{len(mine)} picture{'s' * (len(mine) > 1)}: an audit takes {FEWEST} of a class"
            continue
        chance = len(mine) * sum(row.said == index for row in rows) / len(rows)
        if right <= max(chance, FEWEST // 8):
            skipped[index] = f"the model finds {right} of its {len(mine)} pictures, no more than chance would"
            continue
        halves[index] = _halves(mine, most, f"{seed} class {index}")
    return Chosen(halves, _halves(_mixed(by_class, OTHERS, seed), OTHERS, f"{seed} pool"), skipped)


def _halves(rows: Sequence[Row], most: int, word: str) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    drawn = list(rows)
    random.Random(word).shuffle(drawn)
    drawn = drawn[:most]
    return tuple(drawn[::2]), tuple(drawn[1::2])


def _mixed(by_class: Mapping[int, Sequence[Row]], most: int, seed: int) -> list[Row]:
    """Pictures of all classes, about as many of each."""
    share = -(-most // max(len(by_class), 1))
    found = []
    for index in sorted(by_class):
        rows = list(by_class[index])
        random.Random(f"{seed} others {index}").shuffle(rows)
        found += rows[:share]
    random.Random(f"{seed} others").shuffle(found)
    return found[:most]
