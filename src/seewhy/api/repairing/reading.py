"""Training and held-out pictures of a repair: takes sources and what was proved, gives which pictures are fitted to and
which prove it, and reads them a few at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seewhy.api.auditing.drawing import FEWEST
from seewhy.api.given.again import Again, stacked
from seewhy.api.given.images import Item
from seewhy.api.given.inside import inside_of
from seewhy.api.given.masks import Masks
from seewhy.api.given.truths import Known, known_truths
from seewhy.audits.subject import Half
from seewhy.errors import ImageError, UsageError
from seewhy.models import Model

__all__ = ["Source", "chosen", "first_of", "held_out", "overlapping", "proving"]

#: of training pictures this share is held out where nobody gives others
_HELD = 0.25
#: training pictures that a fit takes in all, and of a class without a cue at least
_ALL, _LEAST = 20_000, 20


class Source:
    """Training pictures, those at ``rows`` of a source, read anew whenever they are needed."""

    def __init__(
        self, model: Model, known: Known, rows: Sequence[int], truths: Sequence[int], objects: Masks | None = None
    ) -> None:  # fmt: skip
        self.again = Again(model, known, frozenset(rows))
        self.rows, self.truth, self._objects = list(rows), torch.tensor([truths[row] for row in rows]), objects
        self._place = {row: number for number, row in enumerate(self.rows)}
        groups = [self.again.entries[row].group for row in self.rows]
        names = sorted(set(groups))
        self.kinds = torch.tensor([names.index(group) for group in groups], dtype=torch.long)

    def picked(self, numbers: Tensor) -> tuple[Half, Tensor]:
        """See `Pictures`; ``numbers`` count these rows. With masks, those whose object nobody knows are left out."""
        inputs, objects, there = list[Tensor](), list[Tensor](), list[int]()
        for row, (input, inside) in self.again.each([self.rows[n] for n in numbers.tolist()], self._made):
            if inside is None and self._objects is not None:
                continue
            inputs.append(input)
            there.append(self._place[row])
            if inside is not None:
                objects.append(inside)
        found = torch.tensor(there, dtype=torch.long)
        if not there:
            return Half(torch.zeros(0), found, found), found
        half = Half(
            stacked(inputs, "a repair exchanges places"), torch.full((len(there),), -1), self.truth[found], None,
            torch.stack(objects) if objects else None,
        )  # fmt: skip
        return half, found

    def _made(self, row: int, item: Item) -> tuple[Tensor, Tensor | None]:
        """A picture's input, and where its object is."""
        if self._objects is None:
            return item.tensor, None
        name, truth = self.again.entries[row].name, int(self.truth[self._place[row]])
        inside = inside_of(self.again.model, self._objects, item, name, truth)
        return item.tensor, None if isinstance(inside, str) else torch.from_numpy(inside["inside"])


def first_of(model: Model, known: Known, rows: Sequence[int]) -> Item:
    """The first picture that can be read. Raises `UsageError` where none can."""
    again, why = Again(model, known, frozenset(rows)), ""
    for row in rows:
        try:
            return again.item(row)
        except (ImageError, UsageError) as error:
            why = why or str(error)
    raise UsageError(f"none of the {len(rows)} training pictures can be read: {why}")


def overlapping(one: Any, other: Any) -> bool:
    """Whether two sources are one, or one lies in the other, as far as their names say."""
    if not isinstance(one, str | Path) or not isinstance(other, str | Path) or "://" in f"{one}{other}":
        return bool(isinstance(one, str) and one == other)
    first, second = (Path(each).expanduser().resolve() for each in (one, other))
    return first == second or first in second.parents or second in first.parents


def held_out(truths: Sequence[int], seed: int) -> tuple[list[int], list[int]]:
    """Rows to learn from, and a quarter of each class that no fit sees, both in order."""
    held: set[int] = set()
    for index in sorted(set(truths)):
        rows = [row for row, truth in enumerate(truths) if truth == index]
        random.Random(f"{seed} held out {index}").shuffle(rows)
        held |= set(rows[: round(_HELD * len(rows))])
    return [row for row in range(len(truths)) if row not in held], sorted(held)


def chosen(
    truths: Sequence[int], rows: Sequence[int], most: int, own: Collection[int], seed: int
) -> list[int]:  # fmt: skip
    """Of ``rows`` up to ``most`` of each class; of those that are not ``own``, which have no cue, so few that all are
    not too many."""
    by_class: dict[int, list[int]] = {}
    for row in rows:
        by_class.setdefault(truths[row], []).append(row)
    share = max(_LEAST, _ALL // max(len(by_class), 1))
    found: list[int] = []
    for index, some in sorted(by_class.items()):
        limit = most if index in own else min(most, share)
        mixed = list(some)
        random.Random(f"{seed} training {index}").shuffle(mixed)
        found += mixed[:limit]
    return sorted(found)


def proving(
    model: Model,
    held: Any,
    told: Mapping[str, Any],
    progress: Callable[[str, int, int], None],
    classes: Collection[int],
) -> tuple[Known, list[int]]:
    """Held-out pictures of a source, and the classes of which there are enough for an audit."""
    known = held if isinstance(held, Known) else known_truths(model, held, None, told, "repair", progress, needed=False)
    truths = known.truths()
    if known.told == 0:  # the audit takes what the model says
        return known, sorted(classes)
    return known, [index for index in sorted(classes) if truths.count(index) >= FEWEST]
