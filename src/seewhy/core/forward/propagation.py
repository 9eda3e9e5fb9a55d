"""Relevance and multipliers of one batch: takes targets, a place and a composite, gives what arrives there; the
forwards it needs are made once and kept for the call.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from seewhy.core import asks
from seewhy.core.forward.costs import Event
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.intercept.autograd import release
from seewhy.core.network.places import INPUT
from seewhy.core.relevance.arithmetic import Ledger, State
from seewhy.core.relevance.attention import AttentiveWatch
from seewhy.core.relevance.composites import Composite
from seewhy.core.relevance.coverage import refuse, uncovered
from seewhy.core.relevance.held import Held
from seewhy.core.relevance.rescale import DifferenceWatch
from seewhy.core.relevance.watch import RelevanceWatch
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError, TargetError

__all__ = ["Flow", "Lift", "Propagation"]


@dataclass(frozen=True)
class Flow:
    """What arrived: ``values`` canonical [B, C, *positions]; ``start`` what set out, ``bias`` and ``stabiliser`` what
    they took on the way, [B] each. ``elsewhere`` is what went to other places: paths beside the layer, padding."""

    values: Tensor
    start: Tensor
    bias: Tensor
    stabiliser: Tensor
    depends: bool
    #: rules that could not be used where the composite has them, in words
    said: tuple[str, ...] = ()

    @property
    def elsewhere(self) -> Tensor:
        """[B]."""
        return self.start - self.values.detach().flatten(1).sum(1) - self.bias - self.stabiliser


@dataclass(frozen=True)
class Lift:
    """Multipliers and the activation's difference from its reference, canonical; the score's difference, [B]."""

    multipliers: Tensor
    difference: Tensor
    rise: Tensor
    depends: bool


@dataclass(frozen=True, eq=False)
class _Pair:
    """Forwards of the batch and of its baseline, and the watch that knows what belongs together in them."""

    here: Forward
    there: Forward
    watch: DifferenceWatch
    event: Event


@dataclass
class Propagation:
    """The propagating forwards of one session; ``places`` are what is known to be asked about, captured from the
    start."""

    session: Session
    places: set[str] = field(default_factory=set)
    #: by whether attention has rules, which is what the forward depends on
    _relevance: dict[bool, tuple[Forward, RelevanceWatch, Event]] = field(default_factory=dict)
    _lifts: dict[int, _Pair] = field(default_factory=dict)

    def multipliers(self, baseline: Tensor, place: str, targets: Sequence[Target], method: str) -> tuple[Lift, Event]:
        """DeepLIFT's multipliers between ``baseline`` and the batch, and what the forwards that they came from cost,
        which may be earlier ones."""
        keep = self.session.settings.differentiable
        names = {place} | {name for target in targets for name in target.layers} | self.places
        known = self._lifts.get(id(baseline))
        if known is None or not names <= {INPUT, *known.here.tape.activations}:
            known = self._lifts[id(baseline)] = self._pair(baseline, names, method)
        here, there = known.here, known.there
        scores_here = here.scores(targets)
        raw = here.raw(place)
        known.watch.active = True
        try:
            (grad,) = here.gradients(scores_here, [here.source(place)], graph=keep)
        finally:
            known.watch.active = False
        layout = here.layout(place)
        lift = Lift(
            layout.canonical(torch.zeros_like(raw) if grad is None else grad),
            layout.canonical(raw) - layout.canonical(there.raw(place)),
            scores_here - there.scores(targets),
            grad is not None,
        )
        return lift if keep else _detached(lift), known.event

    def forget(self, baseline: Tensor) -> None:
        """Let go of the forwards between ``baseline`` and the batch: one of many is asked for once."""
        pair = self._lifts.pop(id(baseline))
        if not self.session.settings.differentiable:
            held = pair.here, pair.there
            release(t for forward in held for t in (*forward.tape.activations.values(), *_outputs(forward)))

    def _pair(self, baseline: Tensor, names: set[str], method: str) -> _Pair:
        """One forward of the baseline, and one of the batch that draws the same random numbers."""
        x = self.session.x
        watch = DifferenceWatch(keep=self.session.settings.differentiable)
        with torch.random.fork_rng([x.device] if x.is_cuda else []):
            there, before = self._forward(baseline.to(x).expand_as(x), watch, names)
        watch.pair()
        here, after = self._forward(x, watch, names)
        watch.compare(method)
        event = Event(before.forwards + after.forwards, 0, before.seconds + after.seconds)
        return _Pair(here, there, watch, event)

    def flow(self, ask: asks.Relevance, place: str, targets: Sequence[Target], method: str) -> tuple[Flow, Event]:
        """Relevance at ``place``, and the forward that it came from, which may be an earlier one."""
        keep = self.session.settings.differentiable
        wanted = {place} | {name for target in targets for name in target.layers} | self.places
        if not wanted <= self.places:
            self.places, self._relevance = wanted, {}
        attentive = ask.composite.attentive
        if attentive not in self._relevance:
            inputs = self.session.network.inputs
            held = [] if inputs is None else inputs.tensors
            state = State(keep, Held(held) if held else None)
            watch = (AttentiveWatch if attentive else RelevanceWatch)(state)
            forward, event = self._forward(self.session.x, watch, self.places)
            watch.state.notes.clear()
            self._relevance[attentive] = forward, watch, event
        forward, watch, event = self._relevance[attentive]
        source, seed = _start(forward, targets, ask.start, method, keep)
        return _relevance_at(forward, watch, place, ask.composite, source, seed, method, keep), event

    def close(self) -> None:
        """Let go of every graph; unless maps were asked for that carry it."""
        held = [forward for pair in self._lifts.values() for forward in (pair.here, pair.there)]
        held += [forward for forward, _, _ in self._relevance.values()]
        self._lifts, self._relevance = {}, {}
        if not self.session.settings.differentiable:
            release(tensor for forward in held for tensor in (*forward.tape.activations.values(), *_outputs(forward)))

    def _forward(
        self, x: Tensor, watch: RelevanceWatch | DifferenceWatch, names: Iterable[str]
    ) -> tuple[Forward, Event]:
        began = time.perf_counter()
        demand = Demand(
            {name: self.session.last(name) for name in sorted(set(names) - {INPUT})},
            # what skips the layer takes part in sums as well, so relevance has to see it come from the image
            at_input=self.session.network.hooked_backward or INPUT in names or isinstance(watch, RelevanceWatch),
            attached=self.session.settings.differentiable,
            reshape=self.session.settings.reshape,
            watches=(watch.handlers,),
        )

        def call(given: Tensor) -> Any:
            if isinstance(watch, RelevanceWatch):
                watch.begin(given)
            else:
                watch.begin()
            return self.session.call(given)

        held = watch.state.held if isinstance(watch, RelevanceWatch) else None
        with nullcontext() if held is None else held:
            forward = self.session.eager(x, demand, call)
        return forward, Event(len(x) * forward.runs, 0, time.perf_counter() - began)


def _detached(lift: Lift) -> Lift:
    return Lift(lift.multipliers.detach(), lift.difference.detach(), lift.rise.detach(), lift.depends)


def _start(
    forward: Forward, targets: Sequence[Target], start: str, method: str, keep: bool
) -> tuple[Tensor, Tensor | None]:
    """Where relevance sets out, and with how much: at the scores, or at the layer whose unit is the target.

    ``start="score"`` is the target's gradient there times the value, which for a class's score is that score;
    ``"one"`` the gradient itself, which is 1 at that class.
    """
    layers = {name for target in targets for name in target.layers}
    if len(layers) > 1:
        raise CapabilityError(
            f"{method} sets out from one layer, and these targets read {', '.join(sorted(layers))}; "
            "explain them one by one"
        )
    try:
        source = forward.raw(layers.pop()) if layers else forward.outputs.logits
    except TargetError as error:
        raise CapabilityError(
            f"{method} sets out from the model's scores, and finds none in its output ({error}); "
            "input-x-gradient and integrated-gradients work with any target"
        ) from None
    score = forward.scores(targets)
    if not (score.requires_grad and source.requires_grad):
        return source, None
    (slope,) = torch.autograd.grad(score.sum(), source, retain_graph=True, allow_unused=True, create_graph=keep)
    if slope is None:
        raise CapabilityError(
            f"{method} sets out from the model's scores, which this target does not read; "
            "input-x-gradient and integrated-gradients work with any target"
        )
    return source, slope * source if start == "score" else slope


def _relevance_at(
    forward: Forward,
    watch: RelevanceWatch,
    place: str,
    composite: Composite,
    source: Tensor,
    seed: Tensor | None,
    method: str,
    keep: bool,
) -> Flow:
    batch, raw, goal = forward.outputs.batch, forward.raw(place), forward.source(place)
    none = raw.new_zeros(batch)
    ledger, relevance = Ledger(none.clone(), none.clone()), None
    reachable = isinstance(goal, GradientEdge) or goal.requires_grad
    if seed is not None and reachable:
        if not keep:
            seed = seed.detach()
        known, own = uncovered(source, goal)
        refuse(known, method, composite.instead)
        watch.state.active = composite, ledger
        try:
            (relevance,) = torch.autograd.grad(
                source, [goal], seed, retain_graph=True, allow_unused=True, create_graph=keep  # type: ignore[arg-type]
            )  # fmt: skip
        finally:
            watch.state.active = None
        refuse(own, method)
    values = forward.layout(place).canonical(torch.zeros_like(raw) if relevance is None else relevance)
    start = none if seed is None else seed.detach().reshape(batch, -1).sum(1)
    said = tuple(dict.fromkeys(ledger.said))
    return Flow(values if keep else values.detach(), start, ledger.bias, ledger.stabiliser, relevance is not None, said)


def _outputs(forward: Forward) -> list[Tensor]:
    """The tensors in what the model returned."""
    raw = forward.outputs.raw
    values = raw.values() if isinstance(raw, Mapping) else raw if isinstance(raw, list | tuple) else (raw,)
    return [value for value in values if isinstance(value, Tensor)]
