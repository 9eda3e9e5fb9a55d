"""Pictures of an audit: takes a source and which rows of it were chosen, gives each class's subject, with the maps of
its pictures, and pictures that show a cue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seewhy.api.auditing.asking import ClassMaps, evidence_of, scores_of, taken_from
from seewhy.api.auditing.drawing import Chosen, Row
from seewhy.api.auditing.outcome import Example
from seewhy.api.given.again import Again, stacked
from seewhy.api.given.images import Item
from seewhy.api.given.inside import inside_of
from seewhy.api.given.masks import Masks
from seewhy.api.given.truths import Known
from seewhy.audits.clusters import Cluster
from seewhy.audits.cue import Box
from seewhy.audits.subject import Half, Score, Subject
from seewhy.audits.verdicts import EXAMPLES, Candidate
from seewhy.core.forward.settings import Settings
from seewhy.errors import ImageError, UsageError
from seewhy.explanation import Explanation
from seewhy.models import Model

__all__ = ["Reader"]

#: explanations of rows for a class, where somebody has them already
Made = Callable[[Sequence[Row], int], Sequence[Explanation] | None]


@dataclass
class Reader:
    """Reads chosen pictures, once more."""

    model: Model
    known: Known
    chosen: Chosen
    objects: Masks | None
    made: Made | None = None

    def __post_init__(self) -> None:
        picked = self.chosen
        wanted = {row.row for halves in (*picked.classes.values(), picked.pool) for half in halves for row in half}
        self._again = Again(self.model, self.known, wanted)
        self._pool: dict[int, Item] = {}
        self._shown: dict[int, tuple[list[Row], list[Row]]] = {}

    @property
    def lost(self) -> dict[str, str]:
        """Pictures that could not be read once more, and why."""
        return self._again.lost

    def _why(self) -> str:
        return next(iter(self.lost.values()), "there are none")

    def _name(self, row: Row) -> str:
        return self._again.entries[row.row].name

    def _item(self, row: Row, *, kept: bool) -> Item:
        if row.row in self._pool:
            return self._pool[row.row]
        item = self._again.item(row.row)
        if kept:
            self._pool[row.row] = item
        return item

    def _half(self, rows: Sequence[Row], *, kept: bool) -> tuple[Half, list[Item], list[Row]]:
        items, there, seen = list[Item](), list[Row](), set[int]()
        for row in rows:
            try:
                item = self._item(row, kept=kept)
            except (ImageError, UsageError) as error:  # it was read before: a file that has gone since
                self.lost[self._name(row)] = str(error)
                continue
            stamp = item.tensor.numpy().tobytes()
            if hash(stamp) in seen:  # copies of one picture are one
                continue
            seen.add(hash(stamp))
            items.append(item)
            there.append(row)
        if not items:
            raise UsageError(f"none of {len(rows)} pictures that were chosen can be read once more: {self._why()}")
        half = Half(
            stacked([item.tensor for item in items], "an audit exchanges places"),
            torch.tensor([row.said for row in there]),
            torch.tensor([-1 if row.truth is None else row.truth for row in there]),
            None,
            self._objects(there, items),
        )
        return half, items, there

    def _objects(self, rows: Sequence[Row], items: Sequence[Item]) -> Tensor | None:
        """Where objects are in each, if that is known of all of them."""
        if self.objects is None:
            return None
        found = []
        for row, item in zip(rows, items, strict=True):
            inside = inside_of(self.model, self.objects, item, self._name(row), row.own)
            if isinstance(inside, str):
                return None
            found.append(torch.from_numpy(inside["inside"]))
        return torch.stack(found)

    def subject(self, index: int, method: str, seed: int, settings: Settings) -> tuple[Subject, str, int]:
        """A class with its pictures, maps and traits; what has to be said of these, and the passes they took."""
        halves = [self._half(rows, kept=False) for rows in self.chosen.classes[index]]
        others, more = (self._half(rows, kept=True)[0] for rows in self.chosen.others(index))
        self._any = halves[0][1][0]
        self._shown[index] = (halves[0][2], halves[1][2])
        seen = [self._evidence(items, rows, index, method, settings) for _, items, rows in halves]
        own, also = (
            replace(half, evidence=each.maps, traits=each.traits)
            for (half, _, _), each in zip(halves, seen, strict=True)
        )
        score: Score = scores_of(self.model, self._any, settings)
        return Subject(index, (own, also), (others, more), score, seed), seen[0].note, sum(one.passes for one in seen)

    def _evidence(
        self, items: Sequence[Item], rows: Sequence[Row], index: int, method: str, settings: Settings
    ) -> ClassMaps:  # fmt: skip
        made = None if self.made is None else self.made(rows, index)
        if made is not None:
            return taken_from(self.model, items, made, settings)
        return evidence_of(self.model, items, index, method, settings)

    def as_seen_by(self, subject: Subject, other: Model, settings: Settings) -> Subject:
        """The same pictures for another model."""
        score = scores_of(other, self._any, settings)

        def half(seen: Half) -> Half:
            said = score(seen.inputs).argmax(1)
            return replace(seen, said=said)

        own, others = ((half(a), half(b)) for a, b in (subject.own, subject.others))
        return Subject(subject.index, own, others, score, subject.seed)

    def examples(self, candidate: Candidate) -> tuple[Example, ...]:
        """Pictures that show a cue."""
        rows = self._shown[candidate.index][1]
        return tuple(self._example(rows[number], box) for number, box in candidate.examples)

    def of_cluster(self, index: int, cluster: Cluster) -> tuple[Example, ...]:
        """Pictures in the middle of a cluster of evidence, with their windows of highest evidence."""
        rows = self._shown[index][0]
        some = list(zip(cluster.rows, cluster.boxes, strict=True))[:EXAMPLES]
        return tuple(self._example(rows[number], box) for number, box in some)

    def _example(self, row: Row, box: Box | None) -> Example:
        item = self._item(row, kept=False)
        pixels = item.view if item.view is not None else _pixels(item.tensor)
        return Example(self._name(row), pixels, box)


def _pixels(inputs: Tensor) -> NDArray[np.uint8]:
    """An input as a picture: its first three channels, or the first, from their darkest to their brightest value."""
    some = inputs[:3] if len(inputs) >= 3 else inputs[:1].expand(3, -1, -1)
    low, high = some.min(), some.max()
    scaled: NDArray[np.uint8] = ((some - low) / (high - low).clamp(min=1e-12) * 255).byte().movedim(0, -1).numpy()
    return scaled
