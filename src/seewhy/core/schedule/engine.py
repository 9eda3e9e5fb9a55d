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
from typing import Any

from torch import Tensor

from seewhy.core import asks
from seewhy.core.compile.closed import Closed
from seewhy.core.compile.following import MOST
from seewhy.core.compile.programs import Preparer
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
from seewhy.core.forward.request import Request
from seewhy.core.forward.result import Pass
from seewhy.core.forward.running import run_forward
from seewhy.core.layers.choice import Chooser, check_positions, choose, last_call, prove_jobs
from seewhy.core.memory import Budget
from seewhy.core.network.axes import check_axes
from seewhy.core.network.borrowed import Network
from seewhy.core.network.outputs import Forward
from seewhy.core.network.places import AUTO, INPUT
from seewhy.core.relevance.propagation import Flow, Lift, Propagation
from seewhy.core.schedule.jobs import (
    UNANSWERED,
    Answer,
    Job,
    Outcome,
    Outline,
    Runner,
    Settings,
    attribution,
    distinct,
    salvage,
    source_key,
    steps_of,
)
from seewhy.core.schedule.needs import closed_at, shared_request
from seewhy.core.schedule.spot_checks import CallSpot, Differs, spot_of
from seewhy.core.schedule.streams import Subscriber, Tally, run_stream
from seewhy.errors import CapabilityError

__all__ = ["run_jobs"]


def run_jobs(
    network: Network,
    x: Tensor,
    outlines: Sequence[Outline],
    plan: Callable[[Forward], Sequence[Job]],
    settings: Settings | None = None,
    layers: Sequence[str] = (),
    lost: Spent | None = None,
) -> Outcome:
    """Explain the batch ``x`` [B, C, *size].

    ``plan`` makes the jobs once the scores are known (the top class is not known before); each must be one of
    ``outlines``, which say what the forward has to capture. ``layers`` are captured besides, for targets that
    read them. ``lost`` is what an earlier run cost that has to be done again.

    Raises `Differs` where a prepared program was found to differ from the model: `run_surely` runs everything again.
    """
    settings = settings or Settings()
    with network.borrowed() as call:
        x = x.clone() if x.is_inference() else x
        check_axes(network, call, x)
        network.preparer = Preparer(network, call, x, settings.prepare, settings.doubt)
        run = _Run(network, call, x, settings, network.preparer)
        if lost is not None:
            run.spent.events.append(Event(0, 0, lost.seconds, checks=lost.forwards + lost.checks))
        try:
            return run.all(outlines, plan, layers)
        except Differs as found:
            found.spent = found.spent.united(run.spent)
            raise
        finally:
            run.propagation.close()
            network.preparer = None


class _Run:
    """One call of the engine."""

    def __init__(
        self, network: Network, call: Callable[[Tensor], Any], x: Tensor, settings: Settings, preparer: Preparer
    ) -> None:
        self.network, self.call, self.x, self.settings, self.preparer = network, call, x, settings, preparer
        self.chooser = Chooser(network)
        self.spent = Spent()
        self.batch = x.shape[0]
        # the last call of every layer, by number, once the shared forward has counted them; what is given away to be
        # called holds these two and not the run: a cycle would keep its graph until the garbage collector comes by
        self.calls: dict[str, int] = {}
        self.find = partial(last_call, self.chooser, self.calls)
        self.propagation = Propagation(network, call, x, self.settings, self.find)
        self.budgets: dict[tuple[bool, bool], Budget] = {}
        #: samples of the shared forward that are repeated on the model itself, if any are
        self.spot: CallSpot | None = None
        #: gradients without a graph, where the shared forward has none
        self.closed: Closed | None = None
        # seconds that a sample takes, as far as the shared forward can tell
        self.each = 0.0

    def all(
        self, outlines: Sequence[Outline], plan: Callable[[Forward], Sequence[Job]], layers: Sequence[str]
    ) -> Outcome:
        """Run the shared forward, then every job to its end."""
        made, jobs, auto = self._open(outlines, plan, layers)
        self.calls |= made.tape.calls
        self._spot(made, jobs)
        self.made = made
        if self.settings.reshape is None and (
            samples := prove_jobs(self.network, self.call, self.x, self.chooser, made, jobs, auto)
        ):
            self.spent.events.append(Event(checks=samples))
        opened = list(self.spent.events)
        runners = [Runner(job, auto if job.outline.place == AUTO else job.outline.place, steps_of(job)) for job in jobs]
        for runner in runners:
            if self.settings.reshape is None:
                check_positions(runner, made, self.chooser)
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
        answers, recorded = [], made.recorded
        for runner in runners:
            if runner.result is None:
                continue
            scores = made.scores(runner.job.targets).detach()
            answers.append(
                Answer(runner.job, runner.result, runner.place, scores, runner.depends, recorded, runner.spent)
            )
        proofs = self.chooser.proofs(made.size)
        grids = {each.place: proof for each in answers if (proof := proofs.get(each.place)) is not None}
        return Outcome(answers, made.forward, self.spent, interrupted, self.preparer.record, grids)

    def _open(
        self, outlines: Sequence[Outline], plan: Callable[[Forward], Sequence[Job]], layers: Sequence[str]
    ) -> tuple[Pass, Sequence[Job], str]:
        """The forward that everything shares; with the layer chosen where that was left to us."""
        size = tuple(self.x.shape[2:])
        names = {o.place for o in outlines} - {INPUT, AUTO} | set(layers) | {o.about for o in outlines if o.about}
        auto = next((AUTO for o in outlines if o.place == AUTO), "")
        known = self.chooser.known(size) if auto and not layers else None  # a unit inside has layers of its own
        if known is not None:
            auto = known
            names.add(known)
        places = {name: self.chooser.find(name) for name in sorted(names)}
        required = frozenset((*layers, *([known] if known else [])))
        request = shared_request(self.network, outlines, places, self.settings, survey=auto == AUTO, required=required)
        self.request, closed = request, closed_at(self.preparer, outlines, request)
        try:
            made = self._forward(replace(request, gradients=False) if closed else request)
        except CapabilityError:
            if known is None:
                raise
            # chosen for an earlier input, and this one took another way through the model
            self.chooser.forget(size)
            return self._open(outlines, plan, layers)
        jobs = plan(made.forward)
        if closed is not None:
            self.closed = Closed(made, *closed)
            if self.closed.proven() and all(self.closed.serves(job.targets) for job in jobs):
                return made, jobs, auto
            self.closed = None
            made = self._forward(request)
            jobs = plan(made.forward)
        # a layer is chosen for what is asked about the scores, not for the mean of some other layer
        asked = list(dict.fromkeys(job.targets for job in jobs if not job.outline.about))
        targets = asked[0] if asked else None
        if auto == AUTO:
            began = time.perf_counter()
            choice = choose(self.network, self.call, self.x, made, asked, self.chooser)
            auto = choice.candidate.name
            if choice.general and not layers:  # which branch of a detector matters is each object's own
                self.chooser.remember(size, auto)
            self.spent.events.append(Event(seconds=time.perf_counter() - began, checks=choice.samples))
            if not made.take(choice.candidate):  # rewritten in place later in the forward: capture it this time
                made = self._forward(self.chooser.settled(request, auto))
                jobs = plan(made.forward)
        if request.graph == "lazy" and targets is not None and not made.scores(targets).requires_grad:
            # part of the model switches gradients off for itself: record from the input on instead
            made = self._forward(self.chooser.settled(request, None))
            jobs = plan(made.forward)
        return made, jobs, auto

    def _spot(self, made: Pass, jobs: Sequence[Job]) -> None:
        """Have some samples of the shared forward repeated on the model itself, if a program gave it and it is time."""
        self.spot = spot_of(self.network, self.call, self.x, self.request, made, self.chooser)
        if self.spot is not None:
            self._check(partial(self.spot.forward, made, list(dict.fromkeys(job.targets for job in jobs))))

    def _check(self, compare: Callable[[], None], *runners: Runner) -> None:
        """Compare, and log the samples that it took."""
        assert self.spot is not None
        began, before = time.perf_counter(), self.spot.checks
        try:
            compare()
        finally:
            self._log(Event(0, 0, time.perf_counter() - began, checks=self.spot.checks - before), *runners)

    def _record(self) -> None:
        """From here on with a graph: something is asked that has no closed form."""
        request = replace(self.request, gradients=True, at_input=True, rules=True)
        self.closed, self.spot, self.request, self.made = None, None, request, self._forward(request)

    def _forward(self, request: Request) -> Pass:
        began = time.perf_counter()
        made = run_forward(self.network, self.call, self.x, request)
        seconds = time.perf_counter() - began
        self.preparer.log(seconds, self.batch)
        self.each = seconds / self.batch
        self.spent.events.append(Event(self.batch * made.runs, 0, seconds, checks=made.checks))
        return made

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
        match ask:
            case asks.Gradient() | asks.Stream():
                return UNANSWERED
            case asks.Targets():
                return job.targets
            case asks.Supplied():
                return job.supplies[ask.name]
            case asks.Progress():
                self.settings.progress(job.outline.method.name, ask.step, ask.steps)
                if ask.values is not None:
                    self.settings.preview(ask.values, ask.step, ask.steps)
                return None
            case asks.HessianProduct():
                return self._own(
                    runner, 2, lambda: hessian_product(self.made, ask.place or runner.place, job.targets, keep)
                )
            case asks.Attention(lens=True):
                return self._lens(runner)
            case asks.Attention():
                return self._own(runner, 1, lambda: attention_maps(self.made, job.targets, keep))
            case asks.Relevance() | asks.Multipliers():
                return self._propagated(runner, ask)
            case asks.HeadWeights():
                if self.closed is not None:
                    weights = self.closed.weights(job.targets, linear=True)
                    if weights is not None or not ask.required:
                        return weights
                    self._record()  # to say why
                proven = proven_head(self.made, ask, runner.place, job.targets)
                return proven and self._own(runner, 1, lambda: head_weights(self.made, proven, job.targets, keep))
            case asks.BiasMaps():
                return self._own(runner, 1, lambda: bias_maps(self.made, job.targets))
        return answer(self.made, ask, runner.place, job.targets, keep)

    def _log(self, event: Event, *runners: Runner) -> None:
        for spent in (self.spent, *(runner.spent for runner in runners)):
            spent.events.append(event)

    def _own(self, runner: Runner, backwards: int, compute: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        value = compute()
        self._log(Event(0, backwards * self.batch, time.perf_counter() - began), runner)
        return value

    def _lens(self, runner: Runner) -> AttentionMaps:
        began = time.perf_counter()
        maps, passes = lens_maps(
            self.network, self.call, self.x, runner.job.targets, self.chooser, self.settings.differentiable
        )
        spent = passes * self.batch
        self._log(Event(spent, spent, time.perf_counter() - began), runner)
        return maps

    def _propagated(self, runner: Runner, ask: asks.Relevance | asks.Multipliers) -> Flow | Lift:
        """One backward pass of relevance or multipliers, and the forward that all of them share."""
        began, job = time.perf_counter(), runner.job
        found, forward = self.propagation.answer(ask, ask.place or runner.place, job)
        runner.depends &= found.depends
        spent = Event(0, self.batch, time.perf_counter() - began - forward.seconds)
        for log in (self.spent, runner.spent):
            log.events.extend(event for event in (forward, spent) if event not in log.events)
        return found

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
            mine = groups[key]
            began, places = time.perf_counter(), {place for _, _, place in mine}
            if self.closed is not None and not (key.rule == "none" and places == {self.closed.place}):
                self._record()
            if self.closed is not None:
                found, backwards = {self.closed.place: self.closed.gradient(key.targets)}, 0
            else:
                last = number == len(groups) and all(runner.asked_all for runner in runners)
                found = gradients_at(self.made, key, places, keep=self.settings.differentiable, last=last)
                backwards = self.batch
            self._log(Event(0, backwards, time.perf_counter() - began), *distinct(mine))
            if self.spot is not None:
                self._check(partial(self.spot.gradients, key, found), *distinct(mine))
            for runner, at, place in mine:
                runner.answers[at], depends = found[place]
                runner.depends &= depends
            del found
            for runner in distinct(mine):
                self._resume(runner)
        return bool(groups)

    def _budget(self, recorded: bool, followed: bool) -> Budget:
        """What the streams of one kind have learned about chunks; a prepared network has a size that suits it best."""
        kind = recorded, followed
        if kind not in self.budgets:
            self.budgets[kind] = Budget(self.settings.memory, most=MOST if followed else 32)
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
        mine = [(r, at, ask) for r, at, ask in pending if source_key(r, at, ask) == key]
        subscribers = [Subscriber(ask, r.place, r.job.targets, r.job.outline.rule) for r, _, ask in mine]
        label = " + ".join(dict.fromkeys(r.job.outline.method.name for r, _, _ in mine))
        recorded = any(isinstance(w, asks.Gradient) for s in subscribers for w in s.stream.wants)
        ask = pending[0][2]
        samples = self.batch * ask.source.count if ask.items is None else len(ask.items)
        self.preparer.expect(samples, self.each * (3 if recorded else 1))  # a backward takes about two forwards
        began, tally = time.perf_counter(), Tally(self.batch)
        try:
            run_stream(
                self.network,
                self.call,
                self.x,
                subscribers,
                self.find,
                budgets=partial(self._budget, recorded),
                reshape=self.settings.reshape,
                keep=self.settings.differentiable,
                progress=(lambda done, total: None)
                if ask.quiet
                else lambda done, total: self.settings.progress(label, done, total),
                tally=tally,
            )
        finally:  # what was begun has cost something, too
            forwards, backwards = (sum(column) for column in zip(*tally.each, strict=True))
            seconds = time.perf_counter() - began
            self._log(Event(forwards, backwards, seconds, tally.each, tally.checks), *distinct(mine))
        self.preparer.log(seconds, samples)
        for runner, at, ask in mine:
            runner.answers[at] = ask.fold.result()
        for runner in distinct(mine):
            self._resume(runner)
