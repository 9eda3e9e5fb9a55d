"""Streams: takes streams over one source, runs their variants in chunks under the budget, feeds every fold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seewhy.core import asks
from seewhy.core.compile.programs import Preparer
from seewhy.core.compile.windowed_streams import follow
from seewhy.core.forward.answers import GradientKey, answer, gradients_at
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import DoesNotRun, Session
from seewhy.core.layers.editable import check_editable
from seewhy.core.memory_budget import Budget, chunks, unmetered
from seewhy.core.network.layouts import Reshape
from seewhy.core.network.places import INPUT, Place
from seewhy.core.schedule.batch_mates import look
from seewhy.core.schedule.spot_checks import StreamSpots
from seewhy.core.targets import Target

__all__ = ["Subscriber", "Tally", "all_items", "run_stream"]

#: samples on which a program is compared with the model: several, which take the way of several
_COMPARED = 2


@dataclass(frozen=True)
class Subscriber:
    """One job's interest in a stream: its wants and fold, and what they mean to the job."""

    stream: asks.Stream
    place: str
    targets: tuple[Target, ...]
    rule: str

    def key(self, want: asks.Gradient, samples: Sequence[int]) -> GradientKey:
        """Which gradient it is of these images."""
        targets = want.targets or self.targets
        return GradientKey(tuple(targets[s] for s in samples), want.rule or self.rule)


class Tally:
    """What a stream took so far: (forwards, backwards) of every image [2, batch], and the samples that checks of
    prepared programs took; also where it ended early."""

    def __init__(self, batch: int) -> None:
        self.spent = torch.zeros(2, batch, dtype=torch.long)
        self.checks = 0

    @property
    def by_image(self) -> tuple[tuple[int, int], ...]:
        """(forwards, backwards) of every image."""
        return tuple((int(forwards), int(backwards)) for forwards, backwards in self.spent.T)


def all_items(batch: int, count: int) -> Tensor:
    """Every (image, variant) pair [batch * count, 2], image by image."""
    return torch.cartesian_prod(torch.arange(batch, device="cpu"), torch.arange(count, device="cpu")).reshape(-1, 2)


def run_stream(
    session: Session,
    preparer: Preparer,
    subscribers: Sequence[Subscriber],
    *,
    budgets: Callable[[bool], Budget],
    progress: Callable[[int, int], None],
    tally: Tally,
) -> None:
    """Run the source that all ``subscribers`` share, and count in ``tally`` what that takes.

    Where maps are to be differentiable the answers carry their graphs, and then all samples are held at once.
    """
    x, keep, reshape = session.x, session.settings.differentiable, session.settings.reshape
    source = subscribers[0].stream.source
    edited = subscribers[0].place if source.edits else None
    items = subscribers[0].stream.items
    items = all_items(x.shape[0], source.count) if items is None else items
    rounds = subscribers[0].stream.rounds or (source.count,)
    demand = _demand(subscribers, edited, session.last, reshape, keep)
    if edited is not None:
        check_editable(session, edited, session.last(edited))
    following, tally.checks = follow(session, preparer, source, demand, items)

    def asked_of(samples: Tensor, indices: Tensor) -> Demand:
        if edited is None:
            return demand
        return replace(demand, edits={edited: lambda activation: source.edit(activation, samples, indices)})

    def again(samples: Tensor, indices: Tensor) -> Iterator[Forward]:
        return session.ways(source.inputs(x, samples, indices).detach(), asked_of(samples, indices))

    def read(forward: Forward, samples: Sequence[int]) -> list[list[Tensor]]:
        return _chunk_answers(forward, subscribers, samples, torch.zeros_like(tally.spent), keep=False)

    spots = None
    if not keep:
        wants = [subscriber.stream.wants for subscriber in subscribers]
        spots = StreamSpots(preparer, again, read, wants, len(items), tally)

    looked = False

    def work(samples: Tensor, indices: Tensor) -> list[list[Tensor]]:
        nonlocal following
        forward = None
        if following is not None:
            try:
                forward = following.run(samples, indices)
            except DoesNotRun as error:  # it ran for those that it was compared with
                preparer.judge(following.use, str(error))
                following = None
        if forward is None:
            variants = source.inputs(x, samples, indices)
            forward = session.run(variants if keep else variants.detach(), asked_of(samples, indices))
        tally.checks += forward.checks
        tally.spent[0] += forward.runs * torch.bincount(samples.cpu(), minlength=x.shape[0])
        answers = _chunk_answers(forward, subscribers, samples.tolist(), tally.spent, keep)
        if spots is not None:
            with unmetered():
                spots.note(forward, samples, indices, answers)
        nonlocal looked
        if not (keep or looked or forward.use is not None) and len(samples) > 1:
            looked = True
            tally.checks += look(session, "variants", forward, lambda n: again(samples[n : n + 1], indices[n : n + 1]))
        return answers

    program = None if following is not None else session.program(len(items), demand)
    budget = budgets(following is not None)
    if program is not None and not program[1]:  # both at a time
        budget.opening = _COMPARED
    total, done, first = len(items), 0, 0
    wanted = [torch.ones(x.shape[0], dtype=torch.bool) for _ in subscribers]
    for last in rounds:
        of_round = items[(items[:, 1] >= first) & (items[:, 1] < last)]
        asked = of_round[torch.stack(wanted).any(0)[of_round[:, 0]]]
        first = last
        with unmetered():
            # what is followed is followed image by image
            images = sorted(set(asked[:, 0].tolist()))
            for group in [asked] if following is None else [asked[asked[:, 0] == image] for image in images]:
                for chunk in chunks(len(group), budget, recorded=demand.gradients):
                    samples, indices = group[chunk.start : chunk.stop].unbind(1)
                    with chunk:
                        answers = work(samples, indices)
                    if not chunk.done:
                        continue
                    for subscriber, values, open_ in zip(subscribers, answers, wanted, strict=True):
                        _feed(subscriber.stream.fold, samples, indices, values, open_[samples])
                    progress(done + chunk.stop, total)
                done += len(group)
        done += len(of_round) - len(asked)
        if last != rounds[-1]:
            with unmetered():
                wanted = [
                    open_ & ~subscriber.stream.fold.settled().cpu()  # type: ignore[attr-defined]  # rounds have it
                    for subscriber, open_ in zip(subscribers, wanted, strict=True)
                ]
    if spots is not None:
        spots.settle()
    if done:
        progress(total, total)


def _feed(fold: asks.Fold, samples: Tensor, indices: Tensor, values: Sequence[Tensor], wanted: Tensor) -> None:
    """Hand a chunk to a fold, without the images that it needs no more of."""
    if bool(wanted.all()):
        fold.add(samples, indices, *values)
    elif bool(wanted.any()):
        fold.add(samples[wanted], indices[wanted], *(value[wanted.to(value.device)] for value in values))


def _demand(
    subscribers: Sequence[Subscriber],
    edited: str | None,
    find: Callable[[str], Place],
    reshape: Reshape | None,
    keep: bool,
) -> Demand:
    places: dict[str, Place] = {}
    at_input = rules = gradients = False
    for subscriber in subscribers:
        for want in subscriber.stream.wants:
            if isinstance(want, asks.Score):
                places |= {name: find(name) for target in want.targets or () for name in target.layers}
                continue
            name = want.place or subscriber.place
            if name != INPUT:
                places[name] = find(name)
            if isinstance(want, asks.Gradient):
                gradients = True
                at_input |= name == INPUT
                rules |= (want.rule or subscriber.rule) != "none"
                places |= {name: find(name) for target in want.targets or () for name in target.layers}
        for target in subscriber.targets:
            places |= {name: find(name) for name in target.layers}
    if edited is not None:
        places[edited] = find(edited)
    return Demand(places, at_input=at_input, rules=rules, gradients=gradients, attached=keep, reshape=reshape)


def _chunk_answers(
    forward: Forward, subscribers: Sequence[Subscriber], samples: Sequence[int], spent: Tensor, keep: bool
) -> list[list[Tensor]]:
    """Every subscriber's answers for one chunk; equal gradients are computed once."""
    wanted: dict[GradientKey, set[str]] = {}
    for subscriber in subscribers:
        for want in subscriber.stream.wants:
            if isinstance(want, asks.Gradient):
                key = subscriber.key(want, samples)
                wanted.setdefault(key, set()).add(want.place or subscriber.place)
    grads = {
        key: gradients_at(forward, key, sorted(places), keep=keep, last=n == len(wanted))
        for n, (key, places) in enumerate(wanted.items(), 1)
    }
    spent[1] += len(grads) * torch.bincount(torch.tensor(samples), minlength=spent.shape[1])
    answers = []
    for subscriber in subscribers:
        values = []
        for want in subscriber.stream.wants:
            if isinstance(want, asks.Gradient):
                key = subscriber.key(want, samples)
                values.append(grads[key][want.place or subscriber.place][0])
            else:
                several = want.targets if isinstance(want, asks.Score) else None
                own = asks.Score() if isinstance(want, asks.Score) else want
                targets = tuple((several or subscriber.targets)[s] for s in samples)
                values.append(answer(forward, own, subscriber.place, targets, keep=keep))
        answers.append(values)
    return answers
