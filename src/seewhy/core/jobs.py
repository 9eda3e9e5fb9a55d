"""Jobs and answers: takes methods, places and targets as plain values, gives what the engine is asked and answers;
runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from seewhy.core import asks
from seewhy.core.layouts import Reshape
from seewhy.core.outputs import Forward
from seewhy.core.targets import Target
from seewhy.registry import Method

__all__ = ["Answer", "Job", "Outcome", "Outline", "Settings", "Spent"]


@dataclass(frozen=True)
class Outline:
    """A job as far as it is known before the forward: what to compute, where, under which rule."""

    method: Method
    place: str
    rule: str = "none"


@dataclass(frozen=True)
class Job:
    """One map of every image in the batch: an outline, a target per image, and the formula's parameters."""

    outline: Outline
    targets: tuple[Target, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    baseline: Tensor | None = None


@dataclass
class Spent:
    """Passes, counted in samples that went through the network, and seconds."""

    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0

    def add(self, forwards: int = 0, backwards: int = 0, seconds: float = 0.0) -> None:
        """Count more."""
        self.forwards += forwards
        self.backwards += backwards
        self.seconds += seconds


@dataclass(frozen=True)
class Answer:
    """A finished job: its attribution [B, ...], the place it was computed at, whether the score depended on that
    place."""

    job: Job
    attribution: asks.Attribution
    place: str
    scores: Tensor
    depends: bool
    spent: Spent


@dataclass(frozen=True)
class Outcome:
    """A batch that is done: the answers in the order of the jobs, the forward, and the passes in all."""

    answers: list[Answer]
    forward: Forward
    spent: Spent


@dataclass(frozen=True)
class Settings:
    """How to run, as opposed to what: nothing here changes a value beyond float tolerance, except ``reshape``."""

    reshape: Reshape | None = None
    differentiable: bool = False
    memory: int | None = None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
