"""Auditing: takes a model and pictures with their classes, gives cues that cause its answers, each proved by pasting
and removing it, and which of them are shortcuts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seewhy.api.answered.predictions import predict_items
from seewhy.api.auditing.asking import evidence_of, scores_of
from seewhy.api.auditing.drawing import Chosen, Row, chosen
from seewhy.api.auditing.result import Against, Answered, Audit, Example, accuracies
from seewhy.api.given.images import Item, read_one
from seewhy.api.given.inside import inside_of
from seewhy.api.given.masks import Masks, open_masks
from seewhy.api.given.photos import asked_of
from seewhy.api.given.truths import Found, Known, Seen, known_truths
from seewhy.api.waiting import watched
from seewhy.audits.auditing import again, audited
from seewhy.audits.groups import Group, by_group
from seewhy.audits.subject import Half, Score, Subject
from seewhy.audits.trials import Effect
from seewhy.audits.verdicts import Candidate, findings, power
from seewhy.core.forward.settings import Settings, when
from seewhy.core.network.borrowed import warning_once
from seewhy.errors import ImageError, TargetError, UsageError
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.runs.record import Record
from seewhy.runs.sources import Entry

__all__ = ["audit"]

#: findings of which pictures are shown, the largest effects first
SHEETS = 60


@warning_once()
def audit(
    model: Any,
    source: Any,
    truths: Sequence[int | str] | None = None,
    *,
    masks: str | Path | None = None,
    against: Any = None,
    classes: Sequence[int | str] | None = None,
    pictures: int = 200,
    method: str = "grad-cam",
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    table: str | Path | None = None,
    images: str | Path | None = None,
    keep: str | Path | None = None,
    prepare: bool | str = "auto",
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Audit:
    """Shortcuts of a model: what, besides the object, makes it say a class; proved by intervention.

    ``model``, ``source``, ``truths``, ``columns``, ``table`` and ``images`` as for `seewhy.evaluate_model`; where
    no classes are known, those that the model says are taken. Of each class (or of ``classes``) up to ``pictures``
    are looked at: one half proposes cues (windows that, pasted on other pictures, change the answer; frames; a
    colour cast; windows of high evidence, by ``method``, which look alike; with ``masks``, backgrounds), the other
    half decides: each cue is pasted on pictures of other classes and removed from those of its class, against as
    large a change of another kind. ``masks`` as for `seewhy.evaluate`. ``against`` is another model, of the same
    classes and inputs, that is asked about the same cues on the same pictures: whether a mended one still has a
    shortcut. Everything is drawn from ``seed``. With ``keep``, a folder, what the model says of each picture is
    kept, and the same call goes on.

    Raises `UsageError` and its kin for what is invalid, `TargetError` for models without a row of class scores.
    """
    if isinstance(pictures, bool) or not isinstance(pictures, int) or pictures < 1:
        raise UsageError(f"pictures={pictures!r}: how many of each class, e.g. 200")
    wrapped = taken(model)
    settings = Settings(memory=memory, prepare=when(prepare))
    objects = None if masks is None else open_masks(masks)
    told = {"columns": columns, "table": table, "images": images}
    known = known_truths(wrapped, source, truths, told, "audit", watched(progress), needed=False)
    record = None if keep is None else Record(Path(keep), asked_of(wrapped, "audit: what the model says"))
    asked = None if classes is None else [wrapped.find_label(k) if isinstance(k, str) else int(k) for k in classes]
    said = known.look(_looking(wrapped, memory), record=record)
    rows = [Row(each.row, int(each.found[0]), each.truth) for each in said if each.found is not None]
    picked = chosen(rows, pictures, seed, asked)
    reader = _Reader(wrapped, known, picked, objects)
    other = None if against is None else taken(against)
    beside: dict[int, tuple[Effect, ...]] = {}
    found: list[Candidate] = []
    by_class: dict[int, list[Candidate]] = {}
    notes, passes = [*known.notes], len(said)
    for number, index in enumerate(picked.classes):
        subject, why = reader.subject(index, method, seed, settings)
        if why:
            notes.append(why)
        by_class[index] = audited(subject)
        if other is not None:
            same = reader.as_seen_by(subject, other, settings)
            beside |= {id(each): tuple(again(same, each)) for each in by_class[index]}
            passes += same.asked[0]
        found += by_class[index]
        passes += subject.asked[0] + len(subject.own[0])
        if known.progress is not None:
            known.progress("classes", number + 1, len(picked.classes))
    told_ = findings(found)
    shown = {n: reader.examples(each.candidate) for n, each in enumerate(told_) if each.verdict and n < SHEETS}
    notes += [f"{name} could not be read once more, and is left out: {why}" for name, why in reader.lost.items()]
    tests = max(len(found), 1)
    compared = None
    if other is not None:
        compared = Against(
            other.spec or other.name,
            accuracies(known.look(_looking(other, memory))),
            {n: beside[id(each.candidate)] for n, each in enumerate(told_)},
        )
    return Audit(
        wrapped.spec or wrapped.name,
        dict(enumerate(wrapped.labels or ())),
        tuple(told_),
        {index: len(first) + len(second) for index, (first, second) in picked.classes.items()},
        {index: power(some, tests) for index, some in by_class.items()},
        picked.skipped,
        {"pictures": pictures, "method": method, "seed": seed, "masks": masks is not None},
        passes,
        tuple(known.failed),
        tuple(dict.fromkeys(notes)),
        by_class,
        shown,
        accuracies(said),
        _groups(known, said),
        compared,
    )


def _looking(model: Model, memory: int | None) -> Callable[[list[Seen]], list[Answered]]:
    """What a model says of pictures and how sure it is, None where its numbers are none."""

    def look(seen: list[Seen]) -> list[Answered]:
        scored = predict_items(model, [each.item for each in seen], memory=memory)
        if any(one.prediction is None or one.probabilities is None for one in scored):
            raise TargetError("the model's output is no row of class scores: audits are of classes")
        return [[one.index, float(one.probabilities[one.index])] if one.answered else None for one in scored]  # type: ignore[index]

    return look


def _groups(known: Known, said: Sequence[Found[Answered]]) -> tuple[Group, ...]:
    """How the model does on each group of each class, where the source has groups and classes."""
    names = {number: entry.group for number, entry in enumerate(known.source.entries()) if entry.group}
    rows = [
        (names[each.row], each.truth, each.found)
        for each in said
        if each.row in names and each.truth is not None and each.found is not None
    ]
    if not rows:
        return ()
    groups, truths, answers = zip(*rows, strict=True)
    return tuple(by_group(groups, truths, [a[0] for a in answers], [a[1] for a in answers]))


@dataclass
class _Reader:
    """Reads chosen pictures, once more."""

    model: Model
    known: Known
    chosen: Chosen
    objects: Masks | None

    def __post_init__(self) -> None:
        picked = self.chosen
        wanted = {row.row for halves in (*picked.classes.values(), picked.pool) for half in halves for row in half}
        self._entries: dict[int, Entry] = {
            number: entry for number, entry in enumerate(self.known.source.entries()) if number in wanted
        }
        self._pool: dict[int, Item] = {}
        self._shown: dict[int, list[Row]] = {}
        #: pictures that could not be read once more, and why
        self.lost: dict[str, str] = {}

    def _item(self, row: Row, *, kept: bool) -> Item:
        if row.row in self._pool:
            return self._pool[row.row]
        entry = self._entries[row.row]
        item = read_one(self.model, self.known.source.read(entry), entry.name)
        if kept:
            self._pool[row.row] = item
        return item

    def _half(self, rows: Sequence[Row], *, kept: bool) -> tuple[Half, list[Item], list[Row]]:
        items, there, seen = list[Item](), list[Row](), set[int]()
        for row in rows:
            try:
                item = self._item(row, kept=kept)
            except (ImageError, UsageError) as error:  # it was read before: a file that has gone since
                self.lost[self._entries[row.row].name] = str(error)
                continue
            stamp = item.tensor.numpy().tobytes()
            if hash(stamp) in seen:  # copies of one picture are one
                continue
            seen.add(hash(stamp))
            items.append(item)
            there.append(row)
        sizes = {tuple(item.tensor.shape) for item in items}
        if len(sizes) > 1:
            raise UsageError(f"inputs of {len(sizes)} sizes: an audit exchanges places, which takes inputs of one size")
        half = Half(
            torch.stack([item.tensor for item in items]).float(),
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
            inside = inside_of(self.model, self.objects, item, self._entries[row.row].name, row.own)
            if isinstance(inside, str):
                return None
            found.append(torch.from_numpy(inside["inside"]))
        return torch.stack(found)

    def subject(self, index: int, method: str, seed: int, settings: Settings) -> tuple[Subject, str]:
        """A class with its pictures and maps, and why there are no maps, if there are none."""
        first, second = (self._half(rows, kept=False) for rows in self.chosen.classes[index])
        others, more = (self._half(rows, kept=True)[0] for rows in self.chosen.others(index))
        mine, items, _ = first
        self._any = items[0]
        self._shown[index] = second[2]
        evidence, why = evidence_of(self.model, items, index, method, settings)
        own = Half(mine.inputs, mine.said, mine.truth, evidence, mine.objects)
        score: Score = scores_of(self.model, items[0], settings)
        return Subject(index, (own, second[0]), (others, more), score, seed), why

    def as_seen_by(self, subject: Subject, other: Model, settings: Settings) -> Subject:
        """The same pictures for another model."""
        score = scores_of(other, self._any, settings)

        def half(seen: Half) -> Half:
            said = score(seen.inputs).argmax(1)
            return Half(seen.inputs, said, seen.truth, seen.evidence, seen.objects)

        own, others = ((half(a), half(b)) for a, b in (subject.own, subject.others))
        return Subject(subject.index, own, others, score, subject.seed)

    def examples(self, candidate: Candidate) -> tuple[Example, ...]:
        """Pictures that show a cue."""
        found = []
        for number, box in candidate.examples:
            row = self._shown[candidate.index][number]
            item = self._item(row, kept=False)
            pixels = item.view if item.view is not None else _pixels(item.tensor)
            found.append(Example(self._entries[row.row].name, pixels, box))
        return tuple(found)


def _pixels(inputs: Tensor) -> NDArray[np.uint8]:
    """An input as a picture: its first three channels, or the first, from their darkest to their brightest value."""
    some = inputs[:3] if len(inputs) >= 3 else inputs[:1].expand(3, -1, -1)
    low, high = some.min(), some.max()
    scaled: NDArray[np.uint8] = ((some - low) / (high - low).clamp(min=1e-12) * 255).byte().movedim(0, -1).numpy()
    return scaled
