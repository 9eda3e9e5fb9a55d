"""Auditing: takes a model and pictures with their classes, gives cues that cause its answers, each proved by pasting
and removing it, and which of them are shortcuts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from seewhy.api.answered.predictions import predict_items
from seewhy.api.auditing.drawing import Row, chosen
from seewhy.api.auditing.from_run import run_at
from seewhy.api.auditing.outcome import Against, Answered, Example, accuracies
from seewhy.api.auditing.reading import Reader
from seewhy.api.auditing.result import Audit
from seewhy.api.given.masks import open_masks
from seewhy.api.given.photos import asked_of
from seewhy.api.given.truths import Found, Known, Seen, known_truths
from seewhy.api.waiting import watched
from seewhy.audits.auditing import again, audited
from seewhy.audits.clusters import Cluster, clusters_of
from seewhy.audits.evidence import Where, whereabouts
from seewhy.audits.groups import Group, by_group
from seewhy.audits.subject import Subject
from seewhy.audits.trials import Effect
from seewhy.audits.verdicts import Candidate, findings, power
from seewhy.core.forward.settings import Settings, when
from seewhy.core.network.borrowed import warning_once
from seewhy.errors import CapabilityError, TargetError, UsageError
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.runs.record import Record

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
    kept, and the same call goes on. ``source`` may be a finished run of the model (a `seewhy.Run` or its folder): its
    answers are taken, and its maps where it has those of ``method`` for a class.

    Raises `UsageError` and its kin for what is invalid, `TargetError` for models without a row of class scores.
    """
    if isinstance(pictures, bool) or not isinstance(pictures, int) or pictures < 1:
        raise UsageError(f"pictures={pictures!r}: how many of each class, e.g. 200")
    wrapped = taken(model)
    settings = Settings(memory=memory, prepare=when(prepare))
    objects = None if masks is None else open_masks(masks)
    before = run_at(source)
    if before is not None:
        before.check(wrapped)
        source = before.source
    told = {"columns": columns, "table": table, "images": images}
    known = known_truths(wrapped, source, truths, told, "audit", watched(progress), needed=False)
    record = None if keep is None else Record(Path(keep), asked_of(wrapped, "audit: what the model says"))
    asked = None if classes is None else [wrapped.find_label(k) if isinstance(k, str) else int(k) for k in classes]
    said = known.look(_looking(wrapped, memory), record=record) if before is None else before.said(known)
    rows = [Row(each.row, int(each.found[0]), each.truth) for each in said if each.found is not None]
    picked = chosen(rows, pictures, seed, asked)
    made = None if before is None else partial(before.maps, method=method)
    reader = Reader(wrapped, known, picked, objects, made)
    other = None if against is None else taken(against)
    looked = _Looked([*known.notes, *([before.note] if before is not None else [])], len(said) * (before is None))
    for number, index in enumerate(picked.classes):
        subject, note, took = reader.subject(index, method, seed, settings)
        looked.at(subject, note, took)
        if other is not None:
            looked.beside(reader.as_seen_by(subject, other, settings))
        looked.cluster_pictures[index] = [reader.of_cluster(index, each) for each in looked.clusters[index]]
        if known.progress is not None:
            known.progress("classes", number + 1, len(picked.classes))
    found = [each for some in looked.by_class.values() for each in some]
    told_ = findings(found)
    proved = [n for n, each in enumerate(told_) if each.proved]
    shown = {n: reader.examples(told_[n].candidate) for n in proved[:SHEETS]}
    looked.notes += [f"{name} could not be read once more, and is left out: {why}" for name, why in reader.lost.items()]
    compared = None
    if other is not None:
        compared = Against(
            other.spec or other.name,
            accuracies(known.look(_looking(other, memory))),
            {n: looked.effects[id(each.candidate)] for n, each in enumerate(told_)},
        )
    return Audit(
        model=wrapped.spec or wrapped.name,
        source=known.source.spec,
        labels=dict(enumerate(wrapped.labels or ())),
        findings=tuple(told_),
        checked={index: len(first) + len(second) for index, (first, second) in picked.classes.items()},
        power={index: power(some, max(len(found), 1)) for index, some in looked.by_class.items()},
        skipped=picked.skipped,
        settings={"pictures": pictures, "method": method, "seed": seed, "masks": None if masks is None else str(masks)},
        passes=looked.passes,
        failed=tuple(known.failed),
        notes=tuple(dict.fromkeys(note for note in looked.notes if note)),
        by_class=looked.by_class,
        examples=shown,
        accuracy=accuracies(said),
        groups=sorted((*_groups(known, said), *looked.groups), key=lambda each: (each.accuracy, each.index, each.name)),
        where=looked.where,
        clusters=looked.clusters,
        cluster_pictures=looked.cluster_pictures,
        against=compared,
    )


@dataclass
class _Looked:
    """What classes gave, one after the other."""

    notes: list[str]
    passes: int
    by_class: dict[int, list[Candidate]] = field(default_factory=dict)
    where: dict[int, Where] = field(default_factory=dict)
    clusters: dict[int, list[Cluster]] = field(default_factory=dict)
    cluster_pictures: dict[int, list[tuple[Example, ...]]] = field(default_factory=dict)
    effects: dict[int, tuple[Effect, ...]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def at(self, subject: Subject, note: str, took: int) -> None:
        """Audit a class; what its maps took, and what has to be said of them, is known."""
        index = subject.index
        self.notes.append(note)
        if (where := whereabouts(subject.own[0], subject.seed)) is not None:
            self.where[index] = where
        try:
            clusters = clusters_of(subject)
        except CapabilityError as error:  # without scikit-learn; everything else goes on
            clusters = []
            self.notes.append(str(error))
        self.clusters[index] = clusters
        self.by_class[index] = audited(subject, clusters)
        self.groups += _by_cluster(subject, clusters)
        self.passes += subject.asked[0] + took

    def beside(self, same: Subject) -> None:
        """Try the candidates of a class once more, with another model."""
        self.effects |= {id(each): tuple(again(same, each)) for each in self.by_class[same.index]}
        self.passes += same.asked[0]


def _by_cluster(subject: Subject, clusters: Sequence[Cluster]) -> list[Group]:
    """How the model does on pictures of the second half that are of each cluster of evidence."""
    own = subject.own[1]
    if not clusters or bool((own.truth < 0).any()):
        return []
    name = ["no cluster"] * len(own)
    for number, each in enumerate(clusters, 1):
        for row in each.second:
            if name[row] == "no cluster":
                name[row] = f"cluster {number} (by {each.by})"
    odds = subject.score(own.inputs).double().softmax(1).amax(1)
    return by_group(name, own.truth.tolist(), own.said.tolist(), odds.tolist())


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
