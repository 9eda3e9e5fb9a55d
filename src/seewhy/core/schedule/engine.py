"""The engine: takes methods as jobs over one batch, works out the passes they share, gives their maps and what it cost.

Every job is a generator of asks. All jobs advance together; asks that the same forward or the same backward can
answer are grouped, so twelve maps over three layers and five classes cost one forward and five backwards. Streams
over equal sources share their passes too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from seewhy.core import asks
from seewhy.core.compile.closed_form import Closed
from seewhy.core.compile.programs import Preparer
from seewhy.core.compile.windowed_streams import MOST
from seewhy.core.forward.answers import (
    GradientKey,
    answer,
    bias_maps,
    gradients_at,
    head_weights,
    hessian_product,
    proven_head,
)
from seewhy.core.forward.attention import AttentionMaps, attention_maps, lens_maps
from seewhy.core.forward.costs import Event, Spent
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.propagation import Flow, Lift, Propagation
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.layers.candidates import take
from seewhy.core.layers.choice import Chooser, check_positions, check_reached, choose, prove_places, prove_tokens
from seewhy.core.layers.stripes import Proof
from seewhy.core.memory_budget import Budget
from seewhy.core.network.axes import check_axes
from seewhy.core.network.layouts import Layout
from seewhy.core.network.outputs import Outputs
from seewhy.core.network.places import ATTENTION, AUTO, INPUT
from seewhy.core.schedule.attempts import differing
from seewhy.core.schedule.batch_mates import each_of, look
from seewhy.core.schedule.jobs import (
    UNANSWERED,
    Answer,
    Job,
    Outcome,
    Outline,
    Runner,
    attribution,
    distinct,
    salvage,
    source_key,
    steps_of,
)
from seewhy.core.schedule.needs import closed_at, shared_demand, widened
from seewhy.core.schedule.spot_checks import CallSpot, spot_of
from seewhy.core.schedule.streams import Subscriber, Tally, run_stream
from seewhy.errors import CapabilityError, UsageError

__all__ = ["Engine"]


class Engine:
    """One call for the batch of a ``session``: `open` runs the forward that everything shares, `run` takes the jobs to
    their end. To be entered as a context, which lets go of every graph in the end.

    ``lost`` is what an earlier attempt cost that has to be done again. Raises `Differs` where a prepared program was
    found to differ from the model: then all of it is to be run again without any (`attempts`).
    """

    def __init__(self, session: Session, lost: Spent | None = None) -> None:
        settings = session.settings
        self.session = session
        self.network, self.call, self.x, self.settings = session.network, session.call, session.x, settings
        check_axes(self.network, self.call, self.x)
        self.preparer = Preparer(self.network, self.call, self.x, settings.prepare, settings.doubt)
        session.programs = self.preparer
        self.chooser = Chooser(session)
        self.spent = Spent()
        if lost is not None:
            self.spent.events.append(Event(0, 0, lost.seconds, checks=lost.forwards + lost.checks))
        self.batch = self.x.shape[0]
        self.propagation = Propagation(session)
        self.budgets: dict[tuple[bool, bool], Budget] = {}
        #: samples of the shared forward that are repeated on the model itself, if any are
        self.spot: CallSpot | None = None
        #: gradients without a graph, where the shared forward has none
        self.closed: Closed | None = None
        #: the layer chosen where that was left to us
        self.auto = ""
        # seconds that a sample takes, as far as the shared forward can tell
        self.seconds_each = 0.0
        #: what pictures said of the tokens that attention reads, where a method wanted to know
        self.tokens: dict[str, Proof] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.propagation.close()
        differed = differing(error, self.settings)
        if differed is not None:
            differed.spent = differed.spent.united(self.spent)
            if differed is not error:
                raise differed from error

    def open(self, outlines: Sequence[Outline], layers: Sequence[str] = ()) -> Outputs:
        """Run the forward that everything shares; gives what the network put out, of which jobs are made (the top class
        is not known before), each one of ``outlines``. ``layers`` are captured besides, for targets that read them."""
        size = self.session.size
        names = {o.place for o in outlines} - {INPUT, AUTO} | set(layers) | {o.about for o in outlines if o.about}
        self.layers, auto = layers, next((AUTO for o in outlines if o.place == AUTO), "")
        known = self.chooser.known(size) if auto and not layers else None  # a unit inside has layers of its own
        if known is not None:
            auto = known
            names.add(known)
        places = {name: self.session.find(name) for name in sorted(names)}
        if names or auto:
            self.chooser.apply(size)  # an earlier call has looked
        required = frozenset((*layers, *([known] if known else [])))
        demand = shared_demand(self.network, outlines, places, self.settings, survey=auto == AUTO, required=required)
        self.demand, self.auto, closed = demand, auto, closed_at(self.preparer, outlines, demand)
        try:
            self.forward = self._forward(replace(demand, gradients=False) if closed else demand)
        except CapabilityError:
            if known is None:
                raise
            # chosen for an earlier input, and this one took another way through the model
            self.chooser.forget(size)
            return self.open(outlines, layers)
        self.closed = Closed(self.forward, *closed) if closed else None
        return self.forward.outputs

    def run(self, jobs: Sequence[Job]) -> Outcome:
        """Run every job to its end."""
        self._settle(jobs)
        self.session.calls |= self.forward.tape.calls
        self._spot(self.forward, jobs)
        self._look("images", self.forward, self.x)
        if samples := self._prove(jobs):
            self.spent.events.append(Event(checks=samples))
        self._read(jobs)
        opened = list(self.spent.events)
        runners = [Runner(job, self._place(job), steps_of(job)) for job in jobs]
        for runner in runners:
            method = runner.job.outline.method
            if self.settings.reshape is None and method.card.family == "cam":
                places = runner.job.parameters.get("layers") or (runner.place,)
                check_positions(method.name, places, self.forward, self.chooser)
            runner.spent.events.extend(opened)
            self._advance(runner, None)
        interrupted = False
        try:
            while any(runner.result is None for runner in runners):
                if not self._backward(runners):
                    self._stream(runners)
        except KeyboardInterrupt:
            if not salvage(runners):
                raise
            interrupted = True
        answers, recorded = [], self.forward.recorded
        for runner in runners:
            if runner.result is None:
                continue
            scores = self.forward.scores(runner.job.targets).detach()
            answers.append(
                Answer(runner.job, runner.result, runner.place, scores, runner.depends, recorded, runner.spent)
            )
        proofs = self.chooser.proofs(self.forward.size)
        grids = {a.place: proof for a in answers if (proof := proofs.get(a.place)) is not None}
        grids |= {name: proof for _, name in self.session.asked if (proof := proofs.get(name)) is not None}
        return Outcome(
            answers, self.forward.outputs, self.spent, interrupted, self.preparer.record, grids | self.tokens
        )

    def _settle(self, jobs: Sequence[Job]) -> None:
        """Have the shared forward as these jobs need it: with a graph where nothing stands for one, and with the layer
        that was left to us chosen and captured."""
        forward, demand = self.forward, self.demand
        if self.closed is not None:
            if self.closed.proven() and all(self.closed.serves(job.targets) for job in jobs):
                return
            self.closed = None
            forward = self._forward(demand)
        # a layer is chosen for what is asked about the scores, not for the mean of some other layer
        asked = list(dict.fromkeys(job.targets for job in jobs if not job.outline.about))
        if self.auto == AUTO:
            began = time.perf_counter()
            choice = choose(self.session, forward, asked, self.chooser)
            self.auto = choice.candidate.name
            if choice.general and not self.layers:  # which branch of a detector matters is each object's own
                self.chooser.remember(self.session.size, self.auto)
            self.spent.events.append(Event(seconds=time.perf_counter() - began, checks=choice.samples))
            if not take(forward, choice.candidate):  # rewritten in place later in the forward: capture it this time
                forward = self._forward(self.chooser.settled(demand, self.auto))
        if demand.graph == "lazy" and asked and not forward.scores(asked[0]).requires_grad:
            # part of the model switches gradients off for itself: record from the input on instead
            forward = self._forward(self.chooser.settled(demand, None))
        self.forward = forward

    def _place(self, job: Job) -> str:
        """Where a job's map is of, the layer that was chosen where that was left to us."""
        return self.auto if job.outline.place == AUTO else job.outline.place

    def _prove(self, jobs: Sequence[Job]) -> int:
        """Have pictures say whether the places that maps are of have the grids that they seem to have; gives the
        samples that it took."""
        places = {self._place(job) for job in jobs} - {INPUT}
        places |= {place for job in jobs for place in job.parameters.get("layers") or ()}
        shapes = {place: tuple(raw.shape) for place, raw in self.forward.tape.activations.items()}
        samples = 0
        if self.settings.reshape is None:
            samples = prove_places(self.session, self.chooser, sorted(places), shapes=shapes)
        return samples + check_reached(self.session, self.chooser, sorted(places))

    def _read(self, jobs: Sequence[Job]) -> None:
        """Have targets read the layers that they read: how is asked of pictures the first time."""
        with torch.no_grad():
            for targets in {job.targets for job in jobs if any(target.layers for target in job.targets)}:
                self.forward.scores(targets)
        if samples := sum(self.session.asked.values()):
            self.spent.events.append(Event(checks=samples))

    def _spot(self, forward: Forward, jobs: Sequence[Job]) -> None:
        """Have some samples of the shared forward repeated on the model itself, if a program gave it and it is time."""
        self.spot = spot_of(self.session, self.preparer, self.demand, forward)
        if self.spot is not None:
            self._check(partial(self.spot.forward, forward, list(dict.fromkeys(job.targets for job in jobs))))

    def _check(self, compare: Callable[[], None], *runners: Runner) -> None:
        """Compare, and log the samples that it took."""
        assert self.spot is not None
        began, before = time.perf_counter(), self.spot.checks
        try:
            compare()
        finally:
            self._log(Event(0, 0, time.perf_counter() - began, checks=self.spot.checks - before), *runners)

    def _ensure(self, ask: asks.Ask, runner: Runner) -> None:
        """Have a forward that can answer ``ask``, whether the method's card said that it would come or not."""
        if self.closed is not None and isinstance(ask, asks.Gradient | asks.HeadWeights):
            return
        known = self.demand if self.closed is None else replace(self.demand, gradients=False)
        rule = runner.job.outline.rule
        wanted = widened(known, ask, runner.place, rule, self.forward, self.session.find)
        if wanted is not known:
            self._record(wanted)

    def _record(self, demand: Demand | None = None) -> None:
        """From here on another forward; with a graph, unless it is said otherwise: something has no closed form."""
        demand = demand or replace(self.demand, gradients=True, at_input=True, rules=True)
        self.closed, self.spot, self.demand, self.forward = None, None, demand, self._forward(demand)

    def _forward(self, demand: Demand) -> Forward:
        began = time.perf_counter()
        forward = self.session.run(self.x, demand)
        seconds = time.perf_counter() - began
        self.preparer.log(seconds, self.batch)
        self.seconds_each = seconds / self.batch
        self.spent.events.append(Event(self.batch * forward.runs, 0, seconds, checks=forward.checks))
        return forward

    def _advance(self, runner: Runner, answers: Any) -> None:
        """Hand over answers until the job waits for a backward or a stream, or ends."""
        while True:
            try:
                asked = runner.steps.send(answers)
            except StopIteration as stop:
                runner.result = attribution(stop.value)
                runner.waiting, runner.answers = [], []
                if not runner.result.finished:  # interrupted while it was itself at work
                    raise KeyboardInterrupt from None
                return
            runner.single = not isinstance(asked, tuple)
            runner.waiting = [asked] if runner.single else list(asked)
            runner.answers = [self._at_once(runner, ask) for ask in runner.waiting]
            if any(a is UNANSWERED for a in runner.answers):
                return
            answers = runner.answers[0] if runner.single else tuple(runner.answers)

    def _resume(self, runner: Runner) -> None:
        if not any(a is UNANSWERED for a in runner.answers):
            self._advance(runner, runner.answers[0] if runner.single else tuple(runner.answers))

    def _at_once(self, runner: Runner, ask: asks.Ask) -> Any:
        """What needs no pass, or a pass of this job's own."""
        job, keep = runner.job, self.settings.differentiable
        self._ensure(ask, runner)
        match ask:
            case asks.Gradient() | asks.Stream():
                return UNANSWERED
            case asks.Targets():
                return job.targets
            case asks.Supplied():
                return self._supplied(runner, ask.name)
            case asks.Progress():
                self.settings.progress(job.outline.method.name, ask.step, ask.steps)
                if ask.values is not None:
                    self.settings.preview(ask.values, ask.step, ask.steps)
                return None
            case asks.HessianProduct():
                return self._own(
                    runner, 2, lambda: hessian_product(self.forward, ask.place or runner.place, job.targets, keep)
                )
            case asks.Attention(lens=True):
                return self._lens(runner)
            case asks.Attention():
                return self._own(
                    runner, 1, lambda: attention_maps(self.forward, job.targets, partial(self._tokens, runner), keep)
                )
            case asks.Relevance() | asks.Multipliers():
                return self._propagated(runner, ask)
            case asks.HeadWeights():
                if self.closed is not None:
                    weights = self.closed.weights(job.targets, linear=True)
                    if weights is not None or not ask.required:
                        return weights
                    self._record()  # to say why
                proven = proven_head(self.forward, ask, runner.place, job.targets)
                return proven and self._own(runner, 1, lambda: head_weights(self.forward, proven, job.targets, keep))
            case asks.BiasMaps():
                return self._own(runner, 1, lambda: bias_maps(self.forward, job.targets))
        return answer(self.forward, ask, runner.place, job.targets, keep)

    @staticmethod
    def _supplied(runner: Runner, name: str) -> Any:
        """What the caller prepared for the job; raises `CapabilityError` for what its formula does not take."""
        if name not in runner.job.supplies:
            raise CapabilityError(
                f"{runner.job.outline.method.name} asks for {name!r}, which its formula does not take: give it an "
                f"argument of that name (it has {', '.join(runner.job.outline.method.requires) or 'none'})"
            )
        return runner.job.supplies[name]

    def _log(self, event: Event, *runners: Runner) -> None:
        for spent in (self.spent, *(runner.spent for runner in runners)):
            spent.events.append(event)

    def _own(self, runner: Runner, backwards: int, compute: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        value = compute()
        self._log(Event(0, backwards * self.batch, time.perf_counter() - began), runner)
        return value

    def _tokens(self, runner: Runner, weights: Sequence[Tensor]) -> Layout:
        """Where the tokens that attention reads are in the picture."""
        began = time.perf_counter()
        self.tokens[ATTENTION], samples = prove_tokens(self.session, self.chooser, weights)
        if samples:
            self._log(Event(seconds=time.perf_counter() - began, checks=samples), runner)
        return self.tokens[ATTENTION].layout

    def _lens(self, runner: Runner) -> AttentionMaps:
        began = time.perf_counter()
        read, keep = partial(self._tokens, runner), self.settings.differentiable
        maps, passes = lens_maps(self.session, runner.job.targets, read, keep)
        spent = passes * self.batch
        self._log(Event(spent, spent, time.perf_counter() - began), runner)
        return maps

    def _propagated(self, runner: Runner, ask: asks.Relevance | asks.Multipliers) -> Flow | Lift:
        """One backward pass of relevance or multipliers, and the forward that all of them share."""
        job, place, began = runner.job, ask.place or runner.place, time.perf_counter()
        method, rule = job.outline.method.name, job.outline.rule
        if rule != "none":
            raise UsageError(f"{method} has rules of its own; backward_rule={rule!r} has no meaning for it")
        propagated: Flow | Lift
        if isinstance(ask, asks.Multipliers):
            baseline = self._supplied(runner, "baseline")
            propagated, event = self.propagation.multipliers(baseline, place, job.targets, method)
        else:
            propagated, event = self.propagation.flow(ask, place, ask.targets or job.targets, method)
        runner.depends &= propagated.depends
        spent = Event(0, self.batch, time.perf_counter() - began - event.seconds)
        for log in (self.spent, runner.spent):
            log.events.extend(entry for entry in (event, spent) if entry not in log.events)
        return propagated

    def _look(self, kind: str, forward: Forward, x: Tensor) -> None:
        """Look whether samples that went through the network together, ``x``, have changed each other."""
        if self.settings.differentiable:
            return
        if samples := look(self.session, kind, forward, each_of(self.session, forward, x)):
            self.spent.events.append(Event(checks=samples))

    def _pending(self, runners: Sequence[Runner], kind: type) -> list[tuple[Runner, int, Any]]:
        return [
            (runner, at, ask)
            for runner in runners
            for at, ask in enumerate(runner.waiting)
            if isinstance(ask, kind) and runner.answers[at] is UNANSWERED
        ]

    def _backward(self, runners: Sequence[Runner]) -> bool:
        """Run backward passes that are waited for, each once for all that wait for it. False if nobody does.

        Plain gradients first: whoever had one may ask for another under a rule, which then serves others, too.
        """
        groups: dict[GradientKey, list[tuple[Runner, int, str]]] = {}
        for runner, at, ask in self._pending(runners, asks.Gradient):
            key = GradientKey(ask.targets or runner.job.targets, ask.rule or runner.job.outline.rule)
            groups.setdefault(key, []).append((runner, at, ask.place or runner.place))
        now = [key for key in groups if key.rule == "none"] or list(groups)
        for number, key in enumerate(now, 1):
            waiting = groups[key]
            began, places = time.perf_counter(), {place for _, _, place in waiting}
            if self.closed is not None and not (key.rule == "none" and places == {self.closed.place}):
                self._record()
            if self.closed is not None:
                grads, backwards = {self.closed.place: self.closed.gradient(key.targets)}, 0
            else:
                last = number == len(groups) and all(runner.asked_all for runner in runners)
                grads = gradients_at(self.forward, key, places, keep=self.settings.differentiable, last=last)
                backwards = self.batch
            self._log(Event(0, backwards, time.perf_counter() - began), *distinct(waiting))
            if self.spot is not None:
                self._check(partial(self.spot.gradients, key, grads), *distinct(waiting))
            for runner, at, place in waiting:
                runner.answers[at], depends = grads[place]
                runner.depends &= depends
            del grads
            for runner in distinct(waiting):
                self._resume(runner)
        return bool(groups)

    def _budget(self, recorded: bool, followed: bool) -> Budget:
        """What the streams of one kind have learned about chunks; a prepared network has a size that suits it best."""
        kind = recorded, followed
        if kind not in self.budgets:
            self.budgets[kind] = self.settings.budget(MOST if followed else 32)
            # without gradients a prepared network divides what it is given by itself
            pieces = self.preparer.pieces(gradients=True) if recorded else None
            if pieces is not None:
                self.budgets[kind].settle(pieces.samples, pieces.each)
        return self.budgets[kind]

    def _stream(self, runners: Sequence[Runner]) -> None:
        """Run one source of variants, for all jobs that wait for it."""
        pending = self._pending(runners, asks.Stream)
        if not pending:
            raise CapabilityError("a method waits for something that no pass answers; see seewhy.core.asks")
        key = source_key(*pending[0])
        waiting = [(r, at, ask) for r, at, ask in pending if source_key(r, at, ask) == key]
        subscribers = [Subscriber(ask, r.place, r.job.targets, r.job.outline.rule) for r, _, ask in waiting]
        label = " + ".join(dict.fromkeys(r.job.outline.method.name for r, _, _ in waiting))
        recorded = any(isinstance(w, asks.Gradient) for s in subscribers for w in s.stream.wants)
        ask = pending[0][2]
        samples = self.batch * ask.source.count if ask.items is None else len(ask.items)
        self.preparer.expect(samples, self.seconds_each * (3 if recorded else 1))  # a backward takes about two forwards
        began, tally = time.perf_counter(), Tally(self.batch)
        try:
            run_stream(
                self.session,
                self.preparer,
                subscribers,
                budgets=partial(self._budget, recorded),
                progress=(lambda done, total: None)
                if ask.quiet
                else lambda done, total: self.settings.progress(label, done, total),
                tally=tally,
            )
        finally:  # what was begun has cost something, too
            forwards, backwards = (sum(column) for column in zip(*tally.by_image, strict=True))
            seconds = time.perf_counter() - began
            self._log(Event(forwards, backwards, seconds, tally.by_image, tally.checks), *distinct(waiting))
        self.preparer.log(seconds, samples)
        for runner, at, ask in waiting:
            runner.answers[at] = ask.fold.result()
        for runner in distinct(waiting):
            self._resume(runner)
