"""Evaluation: takes a model and photos with their classes, gives how often it is right, and where not; explains
nothing."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seewhy.api.answered.predictions import Scored, predict_items
from seewhy.api.given.photos import asked_of
from seewhy.api.given.training_logs import training_curves
from seewhy.api.given.truths import Seen, known_truths
from seewhy.api.waiting import watched
from seewhy.errors import CapabilityError, TargetError
from seewhy.explanation import Curves
from seewhy.explanation.plain import plain
from seewhy.html import pairs, picture, table
from seewhy.metrics import NO_ANSWER, Answer, Classification, answer, counted
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.render import SUFFIXES, check, embedded, side_by_side, write, write_bytes
from seewhy.render.plots import matrix, matrix_side
from seewhy.runs.record import Record

__all__ = ["Evaluation", "Mistake", "evaluate_model"]


@dataclass(frozen=True)
class Mistake:
    """A photo that was called something else: its name, its class, the answer (-1: the model gave numbers that are
    none), and how sure it was."""

    name: str
    truth: int
    said: int
    probability: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model on photos of known classes: ``numbers`` (the confusion matrix and all that follows from it), every
    mistake, the surest first, the photos that could not be read, the training's ``curves``, if a log was given, and
    ``notes`` on what the source left out."""

    numbers: Classification
    mistakes: tuple[Mistake, ...]
    labels: tuple[str, ...]
    model: str
    failed: tuple[str, ...] = ()
    curves: Curves | None = None
    notes: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return self.numbers.accuracy

    def label(self, index: int) -> str:
        """What class ``index`` is called."""
        return self.labels[self.numbers.classes.index(index)]

    def figure(self) -> Any:
        """The confusion matrix, and the training's curves beside it, as a PIL image; raises `CapabilityError` without
        matplotlib."""
        title = f"{self.model}: {self.accuracy:.1%} of {self.numbers.count} right"
        drawn = matrix(self.numbers.confusion, self.labels, title=title)
        if self.curves is None:
            return drawn
        beside = self.curves.beside(matrix_side(self.labels))
        return Image.fromarray(side_by_side(np.asarray(drawn), np.asarray(beside), gap=16))

    def table(self) -> list[dict[str, Any]]:
        """A row for each class: class, label, support, precision, recall, f1."""
        return [
            {
                "class": score.index, "label": self.label(score.index), "support": score.support,
                "precision": score.precision, "recall": score.recall, "f1": score.f1,
            }
            for score in self.numbers.scores
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain, strictly valid JSON."""
        mean = ("count", "accuracy", "balanced_accuracy", "macro_f1", "top5", "confidence", "calibration_error")
        numbers = {name: getattr(self.numbers, name) for name in mean}
        confused = [{"truth": self.label(t), "said": self.label(s), "count": n} for t, s, n in self.numbers.mixed_up()]
        mistakes = [
            {"image": m.name, "truth": self.label(m.truth), "said": self.label(m.said), "probability": m.probability}
            for m in self.mistakes
        ]
        summary: dict[str, Any] = plain(
            {"model": self.model, **numbers, "classes": self.table(), "mixed_up": confused, "mistakes": mistakes}
        )
        rest = {"confusion": self.numbers.confusion.tolist(), "failed": list(self.failed)}
        rest["notes"] = list(self.notes)
        return summary | rest | ({} if self.curves is None else {"curves": self.curves.to_dict()})

    def _repr_html_(self) -> str:
        numbers = self.numbers
        known = [
            ("model", self.model), ("photos", numbers.count), ("right", f"{numbers.accuracy:.1%}"),
            ("top 5", f"{numbers.top5:.1%}"), ("balanced", f"{numbers.balanced_accuracy:.1%}"),
            ("macro F1", f"{numbers.macro_f1:.3f}"), ("calibration error", f"{numbers.calibration_error:.1%}"),
            ("could not be read", len(self.failed) or None),
        ]  # fmt: skip
        try:
            shown = picture(*embedded(self.figure()), "confusion matrix")
        except CapabilityError as error:
            shown = f"<p>{error}</p>"
        rows = self.table()
        return f"<div>{shown}{pairs(known)}{table(list(rows[0]), (row.values() for row in rows))}</div>"

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """The file written: ``.csv`` the table of classes, ``.png``, ``.jpg`` the confusion matrix.

        Raises `UsageError` for another suffix, and for a file that exists unless ``force``.
        """
        kinds = tuple(suffix for suffix in SUFFIXES if suffix != ".svg")
        path = check(path, (*kinds, ".csv"), force=force)
        if path.suffix.lower() != ".csv":
            return write(self.figure(), path, force=force)
        text = io.StringIO()
        rows = self.table()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        return write_bytes(text.getvalue().encode(), path, force=force)


def evaluate_model(
    model: Any,
    source: Any,
    truths: Sequence[int | str] | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    table: str | Path | None = None,
    images: str | Path | None = None,
    curves: str | Path | Curves | None = None,
    keep: str | Path | None = None,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """How often a model is right on photos of known classes: confusion matrix, and numbers for every class.

    ``model`` as for `seewhy.explain`. ``source`` is any that `seewhy.run` takes and that says classes, told more of by
    ``columns``, ``table`` and ``images`` as there (docs/sources.md): a folder, whose sub-folders name the classes or
    which has a table ``labels.csv``, a CSV or Parquet table, shards...; or any images that `seewhy.explain` takes, with
    ``truths`` [N], class numbers or labels. Photos that cannot be read are left out and named; those to which the model
    answers NaN are wrong, and called "no answer". ``curves``, a training's log (see `seewhy.training_curves`), is drawn
    beside the matrix.

    Photos are read while others are answered, and only numbers are held. With ``keep``, a folder, answers are kept in
    it as they come: after an interruption (it ends when those under way are kept), or whatever else ended it, the same
    call goes on where it was. A call that has come to its end is made anew by the next.

    Raises `UsageError` for photos without a class, `TargetError` for models without a row of class scores,
    `StoreError` where answers cannot be kept.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> seewhy.evaluate_model(net, torch.rand(6, 3, 4, 4), [0, 1, 0, 1, 0, 1]).numbers.count
    6
    """
    log = training_curves(curves) if isinstance(curves, str | Path) else curves
    wrapped = taken(model)
    told = {"columns": columns, "table": table, "images": images}
    known = known_truths(wrapped, source, truths, told, "evaluate_model", watched(progress))

    def look(seen: list[Seen]) -> list[dict[str, Any]]:
        scored = predict_items(wrapped, [each.item for each in seen], memory=memory)
        return [_told(each.truth, one) for each, one in zip(seen, scored, strict=True)]

    found = known.look(look, record=None if keep is None else Record(Path(keep), asked_of(wrapped, "evaluate-model")))
    true = [each.truth for each in found if each.truth is not None]
    answers = [_answer(each.found) for each in found]
    numbers = counted(true, answers)
    mistakes = [
        Mistake(each.name, truth, answer.said, answer.sure)
        for each, truth, answer in zip(found, true, answers, strict=True)
        if truth != answer.said
    ]
    mistakes.sort(key=lambda mistake: -math.inf if math.isnan(mistake.probability) else -mistake.probability)
    called = tuple(_called(wrapped, index) for index in numbers.classes)
    return Evaluation(
        numbers, tuple(mistakes), called, wrapped.spec or wrapped.name, tuple(known.failed), log, known.notes
    )


def _told(truth: int | None, scored: Scored) -> dict[str, Any]:
    """An answer as JSON holds it, which has no NaN."""
    if scored.probabilities is None:
        raise TargetError("the model's output is no row of class scores, so nothing can be right or wrong")
    assert truth is not None  # every photo has one, or there is nothing to count
    one = answer(truth, scored.probabilities.double().numpy())
    return {"said": one.said, "sure": None if math.isnan(one.sure) else one.sure, "among": one.among}


def _answer(told: Mapping[str, Any]) -> Answer:
    return Answer(told["said"], math.nan if told["sure"] is None else told["sure"], told["among"])


def _called(model: Model, index: int) -> str:
    return "no answer" if index == NO_ANSWER else model.label(index) or f"class {index}"
