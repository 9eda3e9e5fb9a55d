"""The forward that the jobs of a call share: takes a session and what jobs are made of, gives one forward for all of
them, with the layer that was left to us chosen and its grid proved; gives another one where a formula asks for more
than its card has said."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from seewhy.core import asks
from seewhy.core.compile.closed_form import Closed
from seewhy.core.compile.programs import Preparer
from seewhy.core.forward.costs import Event, Spent
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.layers.candidates import take
from seewhy.core.layers.choice import Chooser, check_reached, choose, prove_places
from seewhy.core.network.one_by_one import one_by_one
from seewhy.core.network.outputs import Outputs
from seewhy.core.network.places import AUTO, INPUT, elements
from seewhy.core.schedule.attempts import Apart
from seewhy.core.schedule.batch_mates import each_of, look
from seewhy.core.schedule.jobs import Job, Outline, Runner
from seewhy.core.schedule.needs import closed_at, shared_demand, widened
from seewhy.core.schedule.spot_checks import CallSpot, spot_of
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError

__all__ = ["SharedForward"]


class SharedForward:
    """The forward of a ``session`` that is shared, and what was found of it; what it costs goes into ``spent``.

    ``forward`` is the one that answers now, run for ``demand``; ``closed`` gives gradients without a graph, where it
    has none; ``spot`` are samples of it that are repeated on the model itself, if any are; ``auto`` is the layer that
    was chosen where that was left to us; ``seconds_each`` is about what a sample takes.
    """

    forward: Forward
    demand: Demand

    def __init__(self, session: Session, preparer: Preparer, chooser: Chooser, spent: Spent) -> None:
        self._session, self._preparer, self._chooser, self._spent = session, preparer, chooser, spent
        self._layers: Sequence[str] = ()
        self.closed: Closed | None = None
        self.spot: CallSpot | None = None
        self.auto = ""
        self.seconds_each = 0.0

    def open(self, outlines: Sequence[Outline], layers: Sequence[str]) -> Outputs:
        """Run it for jobs of ``outlines``, with ``layers`` captured besides; gives what the network put out."""
        session, chooser, size = self._session, self._chooser, self._session.size
        names = {o.place for o in outlines} - {INPUT, AUTO} | set(layers) | {o.about for o in outlines if o.about}
        self._layers, auto = layers, next((AUTO for o in outlines if o.place == AUTO), "")
        known = chooser.known(size) if auto and not layers else None  # a unit inside has layers of its own
        if known is not None:
            auto = known
            names.add(known)
        places = {name: session.find(name) for name in sorted(names)}
        if names or auto:
            chooser.apply(size)  # an earlier call has looked
        required = frozenset((*layers, *([known] if known else [])))
        survey = auto == AUTO
        demand = shared_demand(session.network, outlines, places, session.settings, survey=survey, required=required)
        self.demand, self.auto, closed = demand, auto, closed_at(self._preparer, outlines, demand)
        try:
            self.forward = self._run(replace(demand, gradients=False) if closed else demand)
        except CapabilityError:
            if known is None:
                raise
            # chosen for an earlier input, and this one took another way through the model
            chooser.forget(size)
            return self.open(outlines, layers)
        self.closed = Closed(self.forward, *closed) if closed else None
        return self.forward.outputs

    def settle(self, jobs: Sequence[Job]) -> None:
        """Have it as ``jobs`` need it, and have looked at everything that their answers rest on: whether it is the
        model's, whether its samples kept apart, whether its layers are read as they have to be."""
        self._complete(jobs)
        self._session.calls |= self.forward.tape.calls
        self.spot = spot_of(self._session, self._preparer, self.demand, self.forward)
        if self.spot is not None:
            asked = list(dict.fromkeys(job.targets for job in jobs))
            self.check(partial(self.spot.forward, self.forward, asked))
        self._look_at_mates()
        if samples := self._prove(jobs):
            self._spent.events.append(Event(checks=samples))
        session = self._session
        if len(session.x) > 1 and not session.settings.alone and (why := one_by_one(session.network)):
            raise Apart(why)  # as came out when its layers were looked at
        self._read(jobs)

    def place_of(self, job: Job) -> str:
        """Where a job's map is of, the layer that was chosen where that was left to us."""
        return self.auto if job.outline.place == AUTO else job.outline.place

    def serve(self, ask: asks.Ask, runner: Runner) -> None:
        """Have a forward that can answer ``ask``, whether the method's card said that it would come or not."""
        if self.closed is not None and isinstance(ask, asks.Gradient | asks.HeadWeights):
            return
        known = self.demand if self.closed is None else replace(self.demand, gradients=False)
        rule = runner.job.outline.rule
        wanted = widened(known, ask, runner.place, rule, self.forward, self._session.find)
        if wanted is not known:
            self.record(wanted)

    def record(self, demand: Demand | None = None) -> None:
        """From here on another forward; with a graph, unless it is said otherwise: something has no closed form."""
        demand = demand or replace(self.demand, gradients=True, at_input=True, rules=True)
        self.closed, self.spot, self.demand, self.forward = None, None, demand, self._run(demand)

    def check(self, compare: Callable[[], None], *logs: Spent) -> None:
        """Compare with the model itself, and note in ``logs``, too, what that took."""
        assert self.spot is not None
        began, before = time.perf_counter(), self.spot.checks
        try:
            compare()
        finally:
            event = Event(0, 0, time.perf_counter() - began, checks=self.spot.checks - before)
            for spent in (self._spent, *logs):
                spent.events.append(event)

    def _complete(self, jobs: Sequence[Job]) -> None:
        """With a graph where nothing stands for one, and with the layer that was left to us chosen and captured."""
        forward, demand, chooser = self.forward, self.demand, self._chooser
        if self.closed is not None:
            if self.closed.proven() and all(self.closed.serves(job.targets) for job in jobs):
                return
            self.closed = None
            forward = self._run(demand)
        # a layer is chosen for what is asked about the scores, not for the mean of some other layer
        asked = list(dict.fromkeys(job.targets for job in jobs if not job.outline.about))
        if self.auto == AUTO:
            began = time.perf_counter()
            choice = choose(self._session, forward, asked, chooser)
            self.auto = choice.candidate.name
            # which branch of a detector matters is each object's own, and so are the tokens that features are read from
            if choice.general and not self._layers and _alike(forward.outputs, asked):
                chooser.remember(self._session.size, self.auto)
            self._spent.events.append(Event(seconds=time.perf_counter() - began, checks=choice.samples))
            if not take(forward, choice.candidate):  # rewritten in place later in the forward: capture it this time
                forward = self._run(chooser.settled(demand, self.auto))
        if demand.graph == "lazy" and asked and not forward.scores(asked[0]).requires_grad:
            # part of the model switches gradients off for itself: record from the input on instead
            forward = self._run(chooser.settled(demand, None))
        self.forward = forward

    def _look_at_mates(self) -> None:
        """Look whether the images of the batch, which went through the network together, have changed each other."""
        session = self._session
        if session.settings.differentiable:
            return
        if samples := look(session, "images", self.forward, each_of(session, self.forward, session.x)):
            self._spent.events.append(Event(checks=samples))

    def _prove(self, jobs: Sequence[Job]) -> int:
        """Have pictures say whether the places that maps are of have the grids that they seem to have; gives the
        samples that it took."""
        places = {self.place_of(job) for job in jobs} - {INPUT}
        places |= {place for job in jobs for place in job.parameters.get("layers") or ()}
        shapes = {place: tuple(raw.shape) for place, raw in self.forward.tape.activations.items()}
        samples = 0
        if self._session.settings.reshape is None:
            samples = prove_places(self._session, self._chooser, sorted(places), shapes=shapes)
        return samples + check_reached(self._session, self._chooser, sorted(places))

    def _read(self, jobs: Sequence[Job]) -> None:
        """Have targets read the layers that they read: how is asked of pictures the first time."""
        with torch.no_grad():
            for targets in {job.targets for job in jobs if any(target.layers for target in job.targets)}:
                self.forward.scores(targets)
        if samples := sum(self._session.asked.values()):
            self._spent.events.append(Event(checks=samples))

    def _run(self, demand: Demand) -> Forward:
        began, batch = time.perf_counter(), len(self._session.x)
        forward = self._session.run(self._session.x, demand)
        seconds = time.perf_counter() - began
        self._preparer.log(seconds, batch)
        self.seconds_each = seconds / batch
        self._spent.events.append(Event(batch * forward.runs, 0, seconds, checks=forward.checks))
        return forward


def _alike(outputs: Outputs, asked: Sequence[Sequence[Target]]) -> bool:
    """Whether all targets of this network read the tensor that those ``asked`` for do: the only one, or the scores."""
    free = any(target.free for targets in asked for target in targets)
    return not free or len(elements(outputs.raw)) < 2
