"""Jobs and answers: takes methods, places and targets as plain values, gives what the engine is asked and answers;
runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from seewhy.core import asks
from seewhy.core.grids import Proof
from seewhy.core.layouts import Reshape
from seewhy.core.outputs import Forward
from seewhy.core.targets import Target
from seewhy.registry import Method

__all__ = ["Answer", "Event", "Job", "Outcome", "Outline", "Settings", "Spent"]


@dataclass(frozen=True)
class Outline:
    """A job as far as it is known before the forward: what to compute, where, under which rule.

    ``about`` is a layer whose mean is the target, whatever else is asked for; an ``optional`` one may be a layer that
    never runs, and then has no job.
    """

    method: Method
    place: str
    rule: str = "none"
    about: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Job:
    """One map of every image in the batch: an outline, a target per image, the formula's parameters, and what
    `asks.Supplied` names."""

    outline: Outline
    targets: tuple[Target, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    supplies: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Event:
    """One forward, backward or stream: passes counted in samples that went through the network, and seconds.

    ``each`` says how many forwards and backwards every image took, where they do not share alike; ``checks`` counts
    samples that went through the eager network besides, for comparison.
    """

    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0
    each: tuple[tuple[int, int], ...] = ()
    checks: int = 0

    def of(self, image: int, batch: int) -> tuple[float, float]:
        """What one image of ``batch`` took: (forwards, backwards)."""
        return self.each[image] if self.each else (self.forwards / batch, self.backwards / batch)


@dataclass
class Spent:
    """A log of events. What several jobs share is one event in each one's log, so logs can be united without counting
    twice."""

    events: list[Event] = field(default_factory=list)

    @property
    def forwards(self) -> int:
        """Samples sent forward."""
        return sum(event.forwards for event in self.events)

    @property
    def backwards(self) -> int:
        """Samples differentiated."""
        return sum(event.backwards for event in self.events)

    @property
    def checks(self) -> int:
        """Samples sent through the eager network to compare a prepared one with it."""
        return sum(event.checks for event in self.events)

    @property
    def seconds(self) -> float:
        """Wall time."""
        return sum(event.seconds for event in self.events)

    def of(self, image: int, batch: int) -> tuple[int, int]:
        """What one image of ``batch`` took: (forwards, backwards)."""
        pairs = [event.of(image, batch) for event in self.events]
        return round(sum(forwards for forwards, _ in pairs)), round(sum(backwards for _, backwards in pairs))

    def united(self, *others: Spent) -> Spent:
        """This log and the others, every event once."""
        return Spent(list(dict.fromkeys(event for log in (self, *others) for event in log.events)))


@dataclass(frozen=True)
class Answer:
    """A finished job: its attribution [B, ...], the place it was computed at, whether the score depended on that
    place."""

    job: Job
    attribution: asks.Attribution
    place: str
    scores: Tensor
    depends: bool
    recorded: bool
    spent: Spent


@dataclass(frozen=True)
class Outcome:
    """A batch that is done: the answers in the order of the jobs, the forward, and the passes in all.

    ``interrupted`` runs hold only the answers of jobs that were done or could stop early; ``prepared`` says in words
    what prepared programs did; ``grids`` what pictures said of the places.
    """

    answers: list[Answer]
    forward: Forward
    spent: Spent
    interrupted: bool = False
    prepared: Mapping[str, Any] = field(default_factory=dict)
    grids: Mapping[str, Proof] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """How to run, as opposed to what: nothing here changes a value beyond float tolerance, except ``reshape``."""

    reshape: Reshape | None = None
    differentiable: bool = False
    memory: int | None = None
    prepare: bool | str = "auto"
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    preview: Callable[[Tensor, int, int], None] = lambda values, step, steps: None
    #: why no program is to be used, whatever ``prepare`` says; '' where none is doubted
    doubt: str = ""
