"""Statuses: takes a map and what its method promises, gives in words whether it is an answer; runs no network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from seewhy.api.given.images import Item
from seewhy.core.forward.costs import Spent
from seewhy.core.layers.candidates import CUTS
from seewhy.core.network.borrowed import Network
from seewhy.core.network.places import INPUT
from seewhy.core.percentages import missed, percent
from seewhy.core.schedule.jobs import Answer
from seewhy.explanation import Status
from seewhy.registry import Need

__all__ = ["Finished", "ending", "status_of"]

#: what a sum may miss of what it was to be before that is worth a word and a status
_COMPLETE = 0.01

#: needs of methods whose map tells of the score; those of the others tell of activations alone
_ABOUT_THE_SCORE = frozenset(Need) - {
    Need.INPUT, Need.ACTIVATION, Need.BASELINE, Need.FILL, Need.SEGMENTS, Need.BOUNDS, Need.REFERENCES, Need.WEIGHTS
}  # fmt: skip

_NOTHING_TO_CLIMB = (
    "nothing was attacked: the score has no gradient at the pixels, or one that is NaN; that the answer stayed proves "
    "nothing"
)


@dataclass(frozen=True)
class Finished:
    """One map of a batch, ready to be split into images: values [B, ...] in which ``channels`` were kept or not."""

    answer: Answer
    values: Tensor
    channels: bool
    error: Tensor | None
    place: str
    contrast: str | None
    parameters: Mapping[str, Any]
    spent: Spent
    colours: Tensor | None = None


def ending(network: Network, done: Finished, row: int) -> tuple[str, ...]:
    """How a map ended: in the method's own words where it was sampled, integrated or propagated, else by how much its
    sum misses what the card promises."""
    own = done.answer.attribution.notes[row : row + 1]
    short = "" if own else _short(network, done, row)
    return (*own, short) if short else own


def _short(network: Network, done: Finished, row: int) -> str:
    """By how much the values' sum misses what it was to be, if that is worth a word."""
    answer, card = done.answer, done.answer.job.outline.method.card
    attribution = answer.attribution
    if not card.sums or attribution.total is None or attribution.error is None or done.contrast is not None:
        return ""
    share = float(missed(attribution.error, attribution.total, attribution.values, answer.scores)[row])
    if not share > _COMPLETE:
        return ""
    words = f"the values' sum misses {card.sums} by {percent(share)}"
    if "steps" in answer.job.parameters:
        words += f" after {answer.job.parameters['steps']} steps; raise steps"
        return words if done.place == INPUT else f"{words}, unless paths lead beside {_where(done)}"
    if network.hides:
        beside = "" if done.place == INPUT else f"paths beside {_where(done)}, or "
        return (
            f"{words}: {beside}functions that {card.name} cannot see: TorchScript hides them; use the original module"
        )
    if done.place != INPUT:
        return f"{words}: paths beside {_where(done)}, or functions that {card.name} does not cover"
    return (
        f"{words}: the network has functions that {card.name} does not cover (products of activations, attention) or "
        "cannot see (scripted ones, autograd functions of its own)"
    )


def _where(done: Finished) -> str:
    return "the input" if done.place == INPUT else f"layer {done.place!r}"


def status_of(
    network: Network, item: Item, values: np.ndarray[Any, Any], score: float, done: Finished, row: int
) -> Status:
    """Whether the map is an answer, and if not, why."""
    answer, place = done.answer, _where(done)
    if not (np.isfinite(values).all() and math.isfinite(score)):
        broken = network.broken_weights()
        if broken is not None:
            return Status("non-finite", f"the model's {broken!r} holds NaN or infinity")
        if not bool(item.tensor.isfinite().all()):
            return Status("non-finite", "the input holds NaN or infinity")
        what = "the score" if not math.isfinite(score) else "the map"
        return Status("non-finite", f"{what} overflowed in the forward or backward pass")
    if not answer.attribution.finished:
        return Status("unfinished", answer.attribution.notes[row])
    card = answer.job.outline.method.card
    if not answer.depends:
        if not answer.recorded:
            words = f"the scores do not lead back to the input: something in the forward cuts the graph ({CUTS})"
            return Status("zero-gradient", words)
        words = (
            f"the score does not depend on {place} by any gradient: no_grad, detach, argmax and quantised layers leave "
            "none, nor is there one at what comes after the score or is rewritten in part"
        )
        return Status("zero-gradient", words)
    if card.call == "attack":
        moves = answer.attribution.moves
        return Status() if moves is None or bool(moves[row]) else Status("zero-gradient", _NOTHING_TO_CLIMB)
    if not values.any():
        attribution = answer.attribution
        if attribution.moves is not None and attribution.holds is not None and bool(attribution.moves[row]):
            return _empty(done, score, bool(attribution.holds[row]))
        if not item.tensor.any():
            return Status("zero-gradient", "the map is 0 everywhere, and so is the input")
        if not card.needs & _ABOUT_THE_SCORE:
            return Status("zero-gradient", f"the map is 0 everywhere: no activation at {place} stands out")
        return Status(
            "zero-gradient",
            f"the map is 0 everywhere: the score has no gradient at the places of {place} (constant output, dead or "
            "saturated units, rounding, or what is read behind it are tokens without a place)",
        )
    converged = answer.attribution.converged
    if converged is None and (short := _short(network, done, row)):
        return Status("not-converged" if "steps" in answer.job.parameters else "incomplete", short)
    if converged is not None and not bool(converged[row]):
        return Status("not-converged", answer.attribution.notes[row])
    if card.positive and card.discriminative and values.max() <= 0:
        return Status(
            "no-positive-evidence",
            f"all evidence at {place} speaks against the target (score {score:.3g}, map from {values.min():.3g} to "
            f"{values.max():.3g}); it is drawn signed",
        )
    return Status()


def _empty(done: Finished, score: float, holds: bool) -> Status:
    """Of a map that is 0 everywhere at a place with which the score does change."""
    outline, place = done.answer.job.outline, _where(done)
    name, card = outline.method.name, outline.method.card
    if not holds:
        what = "and so is the input" if done.place == INPUT else f"and so is the activation at {place}"
        return Status("zero-gradient", f"the map is 0 everywhere, {what}")
    cuts = card.cuts or ("what the backward rule does not let through" if outline.rule != "none" else "")
    if not cuts:
        words = f"the map is 0 everywhere though the score changes with {place}: {name}, {card.formula}, leaves nothing"
        return Status("no-evidence", words)
    return Status(
        "no-positive-evidence",
        f"{name} leaves out {cuts}, and at {place} nothing else is there: no evidence for the target is left to draw "
        f"(score {score:.3g})",
    )
