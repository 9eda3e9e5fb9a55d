"""How good a classifier is: takes true classes and probabilities, gives the confusion matrix and what follows from it;
runs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import UsageError

__all__ = ["NO_ANSWER", "Answer", "ClassScore", "Classification", "answer", "classification", "counted"]

#: the class of an image to which the model gave numbers that are none (NaN)
NO_ANSWER = -1

#: so many of the surest classes are looked among
_TOP = 5

#: bins of confidence for the calibration error (Guo et al. 2017)
_BINS = 15


@dataclass(frozen=True)
class ClassScore:
    """One class: how many images show it (``support``), how many were called it (``called``), and the shares of those
    that are right: ``recall`` and ``precision``, NaN where there are none, and ``f1``, their harmonic mean (0 where
    nothing is right)."""

    index: int
    support: int
    called: int
    right: int

    @property
    def recall(self) -> float:
        """Right of those that show it."""
        return self.right / self.support if self.support else float("nan")

    @property
    def precision(self) -> float:
        """Right of those that were called it."""
        return self.right / self.called if self.called else float("nan")

    @property
    def f1(self) -> float:
        """2 right / (support + called)."""
        both = self.support + self.called
        return 2 * self.right / both if both else float("nan")


@dataclass(frozen=True, eq=False)
class Classification:
    """Answers against truths.

    ``classes`` are the indices that occur in either, in order, `NO_ANSWER` before them where the model gave an image
    no numbers; ``confusion[i, j]`` counts the images of class ``classes[i]`` that were called ``classes[j]``. ``top5``
    is the share whose class is among the five surest, NaN where the model has no more than five; ``confidence`` the
    mean probability of the answers, ``calibration_error`` the mean gap between confidence and accuracy over 15 bins of
    equal width, weighted by their counts (Guo et al. 2017, arXiv:1706.04599, eq. 5; bins are closed above).
    """

    classes: tuple[int, ...]
    confusion: NDArray[np.int64]
    top5: float
    confidence: float
    calibration_error: float

    @property
    def count(self) -> int:
        """Images."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return float(np.trace(self.confusion) / self.count)

    @property
    def scores(self) -> tuple[ClassScore, ...]:
        """Every class of its own, in the order of ``classes``."""
        rows, columns = self.confusion.sum(1), self.confusion.sum(0)
        return tuple(
            ClassScore(index, int(rows[n]), int(columns[n]), int(self.confusion[n, n]))
            for n, index in enumerate(self.classes)
        )

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that were shown: what a rare class counts for as much as a frequent one."""
        return float(np.mean([score.recall for score in self.scores if score.support]))

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that were shown."""
        return float(np.mean([score.f1 for score in self.scores if score.support]))

    def mixed_up(self, most: int = 10) -> list[tuple[int, int, int]]:
        """The commonest mistakes as (true class, answer, count), the commonest first."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = [divmod(int(n), len(self.classes)) for n in order]
        return [(self.classes[i], self.classes[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


@dataclass(frozen=True)
class Answer:
    """What is left to know of a model's answer to one image: the class it ``said`` (`NO_ANSWER` for NaN), how ``sure``
    it was, 0 to 1 (NaN without an answer), and whether the true class is ``among`` the five surest, None where the
    model has no more than five."""

    said: int
    sure: float
    among: bool | None


def answer(truth: int, probabilities: NDArray[Any]) -> Answer:
    """The answer that ``probabilities`` [K] give to an image of class ``truth``: the largest; the first of several.

    Raises `UsageError` for a class that the model does not have.
    """
    shares = np.asarray(probabilities, dtype=np.float64)
    if not 0 <= truth < len(shares):
        raise UsageError(f"true class {truth}: the model has 0 to {len(shares) - 1}")
    many = len(shares) > _TOP
    if not np.isfinite(shares).all():
        return Answer(NO_ANSWER, float("nan"), False if many else None)
    said = int(shares.argmax())
    best = np.argsort(-shares, kind="stable")[:_TOP]
    return Answer(said, float(shares[said]), bool((best == truth).any()) if many else None)


def counted(truths: Sequence[int], answers: Sequence[Answer]) -> Classification:
    """Everything about a classifier's answers to images of the classes ``truths``. Raises `UsageError` for none."""
    if not answers or len(truths) != len(answers):
        raise UsageError(f"{len(truths)} truths and {len(answers)} answers: one of each for each image, at least one")
    true, said = np.array(truths, dtype=np.int64), np.array([each.said for each in answers], dtype=np.int64)
    classes = np.unique(np.concatenate([true, said]))
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (np.searchsorted(classes, true), np.searchsorted(classes, said)), 1)
    answered = said != NO_ANSWER
    sure = np.array([each.sure for each in answers])[answered]
    among = [each.among for each in answers]
    return Classification(
        tuple(int(index) for index in classes),
        confusion,
        float("nan") if None in among else float(np.mean([bool(one) for one in among])),
        float(sure.mean()) if len(sure) else float("nan"),
        _calibration_error(sure, (said == true)[answered]) if len(sure) else float("nan"),
    )


def classification(truths: Sequence[int], probabilities: NDArray[Any]) -> Classification:
    """Everything about answers of a classifier.

    ``truths`` [N] are class numbers, ``probabilities`` [N, K] what the model gives each class; its answer is the
    largest. A row with NaN is no answer, and wrong; confidence and calibration are those of the answers. Raises
    `UsageError` for no images, and for classes that the model does not have.

    >>> numbers = classification([0, 0, 1], np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]))
    >>> numbers.confusion.tolist(), round(numbers.accuracy, 3)
    ([[1, 1], [0, 1]], 0.667)
    """
    shares = np.asarray(probabilities)
    if shares.ndim != 2 or len(truths) != len(shares):
        raise UsageError(f"{len(truths)} truths and probabilities {shares.shape}: one class and one row for each image")
    return counted(truths, [answer(int(truth), row) for truth, row in zip(truths, shares, strict=True)])


def _calibration_error(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    # the paper's bins are open below and closed above: ((m - 1) / M, m / M]
    bins = np.maximum(np.searchsorted(np.linspace(0, 1, _BINS + 1), sure, side="left") - 1, 0)
    gaps = [abs(sure[bins == n].mean() - right[bins == n].mean()) * (bins == n).mean() for n in np.unique(bins)]
    return float(sum(gaps))
