"""Jobs: takes methods, places and targets as plain values, gives what the engine is asked and answers, and what each
job under way waits for; runs no pass."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import isgeneratorfunction
from typing import Any

from torch import Tensor

from seewhy.core import asks
from seewhy.core.asks import Stream
from seewhy.core.compile.checksums import Contents
from seewhy.core.forward.costs import Spent
from seewhy.core.layers.verdicts import Proof
from seewhy.core.network.outputs import Outputs
from seewhy.core.perturb.folds import Gather
from seewhy.core.perturb.sources import StraightPath
from seewhy.core.targets import Target
from seewhy.registry import ARGUMENTS, Method, Need

__all__ = [
    "UNANSWERED",
    "Answer",
    "Job",
    "Outcome",
    "Outline",
    "Runner",
    "Running",
    "attribution",
    "distinct",
    "salvage",
    "source_key",
    "steps_of",
]


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
    what prepared programs did, ``contents`` are those of the model's tensors that these depend on; ``grids`` what
    pictures said of the places.
    """

    answers: list[Answer]
    outputs: Outputs
    spent: Spent
    interrupted: bool = False
    prepared: Mapping[str, Any] = field(default_factory=dict)
    grids: Mapping[str, Proof] = field(default_factory=dict)
    contents: Contents | None = None


Running = Generator[Any, Any, Any]


@dataclass
class Runner:
    """A job under way: its generator, what it waits for, and what it has cost."""

    job: Job
    place: str
    steps: Running
    waiting: list[Any] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    single: bool = True
    depends: bool = True
    spent: Spent = field(default_factory=Spent)
    result: asks.Attribution | None = None

    @property
    def asked_all(self) -> bool:
        """Whether nothing more will be asked for: a plain formula asks once, for its arguments."""
        return self.result is not None or not isgeneratorfunction(self.job.outline.method.formula)


#: what stands where an answer takes a pass
UNANSWERED = object()


def _asked_by(argument: str) -> asks.Ask:
    """The ask that an argument of a formula stands for."""
    if ARGUMENTS[argument].supplied:
        return asks.Supplied(argument)
    ask: asks.Ask = getattr(asks, argument.capitalize())()
    return ask


def steps_of(job: Job) -> Running:
    """The job's formula as a generator, whether it was written as one or not."""
    method = job.outline.method
    given = []
    if method.requires:
        given = list((yield tuple(_asked_by(name) for name in method.requires)))
    result = method.formula(*given, **job.parameters)
    if isinstance(result, Generator):
        result = yield from result
    attributed = attribution(result)
    differentiates = method.card.call == "explain" and method.card.needs & _DIFFERENTIATE
    if attributed.finished and differentiates and not _shows_something(attributed.values).all():
        attributed = yield from _looked_into(attributed)
    return attributed


#: needs of methods whose map is made of derivatives; a zero of any other was measured with scores
_DIFFERENTIATE = frozenset({Need.GRADIENT, Need.INPUT_GRADIENT, Need.RELEVANCE, Need.RULE, Need.ATTENTION})


def _shows_something(values: Tensor) -> Tensor:
    """Which images' values are not 0 everywhere, [B]."""
    return values.detach().flatten(1).bool().any(1)


def _looked_into(attributed: asks.Attribution) -> Running:
    """An attribution with maps that are 0 everywhere, and whether the score changes with the place all the same: one
    plain gradient more, since such a map cannot say what its formula, or its rule, has cut off."""
    batch = len(attributed.values)
    wants = asks.Gradient(rule="none"), asks.Activation()
    try:
        slopes, held = yield Stream(StraightPath(1, (1.0,)), wants, Gather(batch, 1), quiet=True)
    except asks.Interrupted:
        words = "interrupted while it was asked why the map is 0 everywhere"
        return replace(attributed, finished=False, notes=(words,) * batch)
    return replace(attributed, moves=_shows_something(slopes), holds=_shows_something(held))


def salvage(runners: Sequence[Runner]) -> bool:
    """Let jobs that can stop early return what they have. False if there is nothing to return."""
    for runner in runners:
        if runner.result is not None:
            continue
        try:
            runner.steps.throw(asks.Interrupted())
        except StopIteration as stop:
            runner.result = attribution(stop.value)
        except asks.Interrupted:  # it cannot stop early
            continue
    return any(runner.result is not None for runner in runners)


def attribution(value: Any) -> asks.Attribution:
    """What a formula returned, as an attribution: most return their values alone."""
    return value if isinstance(value, asks.Attribution) else asks.Attribution(value)


def distinct(waiting: Sequence[tuple[Runner, int, Any]]) -> list[Runner]:
    """Those who wait, each once."""
    return list({id(runner): runner for runner, _, _ in waiting}.values())


def source_key(runner: Runner, at: int, ask: asks.Stream) -> Hashable:
    """What makes two streams one: the same variants of the same images, of the same layer where one is looked
    through."""
    items = None if ask.items is None else ask.items.numpy().tobytes()
    place = runner.place if ask.source.local else None
    return ask.source.key, place, items, ask.rounds
