"""Needs: takes what is to be computed, gives what the forward that everything shares must make possible; runs
nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from seewhy.core import asks
from seewhy.core.compile.closed_form import PooledHead
from seewhy.core.compile.programs import Preparer
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward
from seewhy.core.forward.settings import Settings
from seewhy.core.network.borrowed import Network
from seewhy.core.network.places import INPUT, Place
from seewhy.core.schedule.jobs import Outline
from seewhy.registry import FORWARD_ONLY, Method, Need

__all__ = ["closed_at", "recorded_from_input", "shared_demand", "widened"]

#: gives a place by its name
Find = Callable[[str], Place]

#: what a method may need for its gradients to come in closed form
_CLOSED = {Need.INPUT, Need.ACTIVATION, Need.GRADIENT, Need.LOGITS, Need.SCORE, Need.STREAM, Need.HEAD}


def shared_demand(
    network: Network,
    outlines: Sequence[Outline],
    places: Mapping[str, Place],
    settings: Settings,
    *,
    survey: bool,
    required: frozenset[str],
) -> Demand:
    """The forward for ``outlines``: ``places`` captured, those of optional outlines that are not ``required`` if they
    run; with ``survey`` a layer is chosen from it."""
    needs = {need for outline in outlines for need in outline.method.card.needs}
    return Demand(
        places,
        # a user's backward hooks expect modules whose inputs take part in the graph
        at_input=network.hooked_backward or recorded_from_input(outlines),
        rules=Need.RULE in needs or any(o.rule != "none" for o in outlines),
        biases=Need.BIASES in needs,
        gradients=survey or any(_differentiates_here(o.method) for o in outlines),
        attached=settings.differentiable,
        survey=survey,
        curvature=Need.CURVATURE in needs,
        attention=Need.ATTENTION in needs,
        reshape=settings.reshape,
        optional=frozenset(o.about for o in outlines if o.optional) - required,
        module=bool(needs - FORWARD_ONLY),  # which then has to prove itself, on the images themselves
    )


def widened(demand: Demand, ask: asks.Ask, place: str, rule: str, forward: Forward, find: Find) -> Demand:
    """What it takes besides ``demand``, which ``forward`` was run for, to answer ``ask`` of a method at ``place`` under
    ``rule``; the same demand where that is nothing.

    A card says what its formula will ask for, so that one forward serves all. What it does not say costs another
    forward, and never a map.
    """
    at = getattr(ask, "place", None) or place
    match ask:
        case asks.Gradient():
            wanted = {"gradients": True, "at_input": at == INPUT, "rules": (ask.rule or rule) != "none"}
        case asks.HessianProduct():
            wanted = {"gradients": True, "at_input": at == INPUT, "curvature": True}
        case asks.HeadWeights():
            wanted = {"gradients": True}
        case asks.BiasMaps():
            wanted = {"gradients": True, "at_input": True, "biases": True}
        case asks.Attention(lens=False) | asks.AttentionAt():
            wanted = {"gradients": True, "at_input": True, "attention": True}
        case asks.Activation():
            wanted = {}
        case _:
            return demand
    if demand.graph == "full":  # down to the input, then
        wanted.pop("at_input", None)
    changed = {name: True for name, value in wanted.items() if value and not getattr(demand, name)}
    missing = {} if at == INPUT or at in forward.tape.activations else {at: find(at)}
    if not changed and not missing:
        return demand
    kept = {name: find(name) for name in forward.tape.activations}
    return replace(demand, **changed, places={**kept, **demand.places, **missing}, survey=False)  # type: ignore[arg-type]


def closed_at(preparer: Preparer, outlines: Sequence[Outline], demand: Demand) -> tuple[str, PooledHead] | None:
    """The layer whose gradients need no graph, and how the scores come of it, if no others are asked for."""
    needs = {n for outline in outlines if _differentiates_here(outline.method) for n in outline.method.card.needs}
    own = demand.attached or demand.survey or demand.at_input or demand.rules or demand.reshape is not None
    if not needs or own or needs - _CLOSED or len(demand.places) != 1:
        return None
    (place,) = demand.places
    tail = preparer.tail(place)
    return None if tail is None else (place, tail)


def recorded_from_input(outlines: Sequence[Outline]) -> bool:
    """Whether the shared forward keeps a graph of the whole network."""
    return any(_wants_input_gradient(outline) for outline in outlines)


def _differentiates_here(method: Method) -> bool:
    """Whether the shared forward needs a graph; methods that only stream bring their own forwards."""
    needs = method.card.needs
    streams_only = Need.STREAM in needs and "gradient" not in method.requires
    return bool(needs & {Need.HEAD, Need.BIASES, Need.ATTENTION}) or (Need.GRADIENT in needs and not streams_only)


def _wants_input_gradient(outline: Outline) -> bool:
    at_input = outline.place == INPUT and _differentiates_here(outline.method)
    return at_input or bool(outline.method.card.needs & {Need.BIASES, Need.INPUT_GRADIENT, Need.ATTENTION})
