"""Recommendation: takes a model and a few photos, gives the cheapest method, and layer, that does as well as the best
of those that were tried, with the numbers, and what was not tried."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import seewhy.methods  # noqa: F401 - every method registers itself on import
from seewhy.api.answered.predictions import predict_items
from seewhy.api.given.images import Item, own_layout, read_one
from seewhy.api.given.truths import Known, known_truths
from seewhy.api.judging.asked import Candidate, Question, candidates_of, metrics_of
from seewhy.api.judging.counting import ALPHA, Standing
from seewhy.api.judging.maps import Drawn, maps_of, usable
from seewhy.api.judging.ranking import Ranking
from seewhy.api.judging.running import Evaluating, some_of
from seewhy.api.listing import LayerInfo
from seewhy.api.listing import layers as layers_of
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings, when
from seewhy.core.network.borrowed import warning_once
from seewhy.errors import CapabilityError, ImageError, SeewhyError, TargetError, UnfitImage, UsageError
from seewhy.explanation.plain import plain
from seewhy.metrics.standing import FEWEST, holm, needed, sign_flips
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.registry import Method, Need
from seewhy.registry import methods as registry
from seewhy.render import check, write_bytes

__all__ = ["Recommendation", "recommend"]

#: parameters of methods that say how many passes a map takes at least
_BUDGETS = ("n", "steps", "max_steps")
#: photos on which methods are tried before they are compared, and how far equal maps may be apart by rounding
_TRIED, _EQUAL = 2, 1e-4


@dataclass(frozen=True, eq=False)
class Recommendation:
    """``method``, at ``layer`` (None where it has none of its own), is the cheapest of those that cannot be told apart
    from the best by ``metric``; ``why`` says so in a sentence. ``ranking`` has all numbers, ``same`` the methods whose
    maps are those of another, ``not_tried`` the others, and why."""

    method: str
    layer: str | None
    metric: str
    why: str
    ranking: Ranking
    near: tuple[str, ...]
    same: Mapping[str, str]
    not_tried: Mapping[str, str]

    @property
    def rows(self) -> list[Standing]:
        """How every method that was compared does, the cheapest first."""
        rows = self.ranking.standings(self.metric)
        return sorted(rows, key=lambda row: (math.isnan(row.passes), row.passes))

    def table(self) -> list[dict[str, Any]]:
        """A row for each method that was compared, the cheapest first; ``near`` says whether it cannot be told apart
        from the best."""
        return [{**asdict(row), "near": row.method in self.near} for row in self.rows]

    def to_dict(self) -> dict[str, Any]:
        """Everything but single images as plain, strictly valid JSON."""
        found: dict[str, Any] = plain(
            {
                "model": self.ranking.model, "method": self.method, "layer": self.layer, "metric": self.metric,
                "why": self.why, "count": len(self.ranking.images), "settings": dict(self.ranking.settings),
                "methods": self.table(), "same": dict(self.same), "not_tried": dict(self.not_tried),
                "notes": list(self.ranking.notes), "failed": list(self.ranking.failed),
            }
        )  # fmt: skip
        return found

    def to_markdown(self) -> str:
        """The sentence, the table, the cheapest first, what draws the same maps, and what was not tried."""
        lines = [
            "| method | layer | passes a map | mean [95 %] | random maps | mean rank | as good as the best |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in self.rows:
            spread = f" [{row.low:.3g}, {row.high:.3g}]" if math.isfinite(row.low) else ""
            near = "yes" if row.method in self.near else ""
            numbers = f"{row.passes:.3g} | {row.mean:.3g}{spread} | {row.random:.3g} | {row.rank:.2g}"
            lines.append(f"| {row.method} | {row.layer or ''} | {numbers} | {near} |")
        same = [f"- {name} draws the maps of {other} here" for name, other in self.same.items()]
        left = [f"- {name} was not tried: {why}" for name, why in self.not_tried.items()]
        rest = [f"- {note}" for note in (*self.ranking.notes, *self.ranking.failed)]
        parts = [f"{self.why}.", "\n".join(lines), "\n".join([*same, *left, *rest])]
        return "\n\n".join(part for part in parts if part) + "\n"

    def figure(self) -> Any:
        """The ranking's chart as a PIL image; raises `CapabilityError` without matplotlib."""
        return self.ranking.figure()

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """The file written: ``.json`` what `to_dict` gives, ``.md`` the tables; others as `Ranking.save`.

        Raises `UsageError` for another suffix, and for a file that exists unless ``force``.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in (".json", ".md"):
            return self.ranking.save(path, force=force)
        path = check(path, (".json", ".md"), force=force)
        text = self.to_markdown() if suffix == ".md" else json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"
        return write_bytes(text.encode(), path, force=force)

    def _repr_html_(self) -> str:
        return f"<div><p>{self.why}.</p>{self.ranking._repr_html_()}</div>"

    def __repr__(self) -> str:
        return f"Recommendation({self.method!r}, layer={self.layer!r}: {self.why})"


@warning_once()
def recommend(
    model: Any,
    source: Any,
    methods: str | Sequence[str] | None = None,
    *,
    metric: str = "srg",
    photos: int = 12,
    layers: int = 2,
    budget: int = 100,
    controls: int = 20,
    steps: int = 5,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    table: str | Path | None = None,
    images: str | Path | None = None,
    keep: str | Path | None = None,
    prepare: bool | str = "auto",
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Recommendation:
    """The method, and layer, to use with a model: the cheapest of those that cannot be told apart from the best.

    ``model``, ``source``, ``columns``, ``table``, ``images``, ``keep`` and ``prepare`` as for `seewhy.evaluate`; up to
    ``photos`` of the source, drawn from ``seed``. Tried are all ``methods`` of a class that the model can be asked for
    (or those named) and that take at most ``budget`` passes a map (a backward counts as two), class activation maps
    also at ``layers`` finer grids than their own or, where there are none (transformers), at as many layers before
    their own, of its kind. Methods that draw the same maps on this model are compared once. The best has the highest
    mean by ``metric``, over ``controls`` random maps as in `seewhy.evaluate`; which others are worse, tossed signs say,
    corrected for their number (Holm, 5 %). What was not tried, and why, is told as well.

    Photos that are too few to tell so many methods apart are told, and the first by its mean is named. Raises what
    `seewhy.evaluate` does.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> found = seewhy.recommend(net, torch.rand(5, 3, 4, 4), ["saliency", "input-x-gradient"], controls=2)
    >>> found.method
    'input-x-gradient'
    """
    if isinstance(layers, bool) or not isinstance(layers, int) or layers < 0:
        raise UsageError(f"layers={layers!r}: how many layers before the one chosen are tried, 0 for none")
    wrapped = taken(model)
    settings = Settings(memory=memory, prepare=when(prepare))
    not_tried: dict[str, str] = {}
    named = _named(methods, not_tried, budget)
    question = Question(
        candidates_of(named), metrics_of([metric], masks=False, grid=False, steps=steps), controls, "logit", None, seed,
        {}, settings,
    )  # fmt: skip
    if not question.metrics[0][0].card.better:
        raise UsageError(f"{metric} is neither good nor bad alone: recommend by another, such as srg")
    told = {"columns": columns, "table": table, "images": images}
    known = known_truths(wrapped, source, None, told, "recommend", watched(progress), needed=False)
    known = some_of(known, photos, seed)
    able, refused = usable(wrapped, question)
    not_tried |= refused
    first = _first(wrapped, known)
    others = _at_layers(wrapped, first[0], question, able, layers, not_tried) if methods is None else ()
    everything = [*able, *others]
    trial = _Trial(wrapped, question, not_tried, budget)
    compared = trial.left(everything, first)
    run = Evaluating(wrapped, replace(question, candidates=tuple(compared)), None, "top", _path(keep))
    return _judged(run.photos(known), metric, trial.same, not_tried)


def _path(keep: str | Path | None) -> Path | None:
    return None if keep is None else Path(keep)


def _named(methods: str | Sequence[str] | None, not_tried: dict[str, str], budget: int) -> list[str]:
    """The methods asked for, or all that make a map of a class within the budget, as far as their settings tell."""
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise UsageError(f"budget={budget!r}: passes that a map may take, at least 1")
    if methods is not None:
        return [methods] if isinstance(methods, str) else list(methods)
    found = []
    for method in registry:
        card = method.card
        if card.call != "explain" or card.by_layer:
            continue
        if card.several_layers:
            not_tried[card.name] = "it takes several layers: name it with them, METHOD@LAYER+LAYER"
        elif not card.discriminative:
            not_tried[card.name] = "its map is the same for every class"
        elif (least := _least(method)) > budget:
            not_tried[card.name] = f"too dear: {least} passes a map at its own settings, more than {budget}"
        else:
            found.append(card.name)
    return found


def _least(method: Method) -> int:
    """Passes that a map takes, as far as the method's own settings say so."""
    given = [method.parameters.get(name) for name in _BUDGETS]
    return max((n for n in given if isinstance(n, int) and not isinstance(n, bool)), default=1)


def _at_layers(
    model: Model, photo: tuple[Item, int], question: Question, able: Sequence[Candidate], count: int,
    not_tried: dict[str, str],
) -> list[Candidate]:  # fmt: skip
    """Class activation maps at so many layers before the one chosen for a photo: the last ones of finer grids; where
    there are none, as in transformers, those of its own kind and shape, spread over the depth."""
    cams = [each for each in able if each.method is not None and each.method.card.family == "cam" and not each.layer]
    if not (cams and count):
        return []
    try:
        known = layers_of(model, own_layout(model, photo[0].tensor[None]))
    except SeewhyError as error:
        not_tried["other layers"] = str(error)
        return []
    chosen = next((each for each in known if each.chosen), None)
    if chosen is None or chosen.grid is None:
        not_tried["other layers"] = "no layer is chosen"
        return []
    some = _taken(_finer(known, chosen), count, model, photo, question, cams, not_tried)
    if not some:
        before = _before(known, chosen)
        spread = [before[len(before) * k // (count + 1)] for k in range(count, 0, -1)] if before else []
        some = _taken(dict.fromkeys(spread), count, model, photo, question, cams, not_tried)
    return [Candidate(f"{each.name}@{layer.name}", each.method, layer.name) for layer in some for each in cams]


def _finer(known: Sequence[LayerInfo], chosen: LayerInfo) -> Iterable[LayerInfo]:
    """The last layer of each grid that is finer than the chosen one's, the coarsest first."""
    assert chosen.grid is not None
    finest: dict[tuple[int, ...], LayerInfo] = {}
    for each in known:
        if each.grid is None or len(each.grid) != len(chosen.grid) or not each.kind:
            continue
        if math.prod(each.grid) > math.prod(chosen.grid):
            before = finest.get(each.grid)
            if before is None or each.name.count(".") <= before.name.count("."):
                finest[each.grid] = each
    return [finest[grid] for grid in sorted(finest, key=math.prod)]


def _before(known: Sequence[LayerInfo], chosen: LayerInfo) -> list[LayerInfo]:
    """The layers before the chosen one that give what it gives: of its kind, or else those that are the least deep in
    others."""
    earlier = list(takewhile(lambda each: not each.chosen, known))
    like = [each for each in earlier if each.shape == chosen.shape and each.grid == chosen.grid]
    same = [each for each in like if each.kind == chosen.kind]
    least = min((each.name.count(".") for each in like), default=0)
    return same or [each for each in like if each.name.count(".") == least]


def _taken(
    layers: Iterable[LayerInfo], count: int, model: Model, photo: tuple[Item, int], question: Question,
    cams: Sequence[Candidate], not_tried: dict[str, str],
) -> list[LayerInfo]:  # fmt: skip
    """The first ``count`` layers at which any map can be made: a grid is only claimed until it is proved there."""
    some: list[LayerInfo] = []
    rest = []
    for layer in layers:
        if len(some) == count:
            rest.append("x".join(map(str, layer.grid or ())))
            continue
        why = ""
        for each in sorted(cams, key=lambda cam: Need.STREAM in cam.method.card.needs if cam.method else True):
            candidate = Candidate(f"{each.name}@{layer.name}", each.method, layer.name)
            drawn = maps_of(model, photo[0], [candidate], [photo[1]], question)[0][0]
            if drawn.values is not None:
                some.append(layer)
                break
            why = why or drawn.why
        else:
            not_tried[f"layer {layer.name}"] = why
    if rest:
        not_tried["finer layers"] = f"grids of {', '.join(rest)}"
    return some


def _first(model: Model, known: Known) -> list[tuple[Item, int]]:
    """The first photos that can be read and that the model has an answer to, with their top classes."""
    found = []
    for entry in known.source.entries():
        try:
            item = read_one(model, known.source.read(entry), entry.name)
        except (ImageError, UnfitImage):
            continue
        (scored,) = predict_items(model, [item])
        if scored.prediction is None:
            raise TargetError("the model's output is no row of class scores: methods are compared for classes")
        if scored.answered:
            found.append((item, scored.prediction.index))
        if len(found) == _TRIED:
            break
    if not found:
        raise UsageError(f"the model has an answer to none of the {known.count} photos that can be read")
    return found


class _TooDear(SeewhyError):
    """A map takes more passes than there are for it."""


class _Meter:
    """Who is told how far a map is, and ends it where it takes more passes than the budget: some take thousands."""

    def __init__(self, budget: int) -> None:
        self.passes, self._budget, self._before, self._now = 0.0, budget, 0, 0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Count what is done, of one stream after the other."""
        self._before += self._now if done < self._now else 0
        self._now = done
        self.passes = self._before + done
        if self.passes > self._budget:
            raise _TooDear(f"more than {self._budget} passes")


@dataclass(eq=False)
class _Trial:
    """Methods tried on the first photos: what takes too long, fails, or draws what a cheaper one draws is not
    compared."""

    model: Model
    question: Question
    not_tried: dict[str, str]
    budget: int

    def __post_init__(self) -> None:
        self.same: dict[str, str] = {}

    def left(self, candidates: Sequence[Candidate], photos: Sequence[tuple[Item, int]]) -> list[Candidate]:
        """Those to be compared. Raises `CapabilityError` for none."""
        kept: list[tuple[float, Candidate, list[Drawn]]] = []
        for candidate in candidates:
            made: list[Drawn] = []
            for item, index in photos:
                meter = _Meter(self.budget)
                asked = replace(self.question, settings=replace(self.question.settings, progress=meter))
                made.append(maps_of(self.model, item, [candidate], [index], asked)[0][0])
                meter.passes = max(meter.passes, made[-1].passes)
                if meter.passes > self.budget:
                    break
            passes = made[-1].passes
            if meter.passes > self.budget:
                self.not_tried[candidate.name] = f"too dear: more than {self.budget} passes a map"
            elif all(each.values is None for each in made):
                self.not_tried[candidate.name] = made[-1].why
            else:
                kept.append((passes, candidate, made))
        if not kept:
            name, why = next(iter(self.not_tried.items()), ("nothing", "no method was named"))
            raise CapabilityError(f"no method can be compared on this model: {name}: {why}")
        kept.sort(key=lambda each: each[0])  # stable: of equally dear ones the first keeps its name
        compared: list[tuple[Candidate, list[Drawn]]] = []
        for _, candidate, made in kept:
            twin = next((other for other, theirs in compared if _alike(made, theirs)), None)
            if twin is not None:
                self.same[candidate.name] = twin.name
            else:
                compared.append((candidate, made))
        return [candidate for candidate, _ in compared]


def _alike(one: Sequence[Drawn], other: Sequence[Drawn]) -> bool:
    """Whether maps are the same but for a positive factor, on every photo."""
    for mine, theirs in zip(one, other, strict=True):
        a, b = mine.values, theirs.values
        if a is None or b is None:
            return False
        scales = a.abs().max(), b.abs().max()
        if not all(scale > 0 for scale in scales) or not torch.allclose(
            a / scales[0], b / scales[1], rtol=0, atol=_EQUAL
        ):
            return False
    return True


def _judged(ranking: Ranking, metric: str, same: Mapping[str, str], not_tried: Mapping[str, str]) -> Recommendation:
    rows = [row for row in ranking.standings(metric) if row.count]
    if not rows:
        raise UsageError(f"no method has a number by {metric} on these photos: {'; '.join(ranking.notes):.300}")
    count = len(ranking.images)
    near = _near(ranking, metric, rows)
    best = rows[0]
    least = needed(len(rows) - 1)
    if count < least and len(rows) > 1:
        several = f"{count} photo{'s' * (count > 1)} cannot show"
        chosen, how = best, f"has the best mean {metric} of {len(rows)}; that it is the best {several}, {least} could,"
        near = [best.method]
    else:
        chosen = min((row for row in rows if row.method in near), key=lambda row: row.passes)
        how = (
            f"is the best of {len(rows)} by {metric}" if chosen is best
            else f"is the cheapest of {len(near)} that cannot be told apart from the best of {len(rows)}, {best.method}"
        )  # fmt: skip
    beaten = count >= FEWEST and not chosen.p <= ALPHA
    warning = f"; {metric} does not tell its maps from random ones on these photos" if beaten else ""
    name = chosen.method.partition("@")[0]
    numbers = f"{chosen.mean:.3g}, random maps {chosen.random:.3g}, {chosen.passes:.3g} passes a map"
    why = f"{chosen.method} {how} on {count} photo{'s' * (count > 1)} ({numbers}){warning}"
    return Recommendation(name, chosen.layer, metric, why, ranking, tuple(near), dict(same), dict(not_tried))


def _near(ranking: Ranking, metric: str, rows: Sequence[Standing]) -> list[str]:
    """The best and those that tossed signs do not tell from it, corrected for how many are compared with it."""
    names = [row.method for row in rows]
    columns = {name: np.array([_number(image, name, metric) for image in ranking.images]) for name in names}
    if len(names) == 1:
        return names
    given = np.stack([columns[names[0]] - columns[name] for name in names[1:]], 1)
    chances = holm(sign_flips(given, seed=int(ranking.settings.get("seed", 0))).tolist())
    return [names[0], *(name for name, p in zip(names[1:], chances, strict=True) if p > ALPHA)]


def _number(image: Mapping[str, Any], method: str, metric: str) -> float:
    for case in islice(image["cases"], 1):
        told = case["methods"][method]["metrics"].get(metric)
        if told is not None and told["value"] is not None:
            return float(told["value"])
    return math.nan
