"""Judging: takes what was measured of a map, gives a level and a sentence that follow from numbers and thresholds
written down here; measures nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from seewhy.api.trusting.held import Held
from seewhy.explanation import Cost, Evidence, Prediction, Trust
from seewhy.metrics.controls import rank

__all__ = [
    "AGREEMENT",
    "BELIEVED",
    "CONTRADICTED",
    "DOUBTED",
    "EDGES",
    "PLACED",
    "SURE",
    "UNTAUGHT",
    "about",
    "card",
    "evidence",
]

#: standard deviations of evidence from which a map is believed, and under which the model contradicts it. Set on the
#: networks and photos of `benchmarks.trust` called "setting", where about as many wrong maps are missed as right ones
#: warned of (Grad-CAM of its class-token transformer apart); docs/trust.md reports them on others
BELIEVED, DOUBTED = 7.2, 2.0
#: deviations of the gain under which nothing else makes up for it: methods agree with their own kind, whatever a score
#: depends on
CONTRADICTED = -3.0
#: how many standard deviations agreement counts, and up to how much of it: what agrees so far need not be the same map,
#: and what is the same map must matter to the score as well
AGREEMENT, ENOUGH = 9.0, 0.7
#: up to how many standard deviations the placement counts, for the same reason
PLACED = 5.0
#: a map that is like the photo's edges, or like what a network shows that learnt nothing above its filters, by so much
EDGES, UNTAUGHT = 0.8, 0.35
#: how sure the model has to be of a class for its maps to be judged at all
SURE = 0.5


def evidence(held: Held) -> float:
    """How much speaks for a map, in standard deviations: those of its gain over random maps', its agreement with other
    ways of asking, and how far that is above the same map's elsewhere."""
    return held.deviations + AGREEMENT * min(float(held.agreement[0]), ENOUGH) + min(held.placement, PLACED)


def about(held: Held, unit: str) -> list[Evidence]:
    """What was measured of a map, each with what it is held against."""
    total = evidence(held)
    level = "green" if total >= BELIEVED else "amber" if total >= DOUBTED else "red"
    if level == "green" and held.deviations < CONTRADICTED:
        level = "amber"
    words = {
        "green": "what it marks matters more to the score than what random maps of its kind mark",
        "amber": "what it marks matters hardly more to the score than what random maps of its kind mark",
        "red": "what it marks matters no more to the score than what random maps of its kind mark, or less",
    }
    own = f"green from {BELIEVED:g}, and {CONTRADICTED:g} of the gain; red under {DOUBTED:g}"
    return [
        Evidence(
            "deletion", float(held.deletion[0]), "the score that is left when its strongest places are hidden",
            unit=unit, rank=_rank(held.deletion, "lower"), controls={"random": held.deletion[1:]},
        ),
        Evidence(
            "insertion", float(held.insertion[0]), "the score that is left when its weakest places are hidden",
            unit=unit, rank=_rank(held.insertion, "higher"), controls={"random": held.insertion[1:]},
        ),
        Evidence(
            "gain", float(held.gain[0]), "insertion minus deletion: how much more its strong places matter",
            unit=unit, rank=_rank(held.gain, "higher"), controls={"random": held.gain[1:], **held.others},
        ),
        Evidence(
            "agreement", float(held.agreement[0]), f"the best correlation with another way of asking: {held.with_}",
            rank=_rank(held.agreement, "higher"), controls={"random": held.agreement[1:]},
        ),
        Evidence(
            "placement", held.placement,
            "the best correlation over cells, in deviations of those of the same map moved and mirrored",
        ),
        Evidence(
            "evidence", total,
            f"{words[level]}: {held.deviations:+.1f} deviations of the gain, {AGREEMENT:g} x agreement, placement",
            level, thresholds=own,
        ),
        _alike("edges", held.edges, EDGES, "the photo's edges, which no network was needed for"),
        _alike("untaught", held.untaught, UNTAUGHT, "what its filters show where nothing above them was learnt"),
    ]  # fmt: skip


def of_the_model(prediction: Prediction | None, target: int | None) -> list[Evidence]:
    """Whether the model is sure of the class that is explained."""
    if prediction is None or target is None:
        return []
    shares = {guess.index: guess.probability for guess in prediction.top}
    share = shares.get(target)
    value = math.nan if share is None else float(share)
    if math.isnan(value) and target not in shares:
        said = f"the class explained is not among the model's first {len(shares)}: maps are of evidence still"
    else:
        said = f"the model itself gives this class a probability of {value:.2f} (its answer: {prediction})"
    level = "green" if value >= SURE else "amber"
    return [Evidence("model", value, said, level, thresholds=f"green from {SURE:g}")]


def card(measures: Sequence[Evidence], cost: Cost | None = None) -> Trust:
    """The card that follows from ``measures``: the worst level of any, and what it rests on in words."""
    levels = [each.level for each in measures if each.level]
    level = "red" if "red" in levels else "amber" if "amber" in levels or not levels else "green"
    return Trust(level, _sentence(level, measures), tuple(measures), cost or Cost())


def nothing(why: str) -> Trust:
    """The card of a map that says nothing."""
    return Trust("red", f"There is nothing to believe: {why}.", (Evidence("status", math.nan, why, "red"),))


def _sentence(level: str, measures: Sequence[Evidence]) -> str:
    known = {each.name: each for each in measures}
    if level == "green":
        exact = known.get("completeness")
        much = exact is not None and exact.level == "green"
        rest = "its values add up to the score" if much else "it is right about places, its numbers are not proved"
        tested = known.get("randomisation")
        left = "" if tested is None or tested.level else "; whether such maps depend on what was learnt was not tested"
        return f"Believe where{', and how much' if much else ', not how much'}: {rest}{left}."
    weakest = _weakest(level, measures)
    if weakest is None:
        return "Not measured: nothing here can say whether to believe it."
    start = "Do not believe it" if level == "red" else "Take it with a doubt"
    return f"{start}: {weakest.says}."


def _weakest(level: str, measures: Iterable[Evidence]) -> Evidence | None:
    """The first measure, in the order of weight, that has this level."""
    order = ("status", "randomisation", "random-logit", "untaught", "edges", "evidence")
    bad = [each for each in measures if each.level == level]
    return min(bad, key=lambda each: order.index(each.name) if each.name in order else len(order), default=None)


def _alike(name: str, value: float, most: float, what: str) -> Evidence:
    if math.isnan(value):
        return Evidence(name, value, f"not compared with {what}")
    level = "amber" if value >= most else "green"
    says = f"it is {'much' if level == 'amber' else 'not'} like {what}"
    return Evidence(name, value, says, level, thresholds=f"green under {most:g}")


def _rank(numbers: NDArray[np.float64], better: str) -> float:
    return rank(float(numbers[0]), torch.from_numpy(numbers[1:]), better)
