"""Asking a unit: takes a model and a request, gives what makes an input of a picture and what explains a unit's inputs;
writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seewhy.api.answered.predictions import predict_items
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.explaining import explained
from seewhy.api.given.images import Item, read_lean
from seewhy.api.planned import batches
from seewhy.core.compile.choices import choices_of, take_over
from seewhy.core.layers.choice import forget
from seewhy.errors import UnknownName, UsageError
from seewhy.explanation import Explanation
from seewhy.models import Model, Photo, Preprocess
from seewhy.runs.reading import Opened
from seewhy.runs.results import EntryDone, Result
from seewhy.runs.sources import Entry, Source

__all__ = ["TRUTH", "Asker"]

#: the word for each picture's own class
TRUTH = "truth"


class Asker:
    """What is asked of every picture of a run, checked against the model; read from several threads."""

    def __init__(self, model: Model, request: Request) -> None:
        self.model = model
        self._truth = request.target == TRUTH
        #: with a class in the place of each picture's own, which is not known before it is read
        self.plan = Plan.make(model, replace(request, target=0) if self._truth else request)
        #: whether large JPEGs are decoded at a fraction of their size
        self.draft = False
        self._classes: dict[str, int | None] = {}

    @property
    def one_size(self) -> bool:
        """Whether all pictures go in at one size."""
        ours = self.model.preprocess
        return isinstance(ours, Preprocess) and ours.size is not None

    def read(self, entry: Entry, raw: bytes | Path | Photo) -> Item:
        """The input of one picture, without what only drawings need. Raises `ImageError`, `UsageError`."""
        return read_lean(self.model, raw, entry.name, coarse=self.draft)

    def explain(self, opened: Sequence[Opened]) -> list[EntryDone]:
        """What is found of each input."""
        if not self.one_size:  # each size is looked at by its first picture: of this unit, whoever does it
            forget(self.plan.network)
        truths = [self._class_of(each.entry) for each in opened]
        known = [n for n, truth in enumerate(truths) if truth is not None or not self._truth]
        wanted = self.plan.wanted.of_each(len(known))
        if self._truth:
            wanted = wanted.of_classes([truth for truth in truths if truth is not None])
        plan = replace(self.plan, wanted=wanted)
        # a name of its own, by which each one's explanations are found among all
        items = [replace(opened[n].input, name=str(opened[n].row)) for n in known]
        found: dict[str, list[Explanation]] = {}
        for each in explained(plan, items) if items else ():
            found.setdefault(each.name, []).append(each)
        return [
            EntryDone(
                each.row,
                each.entry,
                each.digest,
                [_result(explanation) for explanation in found.get(str(each.row), ())],
                "" if n in known else self._no_class(each.entry),
                {"truth": truth},
            )
            for n, (each, truth) in enumerate(zip(opened, truths, strict=True))
        ]

    def run_by(self, **settings: Any) -> None:
        """Ask by these `Settings` from now on: ``prepare=``, or how many images go ``together=``."""
        self.plan = replace(self.plan, settings=replace(self.plan.settings, **settings))

    def try_draft(self, opened: Sequence[Opened], source: Source) -> float:
        """Decode large JPEGs at a fraction of their size from now on, if that changes none of the top classes of those
        among ``opened``; gives how far it moves their inputs, as a share of their own spread. It stays as it is for a
        network without classes, and where none of the pictures is large."""
        self.draft = True
        again = [self.read(each.entry, source.read(each.entry)) for each in opened]
        moved = [_moved(each.input, other) for each, other in zip(opened, again, strict=True)]
        fine = self._answers([each.input for each in opened])
        self.draft = max(moved, default=0.0) > 0 and None not in fine and fine == self._answers(again)
        return max(moved, default=0.0)

    def _answers(self, items: Sequence[Item]) -> list[int | None]:
        """The top class of each, None where the network has none."""
        return [None if each.prediction is None else each.prediction.index for each in predict_items(self.model, items)]

    def room(self, opened: Sequence[Opened], most: int) -> int:
        """How many images like these fit into memory together, up to ``most``: measured, of a question that was asked
        before."""
        if self.plan.request.noise is not None or len(opened) < 2:  # many copies of each go together already
            return 1
        settings = replace(self.plan.settings, together=None)
        plan = replace(self.plan, settings=settings, wanted=self.plan.wanted.of_each(len(opened)))
        found = batches(plan, [each.input for each in opened], lambda batch: None)
        return min([most, *(done.room for done, _ in found if done.room is not None)])

    def _class_of(self, entry: Entry) -> int | None:
        """The class that an entry is said to be of, where it is one that the model has."""
        if len(entry.labels) != 1:
            return None
        (label,) = entry.labels
        if label not in self._classes:
            try:
                self._classes[label] = self.model.find_label(label)
            except (UnknownName, UsageError):
                self._classes[label] = None
        return self._classes[label]

    def _no_class(self, entry: Entry) -> str:
        said = f"is called {', '.join(map(repr, entry.labels))}" if entry.labels else "has no class"
        return f"target=truth: {entry.name!r} {said}, which is no one class of {self.model.name}"

    def choices(self, item: Item) -> dict[str, Any]:
        """What was measured of programs for inputs like ``item``."""
        return choices_of(self.plan.network, self.plan.network.like(item.tensor))

    def take_over(self, item: Item, choices: dict[str, Any]) -> None:
        """Have what was measured elsewhere hold here."""
        take_over(self.plan.network, self.plan.network.like(item.tensor), choices)


def _moved(one: Item, other: Item) -> float:
    """The root mean square of the difference of two inputs, as a share of the first one's standard deviation."""
    if one.tensor.shape != other.tensor.shape:
        return float("inf")
    return float((one.tensor - other.tensor).square().mean().sqrt() / one.tensor.std().clamp(min=1e-12))


def _result(explanation: Explanation) -> Result:
    """A map, and what the index says of it."""
    guess, status = explanation.prediction, explanation.status
    return Result(
        explanation.values,
        {
            "method": explanation.method,
            "layer": explanation.layer,
            "target": explanation.target,
            "target_index": explanation.target_index,
            "prediction": None if guess is None else guess.index,
            "prediction_label": None if guess is None else guess.label,
            "probability": None if guess is None else guess.probability,
            "score": explanation.score,
            "unit": explanation.unit,
            "map_unit": explanation.map_unit,
            "status": status.code,
            "reason": status.cause or None,
            "notes": list(explanation.notes),
            "forwards": explanation.cost.forwards,
            "backwards": explanation.cost.backwards,
            "size": list(explanation.size),
            "channels": explanation.channels,
            "trust": None if explanation.trust is None else explanation.trust.level,
            "trust_says": None if explanation.trust is None else explanation.trust.sentence,
        },
    )
