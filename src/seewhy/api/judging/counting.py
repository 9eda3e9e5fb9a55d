"""Numbers of many images counted: takes what was found of each photo or mosaic, gives standings of methods with
intervals, paired differences and letters; runs no model."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seewhy.metrics import Metric
from seewhy.metrics.controls import rank
from seewhy.metrics.standing import holm, interval, letters, sign_flips

__all__ = ["ALPHA", "Difference", "Standing", "differences_of", "standings_of"]

#: the level at which methods are told apart, and at which a map beats what it is held against
ALPHA = 0.05
#: the share of the means of random maps between the ends of a band
_BAND = (5, 95)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """How a method does by a metric, over ``count`` images that gave a number; NaN for what there is not.

    ``mean``, with its interval from ``low`` to ``high`` (BCa bootstrap over images, 95 %); ``random`` is the mean of
    the random maps of the same spectrum, ``band`` where 90 % lie of the means that a method would have whose map of
    each image is one of them, its first, its second...; ``edge``, ``bump`` and ``untrained`` are the means of the edge
    map, of the bump in the middle, and of the same method's map of the untrained model; ``rank`` the mean rank of a map
    among all of these, from 1 / (1 + how many), better than all, to 1; ``beats`` the share of maps with a rank of at
    most 0.05, of those among 19 others or more; ``p`` how likely it is that its maps are no better or worse than their
    random ones (sign flips, corrected for the number of methods: Holm). ``group`` are letters: two methods that share
    one cannot be told apart. ``sure`` and ``doubtful`` are the means of images that the model is right about and sure
    of (as far as that is known), and of the others, ``without`` counts images that gave none, by the reason. ``passes``
    is what a map takes, in forwards (a backward is two).
    """

    metric: str
    method: str
    count: int
    mean: float
    low: float
    high: float
    random: float
    band: tuple[float, float]
    edge: float
    bump: float
    untrained: float
    rank: float
    beats: float
    p: float
    group: str
    sure: float
    doubtful: float
    passes: float
    layer: str | None
    without: Mapping[str, int]


@dataclass(frozen=True)
class Difference:
    """By how much the mean of ``one`` is above that of ``other``, by a metric, over the images that have both: with its
    95 % interval (BCa), the chance ``p`` of so much by tossed signs, and that ``corrected`` for all pairs (Holm)."""

    metric: str
    one: str
    other: str
    count: int
    mean: float
    low: float
    high: float
    p: float
    corrected: float

    @property
    def apart(self) -> bool:
        """Whether the two are told apart."""
        return self.corrected <= ALPHA


@dataclass(frozen=True, eq=False)
class _Table:
    """A method's numbers by a metric: a mean over each image's maps, and of their controls."""

    own: NDArray[np.float64]
    random: NDArray[np.float64]
    edge: NDArray[np.float64]
    bump: NDArray[np.float64]
    untrained: NDArray[np.float64]
    means: NDArray[np.float64]
    ranks: NDArray[np.float64]
    beats: NDArray[np.float64]
    without: Counter[str]
    passes: float
    layer: str | None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Of those that are numbers; NaN for none."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else math.nan


def _table(images: Sequence[Row], method: str, metric: Metric) -> _Table:
    columns: dict[str, list[float]] = {name: [] for name in ("own", "random", "edge", "bump", "untrained")}
    drawn, ranks, beats = list[list[float]](), list[float](), list[float]()
    passes, without = list[float](), Counter[str]()
    layers: dict[str, None] = {}
    for image in images:
        rows: dict[str, list[float]] = {name: [] for name in columns}
        reasons, numbered = [image["why"]] if image.get("why") else [], list[list[float]]()
        for case in image["cases"]:
            made = case["methods"][method]
            if made["why"]:
                reasons.append(made["why"])
                continue
            passes.append(made["passes"])
            if made["layer"]:
                layers[made["layer"]] = None
            told, photo = made["metrics"][metric.name], case["photo"][metric.name]
            value = _number(told["value"])
            if math.isnan(value):
                reasons.append(told["why"])
                continue
            random = [_number(each) for each in told["spectrum"]]
            others = {"edge": photo.get("edge"), "bump": photo.get("bump"), "untrained": told["untrained"]}
            rows["own"].append(value)
            rows["random"].append(_mean(random))
            if random:  # a map that says nothing has none, whatever its number is
                numbered.append(random)
            for name, other in others.items():
                rows[name].append(_number(other))
            if metric.card.better:
                held = torch.tensor([*random, *map(_number, others.values())], dtype=torch.float64)
                ranks.append(rank(value, held, metric.card.better))
                if 1 / (1 + int(held.isfinite().sum())) <= ALPHA:  # with fewer no map could
                    beats.append(float(ranks[-1] <= ALPHA))
        for name, values in rows.items():
            columns[name].append(_mean(values))
        if numbered:
            drawn.append([_mean(each) for each in zip(*numbered, strict=True)])
        without.update(set(reasons))  # once for each image
    arrays = {name: np.array(values, dtype=np.float64) for name, values in columns.items()}
    means = np.array([_mean(each) for each in zip(*drawn, strict=True)], dtype=np.float64)
    return _Table(
        **arrays, means=means, ranks=np.array(ranks), beats=np.array(beats), without=without, passes=_mean(passes),
        layer=", ".join(layers) or None,
    )  # fmt: skip


def standings_of(
    images: Sequence[Row], methods: Sequence[str], metric: Metric, *, seed: int
) -> tuple[list[Standing], list[Difference]]:
    """Every method by one metric, the best first, and all pairs of them. ``images`` are documents with ``cases``, as
    `judged` gives them, and whether they are in ``doubt``."""
    tables = {method: _table(images, method, metric) for method in methods}
    sign = {"higher": -1.0, "lower": 1.0, "": 0.0}[metric.card.better]
    means = {method: _mean(table.own) for method, table in tables.items()}
    order = sorted(methods, key=lambda method: (math.isnan(means[method]), sign * means[method]))
    known = [method for method in order if not math.isnan(means[method])]
    pairs = differences_of({method: tables[method].own for method in known}, metric.name, seed=seed)
    place = {method: n for n, method in enumerate(known)}
    apart = {(place[pair.one], place[pair.other]) for pair in pairs if pair.apart}
    groups = dict(zip(known, letters(len(known), apart), strict=True)) if metric.card.better else {}
    doubt = np.array([bool(image.get("doubt")) for image in images], dtype=bool)
    beside = {method: _against(tables[method], seed) for method in known}
    corrected = dict(zip(known, holm([beside[method] for method in known]), strict=True))
    found = []
    for method in order:
        table = tables[method]
        own = table.own[np.isfinite(table.own)]
        low, high = interval(own, seed=seed)
        means_drawn = table.means[np.isfinite(table.means)]
        band = np.percentile(means_drawn, _BAND) if len(means_drawn) else (math.nan, math.nan)
        found.append(
            Standing(
                metric.name, method, len(own), means[method], low, high, _mean(table.random),
                (float(band[0]), float(band[1])), _mean(table.edge), _mean(table.bump), _mean(table.untrained),
                _mean(table.ranks), _mean(table.beats), corrected.get(method, math.nan), groups.get(method, ""),
                _mean(table.own[~doubt]), _mean(table.own[doubt]), table.passes, table.layer, dict(table.without),
            )
        )  # fmt: skip
    return found, pairs


def _against(table: _Table, seed: int) -> float:
    """How likely an image's map is as good as its own random maps, on average."""
    return float(sign_flips((table.own - table.random)[:, None], seed=seed)[0])


def differences_of(columns: Mapping[str, NDArray[np.float64]], metric: str, *, seed: int) -> list[Difference]:
    """All pairs of ``columns`` [N] of numbers, an image each, NaN for none, in their order."""
    pairs = list(itertools.combinations(columns, 2))
    if not pairs:
        return []
    given = np.stack([columns[one] - columns[other] for one, other in pairs], 1)
    # as many draws as a correction for so many pairs needs to be able to find anything
    chances = sign_flips(given, seed=seed, least=round(2 * len(pairs) / ALPHA)).tolist()
    found = []
    for (one, other), row, p, corrected in zip(pairs, given.T, chances, holm(chances), strict=True):
        both = row[np.isfinite(row)]
        low, high = interval(both, seed=seed)
        found.append(Difference(metric, one, other, len(both), _mean(both), low, high, p, corrected))
    return found
