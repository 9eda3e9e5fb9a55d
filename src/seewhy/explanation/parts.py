"""Takes what a run found out, gives the small records an explanation consists of; never computes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seewhy.errors import UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CODES", "Cost", "Guess", "Prediction", "Status"]

#: every code a `Status` can have
CODES = (
    "ok",
    "no-positive-evidence",
    "no-evidence",
    "zero-gradient",
    "non-finite",
    "incomplete",
    "not-converged",
    "unfinished",
)


@dataclass(frozen=True)
class Status:
    """Whether a map can be read as an answer: a code from `CODES`, and its cause in words.

    Raises `UnknownName` for another code.

    >>> print(Status("zero-gradient", "the score does not depend on the input"))
    zero-gradient: the score does not depend on the input
    """

    code: str = "ok"
    cause: str = ""

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise UnknownName("status", self.code, CODES, "seewhy.explanation.CODES")

    @property
    def ok(self) -> bool:
        """Whether nothing is the matter."""
        return self.code == "ok"

    def __str__(self) -> str:
        return f"{self.code}: {self.cause}" if self.cause else self.code


@dataclass(frozen=True)
class Cost:
    """What was spent: samples sent forward, backward, and forward again to check a fast path; wall seconds.

    >>> Cost(forwards=1, seconds=0.5) + Cost(forwards=2, backwards=1)
    Cost(forwards=3, backwards=1, checks=0, seconds=0.5)
    """

    forwards: int = 0
    backwards: int = 0
    checks: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        if not isinstance(other, Cost):
            return NotImplemented
        return Cost(
            self.forwards + other.forwards,
            self.backwards + other.backwards,
            self.checks + other.checks,
            self.seconds + other.seconds,
        )

    @staticmethod
    def total(costs: Iterable[Cost]) -> Cost:
        """The sum of ``costs``; right only where they share no pass."""
        return sum(costs, Cost())

    def __str__(self) -> str:
        words = [f"{self.forwards} forward", f"{self.backwards} backward"]
        if self.checks:
            words.append(f"{self.checks} check" + ("" if self.checks == 1 else "s"))
        return f"{', '.join(words)}, {self.seconds:.2f} s"


@dataclass(frozen=True)
class Guess:
    """One class that the model considered: index, label, probability in [0, 1] and raw score (the logit)."""

    index: int
    label: str | None
    probability: float | None
    score: float

    def __str__(self) -> str:
        return named(self.index, self.label, self.probability)


@dataclass(frozen=True)
class Prediction:
    """What the model says about the image: its first class, and the first few with scores, best first."""

    index: int
    label: str | None
    probability: float | None
    top: tuple[Guess, ...] = ()

    def __str__(self) -> str:
        return named(self.index, self.label, self.probability)


def named(index: int, label: str | None, probability: float | None) -> str:
    """A class in words, such as ``tiger cat 0.55``."""
    name = label or f"class {index}"
    return name if probability is None else f"{name} {probability:.2f}"
