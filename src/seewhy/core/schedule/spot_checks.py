"""Spot checks: takes what a prepared program gave to methods, repeats some of it on the model itself, drawn afresh;
raises where the two differ, keeps nothing.

A comparison made once, on one input, cannot see a program that goes wrong on the next: hooks with state, containers
changed in place, a batch that is split. So samples of what methods did read are drawn in every stream, and in some
calls of few samples (`Preparer.due`); with n of them, a fault that hits a share p of all samples is seen with a
probability of 1 - (1 - p)^n.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from seewhy.core import asks
from seewhy.core.compile.programs import Preparer
from seewhy.core.forward import agreement
from seewhy.core.forward.agreement import Distance, verdict
from seewhy.core.forward.answers import GradientKey, gradients_at
from seewhy.core.forward.demand import Demand, Use
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.network.outputs import Outputs
from seewhy.core.schedule.attempts import Differs
from seewhy.core.targets import Target
from seewhy.errors import TargetError

__all__ = ["CallSpot", "StreamSpots", "spot_of"]

#: samples of a call, or of every size of chunk in a stream, that are repeated
_EACH = 2

#: samples that go through the model together: as much of its graph is there at a time
_TOGETHER = 4

#: what stands for chunks of any size
_ALL = 0

#: the share of a stream's time that further ones may take
_SHARE = 0.03

#: drawn for itself: nobody's random state is touched, and no seed repeats the choice
_draw = random.Random()


def _drawn(count: int) -> list[int]:
    """A few of ``count`` samples, by number."""
    return sorted(_draw.sample(range(count), min(_EACH, count)))


@dataclass
class CallSpot:
    """Some samples (``rows``) of one forward that ``use`` answered, repeated by ``run`` on the model itself when they
    are first asked for: as they are, and then rounded in other ways."""

    preparer: Preparer
    use: Use
    rows: list[int]
    run: Callable[[list[int]], Iterator[Forward]]
    checks: int = 0
    _passes: list[Forward] = field(default_factory=list)
    _coming: Iterator[Forward] | None = None

    def _repeated(self) -> Iterator[Forward]:
        """The samples on the model, each way run once."""
        self._coming = self.run(self.rows) if self._coming is None else self._coming
        for way in itertools.count():
            if way == len(self._passes):
                forward = next(self._coming, None)
                if forward is None:
                    return
                self._passes.append(forward)
                self.checks += len(self.rows)
                self.preparer.checked += len(self.rows)
            yield self._passes[way]

    def forward(self, prepared: Forward, asked: Sequence[Sequence[Target]]) -> None:
        """Compare layers, outputs and the scores of every set of targets ``asked``; raises `Differs`."""
        passes = self._repeated()
        exact = next(passes)
        own_targets = [[targets[row] for row in self.rows] for targets in asked]
        known = _values(exact, own_targets, range(len(self.rows)))

        def distances(other: Mapping[str, Tensor]) -> dict[str, Distance]:
            return {
                name: score_distance(value, other[name], exact.outputs)
                if name.startswith("score")
                else Distance.of_values(name, value, other[name], exact.outputs)
                for name, value in known.items()
            }

        itself = (distances(_values(other, own_targets, range(len(self.rows)))) for other in passes)
        self._judge(distances(_values(prepared, asked, self.rows)), itself)

    def gradients(self, key: GradientKey, grads: Mapping[str, tuple[Tensor, bool]]) -> None:
        """Compare the gradients ``grads`` by place for ``key``; raises `Differs`."""
        own_key = GradientKey(tuple(key.targets[row] for row in self.rows), key.rule)
        gradients = (gradients_at(forward, own_key, grads, keep=False) for forward in self._repeated())
        exact, outputs = next(gradients), self._passes[0].outputs

        def distances(other: Mapping[str, Tensor]) -> dict[str, Distance]:
            return {
                place: Distance.of_gradients(agreement.gradients_at(place), exact[place][0], other[place], outputs)
                for place in grads
            }

        prepared = {place: values.detach()[self.rows] for place, (values, _) in grads.items()}
        itself = (distances({place: values for place, (values, _) in other.items()}) for other in gradients)
        self._judge(distances(prepared), itself)

    def _judge(self, distances: Mapping[str, Distance], itself: Iterator[Mapping[str, Distance]]) -> None:
        if words := verdict(distances, itself):
            self.preparer.judge(self.use, words)
            raise Differs(f"{self.use}: {words}")


def spot_of(session: Session, preparer: Preparer, demand: Demand, forward: Forward) -> CallSpot | None:
    """Some samples of ``forward``, that of the batch for ``demand``, to be repeated on the model itself; None where
    the model gave it, or it is not time."""
    x = session.x
    if forward.use is None or not preparer.due(forward.use, len(x)):
        return None
    places = {**demand.places, **{name: session.find(name) for name in forward.tape.activations}}
    again = replace(demand, places=places, survey=False)
    return CallSpot(preparer, forward.use, _drawn(len(x)), lambda rows: session.ways(x[rows], again))


def _values(forward: Forward, asked: Sequence[Sequence[Target]], rows: Sequence[int]) -> dict[str, Tensor]:
    """By name, the ``rows`` of what methods may read of a forward: layers, and the scores of every set of targets."""
    batch, kept = forward.outputs.batch, list(rows)
    layers = {name: raw for name, raw in forward.tape.activations.items() if raw.is_floating_point()}
    # windows of an image lie together
    values = {
        f"layer {name!r}": raw.detach().reshape(batch, -1)[kept]
        for name, raw in layers.items()
        if raw.ndim and raw.shape[0] % batch == 0
    }
    return values | {f"score {n}": forward.scores(targets).detach()[kept] for n, targets in enumerate(asked)}


def score_distance(exact: Tensor, other: Tensor, outputs: Outputs) -> Distance:
    """How far scores are apart, as a share of the largest of all outputs: a score near zero has their rounding."""
    try:
        both = [outputs.main, outputs.logits]
    except TargetError:
        both = []
    largest = [float(tensor.detach().abs().nan_to_num(0, 0, 0).max()) for tensor in (exact, *both) if tensor.numel()]
    return Distance.of_values("a score", exact.detach(), other.detach(), outputs, max(largest, default=0.0) or 1.0)


class _Counts(Protocol):
    checks: int


#: what every subscriber of a stream is answered, by want
Answers = Sequence[Sequence[Tensor]]


@dataclass
class StreamSpots:
    """Samples of one stream, drawn as it goes by, and repeated in the end: two of all, any of them as likely as any
    other; two more for every size of chunk, in the 1st, 2nd, 4th, 8th... stream that has chunks of it; and further ones
    up to a thirtieth of the stream's time.

    ``run`` gives the forwards of some samples on the model itself, as they are and then rounded in other ways,
    ``answer`` what the ``wants`` of its subscribers read of one.
    """

    preparer: Preparer
    run: Callable[[Tensor, Tensor], Iterator[Forward]]
    answer: Callable[[Forward, Sequence[int]], Answers]
    wants: Sequence[Sequence[Any]]
    #: in the whole stream
    samples: int
    #: where the samples repeated are counted
    tally: _Counts
    checks: int = 0
    _kept: dict[int, list[_Kept]] = field(default_factory=dict)
    _seen: dict[int, int] = field(default_factory=dict)
    _more: list[_Kept] = field(default_factory=list)
    _due: bool | None = None
    _began: float = field(default_factory=time.perf_counter)
    _spent: float = 0.0

    def note(self, forward: Forward, samples: Tensor, indices: Tensor, answers: Answers) -> None:
        """Draw from a chunk that has just been answered; raises `Differs` where one of the further ones differs."""
        if forward.use is None:
            return
        if self._due is None:
            self._due = self.preparer.due(forward.use, self.samples)
        if not self._due:
            return
        size = len(samples)
        for which in (_ALL, size):
            kept = self._kept.setdefault(which, [])
            seen = self._seen[which] = self._seen.get(which, 0) + size
            for slot in range(min(_EACH, size)):
                if len(kept) <= slot or _draw.random() * seen < size:
                    one = _Kept.of(_draw.randrange(size), forward.use, samples, indices, answers)
                    kept[slot : slot + 1] = [one]
        if self._spent + 2 * _EACH * self._price() < self._elapsed() * _SHARE:  # those in the end are waiting
            self._repeat([_Kept.of(row, forward.use, samples, indices, answers) for row in _drawn(size)])

    def settle(self) -> None:
        """Repeat what was drawn; raises `Differs`."""
        sizes = [n for n, some in self._kept.items() if n == _ALL or self.preparer.due(some[0].use, 1, size=n)]
        kept = [one for n in sizes for one in self._kept[n]]
        self._kept, self._due = {}, None
        for n in range(0, len(kept), _TOGETHER):
            self._repeat(kept[n : n + _TOGETHER])

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began - self._spent

    def _price(self) -> float:
        """What a sample takes on the model; before any was run, thrice what one takes here."""
        if self.checks:
            return self._spent / self.checks
        return 3 * self._elapsed() / max(self._seen.get(_ALL, 0), 1)

    def _repeat(self, kept: Sequence[_Kept]) -> None:
        began = time.perf_counter()
        samples, indices = (torch.stack([getattr(one, name) for one in kept]) for name in ("sample", "index"))
        rows = samples.tolist()
        passes = self._counted(self.run(samples, indices), len(kept))
        exact = next(passes)
        ours = self.answer(exact, rows)
        theirs = [
            [torch.stack(column) for column in zip(*(one.answers[n] for one in kept), strict=True)]
            for n in range(len(self.wants))
        ]
        itself = (self._distances(ours, self.answer(other, rows), exact.outputs) for other in passes)
        words = verdict(self._distances(ours, theirs, exact.outputs), itself)
        self._spent += time.perf_counter() - began
        if words:
            for use in {one.use for one in kept}:
                self.preparer.judge(use, words)
            raise Differs(f"{kept[0].use}: {words}")

    def _counted(self, passes: Iterator[Forward], samples: int) -> Iterator[Forward]:
        for forward in passes:
            self.checks += samples
            self.tally.checks += samples
            self.preparer.checked += samples
            yield forward

    def _distances(self, exact: Answers, other: Answers, outputs: Outputs) -> dict[str, Distance]:
        distances: dict[str, Distance] = {}
        for n, (wants, ours, theirs) in enumerate(zip(self.wants, exact, other, strict=True)):
            for at, (want, a, b) in enumerate(zip(wants, ours, theirs, strict=True)):
                match want:
                    case asks.Score():
                        distance = score_distance(a, b, outputs)
                    case asks.Gradient():
                        distance = Distance.of_gradients(f"gradients ({at})", a.detach(), b.detach(), outputs)
                    case _:
                        distance = Distance.of_values(type(want).__name__.lower(), a.detach(), b.detach(), outputs)
                distances[f"{n}.{at}"] = distance
        return distances


@dataclass(frozen=True, eq=False)
class _Kept:
    """One sample of a stream and what its subscribers were answered."""

    use: Use
    sample: Tensor
    index: Tensor
    answers: list[list[Tensor]]

    @classmethod
    def of(cls, row: int, use: Use, samples: Tensor, indices: Tensor, answers: Answers) -> _Kept:
        """Row ``row`` of a chunk that ``use`` answered."""
        of_row = [[values[row].detach().clone() for values in some] for some in answers]
        return cls(use, samples[row], indices[row], of_row)
