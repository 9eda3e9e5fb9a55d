"""The engine: takes methods as jobs over one batch, works out the passes they share, gives their maps and what it cost.

Every job is a generator of asks. All jobs advance together; asks that the same forward or the same backward can
answer are grouped, so twelve maps over three layers and five classes cost one forward and five backwards. Streams
over equal sources share their passes too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor

from seewhy.core import asks
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
from seewhy.core.forward.attention import (
    AttentionMaps,
    LayerAttention,
    attention_maps,
    calls_within,
    layer_attention,
    lens_maps,
    tokens_read,
)
from seewhy.core.forward.costs import Event, Spent
from seewhy.core.forward.session import Session
from seewhy.core.layers.choice import Chooser, check_positions, prove_tokens
from seewhy.core.layers.verdicts import Proof
from seewhy.core.memory_budget import Budget, unmetered
from seewhy.core.network.axes import check_axes
from seewhy.core.network.layouts import Layout
from seewhy.core.network.outputs import Outputs
from seewhy.core.network.places import ATTENTION
from seewhy.core.perturb.noise import fingerprint
from seewhy.core.schedule.attempts import differing
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
from seewhy.core.schedule.shared_forward import SharedForward
from seewhy.core.schedule.streams import Subscriber, Tally, run_stream
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError, UsageError

if TYPE_CHECKING:
    from seewhy.core.forward.propagation import Flow, Lift, Propagation

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
        self.shared = SharedForward(session, self.preparer, self.chooser, self.spent)
        self.budgets: dict[tuple[bool, bool], Budget] = {}
        #: what pictures said of the tokens that attention reads, where a method wanted to know
        self.tokens: dict[str, Proof] = {}
        #: which of them each score is read from, by their number
        self.matters: dict[tuple[Target, ...], dict[int, Tensor]] = {}

    @cached_property
    def propagation(self) -> Propagation:
        """Backward passes of relevance and multipliers: rules that few methods ask for."""
        from seewhy.core.forward.propagation import Propagation

        return Propagation(self.session)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if "propagation" in vars(self):
            self.propagation.close()
        differed = differing(error, self.settings)
        if differed is not None:
            differed.spent = differed.spent.united(self.spent)
            if differed is not error:
                raise differed from error

    def open(self, outlines: Sequence[Outline], layers: Sequence[str] = ()) -> Outputs:
        """Run the forward that everything shares; gives what the network put out, of which jobs are made (the top class
        is not known before), each one of ``outlines``. ``layers`` are captured besides, for targets that read them."""
        return self.shared.open(outlines, layers)

    def run(self, jobs: Sequence[Job]) -> Outcome:
        """Run every job to its end."""
        self.shared.settle(jobs)
        opened = list(self.spent.events)
        runners = [Runner(job, self.shared.place_of(job), steps_of(job)) for job in jobs]
        for runner in runners:
            method = runner.job.outline.method
            if self.settings.reshape is None and method.card.family == "cam":
                places = runner.job.parameters.get("layers") or (runner.place,)
                check_positions(method.name, places, self.shared.forward, self.chooser)
            runner.spent.events.extend(opened)
            self._advance(runner, None)
        interrupted = False
        try:
            while any(runner.result is None for runner in runners):
                if not (self._backward(runners) or self._lifted(runners)):
                    self._stream(runners)
        except KeyboardInterrupt:
            if not salvage(runners):
                raise
            interrupted = True
        answers, recorded = [], self.shared.forward.recorded
        for runner in runners:
            if runner.result is None:
                continue
            scores = self.shared.forward.scores(runner.job.targets).detach()
            answers.append(
                Answer(runner.job, runner.result, runner.place, scores, runner.depends, recorded, runner.spent)
            )
        proofs = self.chooser.proofs(self.shared.forward.size)
        grids = {a.place: proof for a in answers if (proof := proofs.get(a.place)) is not None}
        grids |= {name: proof for _, name in self.session.asked if (proof := proofs.get(name)) is not None}
        return Outcome(
            answers, self.shared.forward.outputs, self.spent, interrupted, self.preparer.record, grids | self.tokens,
            self.preparer.contents,
        )  # fmt: skip

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
        self.shared.serve(ask, runner)
        forward, closed = self.shared.forward, self.shared.closed
        match ask:
            case asks.Gradient() | asks.Stream():
                return UNANSWERED
            case asks.Multipliers() if ask.baseline is not None:
                return UNANSWERED  # many are asked for, one after the other, by all targets
            case asks.Targets():
                return job.targets
            case asks.Here():
                return runner.place
            case asks.Supplied():
                return self._supplied(runner, ask.name)
            case asks.Progress():
                self.settings.progress(job.outline.method.name, ask.step, ask.steps)
                if ask.values is not None:
                    self.settings.preview(ask.values, ask.step, ask.steps)
                return None
            case asks.HessianProduct():
                return self._own(
                    runner,
                    2,
                    lambda: hessian_product(forward, ask.place or runner.place, job.targets, keep),
                )
            case asks.Attention(lens=True):
                return self._lens(runner)
            case asks.Attention():
                return self._own(
                    runner,
                    1,
                    lambda: attention_maps(forward, job.targets, partial(self._tokens, runner), keep),
                )
            case asks.AttentionAt():
                return self._attention_at(runner, ask)
            case asks.Relevance() | asks.Multipliers():
                return self._propagated(runner, ask)
            case asks.HeadWeights():
                if closed is not None:
                    weights = closed.weights(job.targets, linear=True)
                    if weights is not None or not ask.required:
                        return weights
                    self.shared.record()  # to say why
                    forward = self.shared.forward
                proven = proven_head(forward, ask, runner.place, job.targets)
                return proven and self._own(runner, 1, lambda: head_weights(forward, proven, job.targets, keep))
            case asks.BiasMaps():
                return self._own(runner, 1, lambda: bias_maps(forward, job.targets))
        return answer(forward, ask, runner.place, job.targets, keep)

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

    def _tokens(self, runner: Runner, weights: Sequence[Tensor], calls: Sequence[int], only: int | None) -> Layout:
        """Where the tokens that attention reads are in the picture: of all ``calls``, or of the ``only`` one asked
        for."""
        began, key = time.perf_counter(), ATTENTION if only is None else f"{ATTENTION}#{only + 1}"
        self.tokens[key], samples = prove_tokens(self.session, self.chooser, weights, calls, only)
        if samples:
            self._log(Event(seconds=time.perf_counter() - began, checks=samples), runner)
        return self.tokens[key].layout

    def _attention_at(self, runner: Runner, ask: asks.AttentionAt) -> LayerAttention:
        within: list[int] = []
        if isinstance(ask.layer, str):
            began = time.perf_counter()
            within = calls_within(self.session, ask.layer)
            self._log(Event(seconds=time.perf_counter() - began, checks=self.batch), runner)
        forward, targets = self.shared.forward, runner.job.targets

        def matters() -> dict[int, Tensor]:
            if targets not in self.matters:
                self.matters[targets] = self._own(runner, 1, lambda: tokens_read(forward, targets))
            return self.matters[targets]

        read, keep = partial(self._tokens, runner), self.settings.differentiable
        return layer_attention(forward, ask.layer, within, matters, read, keep)

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
            baseline = self._supplied(runner, "baseline") if ask.baseline is None else ask.baseline
            propagated, event = self.propagation.multipliers(baseline, place, job.targets, method)
        else:
            propagated, event = self.propagation.flow(ask, place, ask.targets or job.targets, method)
        runner.depends &= propagated.depends
        spent = Event(0, self.batch, time.perf_counter() - began - event.seconds)
        for log in (self.spent, runner.spent):
            log.events.extend(entry for entry in (event, spent) if entry not in log.events)
        return propagated

    def _lifted(self, runners: Sequence[Runner]) -> bool:
        """Compare with one baseline of many, for all that wait for it. False if nobody does."""
        pending = self._pending(runners, asks.Multipliers)
        if not pending:
            return False
        baseline, keys = pending[0][2].baseline, [tuple(fingerprint(ask.baseline)) for _, _, ask in pending]
        waiting = [entry for entry, key in zip(pending, keys, strict=True) if key == keys[0]]
        for runner, at, ask in waiting:
            runner.answers[at] = self._propagated(runner, replace(ask, baseline=baseline))
        self.propagation.forget(baseline)
        for runner in distinct(waiting):
            self._resume(runner)
        return True

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
            if self.shared.closed is not None and not (key.rule == "none" and places == {self.shared.closed.place}):
                self.shared.record()
            if self.shared.closed is not None:
                grads, backwards = {self.shared.closed.place: self.shared.closed.gradient(key.targets)}, 0
            else:
                last = number == len(groups) and all(runner.asked_all for runner in runners)
                grads = gradients_at(self.shared.forward, key, places, keep=self.settings.differentiable, last=last)
                backwards = self.batch
            self._log(Event(0, backwards, time.perf_counter() - began), *distinct(waiting))
            if self.shared.spot is not None:
                logs = (runner.spent for runner in distinct(waiting))
                self.shared.check(partial(self.shared.spot.gradients, key, grads), *logs)
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
        self.preparer.expect(
            samples, self.shared.seconds_each * (3 if recorded else 1)
        )  # a backward takes about two forwards
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
        with unmetered():  # folds go by chunks of their own, if at all
            for runner, at, ask in waiting:
                runner.answers[at] = ask.fold.result()
        for runner in distinct(waiting):
            self._resume(runner)
