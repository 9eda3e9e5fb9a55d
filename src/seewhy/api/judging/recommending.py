"""Recommendation: takes a model and a few photos, gives the cheapest method, and layer, that does as well as the best
of those that were tried, with the numbers, and what was not tried."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import seewhy.methods  # noqa: F401 - every method registers itself on import
from seewhy.api.answered.predictions import predict_items
from seewhy.api.given.images import Item, read_one
from seewhy.api.given.truths import Known, known_truths
from seewhy.api.judging.asked import Question, candidates_of, metrics_of
from seewhy.api.judging.counting import ALPHA, Standing
from seewhy.api.judging.maps import usable
from seewhy.api.judging.ranking import Ranking
from seewhy.api.judging.running import Evaluating, some_of
from seewhy.api.judging.trying import Trial, at_layers, named
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings, when
from seewhy.core.network.borrowed import warning_once
from seewhy.errors import ImageError, TargetError, UnfitImage, UsageError
from seewhy.explanation.plain import plain
from seewhy.metrics.standing import FEWEST, holm, needed, sign_flips
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.render import check, write_bytes

__all__ = ["Recommendation", "recommend"]

#: photos on which methods are tried before they are compared
_TRIED = 2


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
    names = named(methods, not_tried, budget)
    question = Question(
        candidates_of(names), metrics_of([metric], masks=False, grid=False, steps=steps), controls, seed=seed,
        settings=settings,
    )  # fmt: skip
    if not question.metrics[0][0].card.better:
        raise UsageError(f"{metric} is neither good nor bad alone: recommend by another, such as srg")
    told = {"columns": columns, "table": table, "images": images}
    known = known_truths(wrapped, source, None, told, "recommend", watched(progress), needed=False)
    known = some_of(known, photos, seed)
    able, refused = usable(wrapped, question)
    not_tried |= refused
    first = _first(wrapped, known)
    others = at_layers(wrapped, first[0], question, able, layers, not_tried) if methods is None else ()
    everything = [*able, *others]
    trial = Trial(wrapped, question, not_tried, budget)
    compared = trial.left(everything, first)
    run = Evaluating(wrapped, replace(question, candidates=tuple(compared)), None, "top", _path(keep))
    return _judged(run.photos(known), metric, trial.same, not_tried)


def _path(keep: str | Path | None) -> Path | None:
    return None if keep is None else Path(keep)


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
