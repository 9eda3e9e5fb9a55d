"""Evaluation of methods: takes a model, photos and what is to be compared, gives a ranking; goes on where it ended."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seewhy.api.answered.predictions import Scored, predict_items
from seewhy.api.given.images import read_one
from seewhy.api.given.inside import inside_of
from seewhy.api.given.masks import Masks, open_masks
from seewhy.api.given.mosaics import MosaicSource, Tile, cells, dealt
from seewhy.api.given.photos import asked_of
from seewhy.api.given.truths import Found, Known, Seen, known_truths
from seewhy.api.judging.asked import DEFAULT_METHODS, Methods, Metrics, Question, candidates_of, metrics_of
from seewhy.api.judging.maps import Untrained, usable
from seewhy.api.judging.numbers import Masked, judged
from seewhy.api.judging.ranking import Ranking
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings, when
from seewhy.core.network.borrowed import warning_once
from seewhy.errors import OutOfMemory, TargetError, UnknownName, UsageError
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.runs.record import Record
from seewhy.runs.sources import Entry, Source

__all__ = ["Evaluating", "evaluate", "ranked", "some_of"]

#: how sure the model is at least of a photo that is not in doubt
_HALF = 0.5
#: what may be explained of each photo
TARGETS = ("top", "truth")


@warning_once()
def evaluate(
    model: Any,
    source: Any,
    methods: Methods = DEFAULT_METHODS,
    metrics: Metrics | None = None,
    truths: Sequence[int | str] | None = None,
    *,
    masks: str | Path | None = None,
    grid: int | None = None,
    mosaics: int | None = None,
    shrink: bool = False,
    sure: float | None = None,
    target: str = "top",
    score: str = "logit",
    photos: int | None = None,
    controls: int = 20,
    untrained: bool = True,
    steps: int = 10,
    fill: Any = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    table: str | Path | None = None,
    images: str | Path | None = None,
    keep: str | Path | None = None,
    prepare: bool | str = "auto",
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **parameters: Any,
) -> Ranking:
    """Which methods' maps show what the model looks at: methods by metrics over photos, each number beside those of
    maps that know nothing, with intervals, and a ranking that says what cannot be told apart.

    ``model`` as for `seewhy.explain`, with a row of class scores. ``source``, ``truths``, ``columns``, ``table`` and
    ``images`` as for `seewhy.evaluate_model`; classes need not be known. ``methods`` are names, with a layer as in
    ``"grad-cam@layer3"``; a mapping has names or functions ``(input [1, C, *size], class) -> map [*size]`` by what they
    are called. ``metrics`` are names, or a mapping of names to settings; unless given ``srg``, ``insertion`` and
    ``deletion``, with ``masks`` those of masks too, and of mosaics ``grid-pointing``. What is explained is each photo's
    top class, or with ``target="truth"`` its true one.

    ``masks`` says where objects are: a folder of PNG masks or of Pascal VOC's XML files, called as the photos, or a
    COCO JSON. They go through the photo's own resize and crop. An object counts unless its name is that of another
    class than the one explained. ``grid`` (2 or 3) makes up to ``mosaics`` (100) mosaics of so many tiles a side, of
    photos of several classes of which the model is at least as ``sure`` (0.9); each class of a mosaic is explained.
    Where the model takes inputs so many times as large, tiles are whole inputs; else, or to ``shrink`` them, a mosaic
    is as large as one input, which is said: passes then cost what they cost of photos, and the model sees less of each.

    Changed images are judged by the ``score`` ``"logit"`` or ``"probability"``, in ``steps`` for metrics that go in
    steps, hidden behind each metric's own fill or ``fill``. Every map is held against ``controls`` random ones with
    its own values and spectrum, an edge map, a bump in the middle, and the map of the model with its weights in
    another order (`seewhy.models.redrawn.redrawn`), which doubles the passes and is left out with
    ``untrained=False``. ``photos`` takes so many of the source, drawn from ``seed``.
    ``parameters`` are the methods' own. With ``keep``, a folder, what is found is kept as it comes, and the same call
    goes on where one was ended; with ``prepare=False`` to the same bytes.

    Photos that cannot be read, maps and metrics that fail or have no number are left out and told, and the others go
    on; those that the model is wrong about, or less than half sure of, are counted in and apart. Raises `UsageError`
    and its kin for what is invalid, for masks that are of no photo, and for too few sure photos; `TargetError` for
    models without a row of class scores; `CapabilityError` where no method can be asked.

    Intervals: Efron 1987, doi:10.1080/01621459.1987.10478410; controls: Adebayo et al. 2018, arXiv:1810.03292;
    mosaics: Boehle, Fritz & Schiele 2021, arXiv:2104.00032, section 4.1.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> found = seewhy.evaluate(net, torch.rand(6, 3, 4, 4), ["saliency", "input-x-gradient"], "srg", controls=2)
    >>> found.standings()[0].method, len(found.images)
    ('input-x-gradient', 6)
    """
    if grid is not None and masks is not None:
        raise UsageError("masks= are of photos, and grid= makes mosaics, whose cells are known: give one of them")
    if grid is None:
        of_mosaics = {"mosaics": mosaics, "sure": sure, "shrink": shrink or None}
        if idle := [f"{name}={value!r}" for name, value in of_mosaics.items() if value is not None]:
            raise UsageError(f"{', '.join(idle)}: mosaics are made with grid=2 or grid=3, which was not given")
    mosaics, sure = 100 if mosaics is None else mosaics, 0.9 if sure is None else sure
    if target not in TARGETS:
        raise UnknownName("target", str(target), TARGETS, f"one of {', '.join(TARGETS)}")
    if not 0 <= sure <= 1:
        raise UsageError(f"sure={sure!r}: a probability from 0 to 1, e.g. sure=0.9")
    wrapped = taken(model)
    question = Question(
        candidates_of(methods),
        metrics_of(metrics, masks=masks is not None, grid=grid is not None, steps=steps),
        controls, untrained, score, fill, seed, parameters, Settings(memory=memory, prepare=when(prepare)),
    )  # fmt: skip
    objects = None if masks is None else open_masks(masks)
    told = {"columns": columns, "table": table, "images": images}
    known = known_truths(wrapped, source, truths, told, "evaluate", watched(progress), needed=target == "truth")
    if photos is not None:
        known = some_of(known, photos, seed)
    run = Evaluating(wrapped, question, objects, target, None if keep is None else Path(keep))
    return run.photos(known) if grid is None else run.mosaics(known, grid, mosaics, sure, shrink=shrink)


class Evaluating:
    """One evaluation: what is asked of whom."""

    def __init__(
        self, model: Model, question: Question, objects: Masks | None, target: str, keep: Path | None
    ) -> None:  # fmt: skip
        self.model, self.objects, self.target, self.keep = model, objects, target, keep
        able, self.left_out = usable(model, question)
        self.question = replace(question, candidates=able)
        self.untrained = Untrained(model, question.seed, asked=question.untrained)
        self.said: list[str] = []
        if self.untrained.why:
            self.said.append(f"no maps of an untrained model: {self.untrained.why}")

    def _record(self, call: str, **asked: Any) -> Record | None:
        if self.keep is None:
            return None
        return Record(self.keep, asked_of(self.model, call, **asked))

    def photos(self, known: Known) -> Ranking:
        """Every photo for its own class."""
        stamp = None
        if self.objects is not None:
            entries = [entry.name for entry in known.source.entries()]
            with_one = self.objects.check(entries)
            stamp = [self.objects.kind, self.objects.stamp]
            if with_one < len(entries):
                self.said.append(f"{with_one} of {len(entries)} photos have masks")
        record = self._record("evaluate", question=self.question.told(), masks=stamp, target=self.target)
        found = known.look(lambda seen: [self._photo(each) for each in seen], at_once=1, record=record)
        return self._ranking("photos", known, found, math.nan)

    def _photo(self, seen: Seen) -> dict[str, Any]:
        (scored,) = predict_items(self.model, [seen.item], memory=self.question.settings.memory)
        said = _said(scored, seen.truth)
        if said["why"]:
            return {"name": seen.name, **said, "cases": []}
        index = said["said"] if self.target == "top" else seen.truth
        assert index is not None  # known_truths has asked for one of each
        masked = inside_of(self.model, self.objects, seen.item, seen.listed, index)
        cases = judged(
            self.model, self.untrained, seen.item, self.question.candidates, [index], [masked], self.question
        )  # fmt: skip
        return {"name": seen.name, **said, "cases": cases}

    def mosaics(self, known: Known, side: int, count: int, sure: float, *, shrink: bool = False) -> Ranking:
        """Mosaics of the photos that the model is sure of, each for the classes of its tiles."""

        def look(seen: list[Seen]) -> list[dict[str, Any]]:
            scored = predict_items(self.model, [each.item for each in seen], memory=self.question.settings.memory)
            return [_said(one, each.truth) for each, one in zip(seen, scored, strict=True)]

        # errors of words come before photos are read
        dealt([Tile(Entry(str(n)), n) for n in range(side * side)] if isinstance(side, int) else [], side, 1)
        found = known.look(look, record=self._record("evaluate: sure photos"))
        entries = dict(enumerate(known.source.entries()))
        tiles = [
            Tile(entries[each.row], each.found["said"])
            for each in found
            if each.found["sure"] is not None and each.found["sure"] >= sure and each.found["doubt"] != _WRONG
        ]
        groups = dealt(tiles, side, count, seed=self.question.seed)
        source = MosaicSource(self.model, known.source, groups, shrink=shrink)
        how = "shrunk, as asked" if shrink else f"whole inputs, {side} times as wide"
        if not shrink and not self._takes(source):
            shrink = True
            source = MosaicSource(self.model, known.source, groups, shrink=shrink)
            how = "shrunk, since the model takes no larger input"
        several = "s" * (len(groups) > 1)
        self.said += [
            f"the model is at least {sure:g} sure of {len(tiles)} of {len(found)} photos and not known to be wrong: "
            f"{len(groups)} mosaic{several} of {side} x {side} of them, in which they come again; tiles are {how}"
        ]
        if len(groups) < count:
            self.said.append(f"{count} mosaics were asked for: there are no more of so few photos")
        record = self._record("evaluate", question=self.question.told(), mosaics=[side, shrink])
        made = Known(self.model, source, lambda entry: None, len(groups), 0, known.progress)

        def explain(seen: list[Seen]) -> list[dict[str, Any]]:
            return [self._mosaic(each, source.mosaics[each.name], side) for each in seen]

        ranking = self._ranking("mosaics", made, made.look(explain, at_once=1, record=record), 1 / side**2)
        return replace(ranking, failed=(*known.failed, *ranking.failed), said=(*known.notes, *ranking.said))

    def _takes(self, source: MosaicSource) -> bool:
        """Whether the model has a row of class scores for mosaics of whole inputs."""
        entry = next(source.entries())
        try:
            (scored,) = predict_items(self.model, [read_one(self.model, source.read(entry), entry.name)])
        except OutOfMemory:
            raise
        except Exception:  # whatever a network, which took the photos, says of a size that is not its own
            return False
        return scored.probabilities is not None

    def _mosaic(self, seen: Seen, tiles: Sequence[Tile], side: int) -> dict[str, Any]:
        size = tuple(seen.item.tensor.shape[1:])
        masks: list[Masked] = []
        for place in cells(size, side):
            inside = np.zeros(size, dtype=bool)
            inside[place] = True
            masks.append({"inside": inside, "boxes": inside})
        classes = [tile.shows for tile in tiles]
        cases = judged(self.model, self.untrained, seen.item, self.question.candidates, classes, masks, self.question)
        return {"name": seen.name, "tiles": [tile.entry.name for tile in tiles], "why": "", "doubt": "", "cases": cases}

    def _ranking(self, kind: str, known: Known, found: Sequence[Found[dict[str, Any]]], chance: float) -> Ranking:
        question = self.question
        settings = {
            "controls": question.controls, "score": question.score, "seed": question.seed, "target": self.target,
            "metrics": {metric.name: {**metric.parameters, **given} for metric, given in question.metrics},
            "fill": question.told()["fill"], "parameters": question.told()["parameters"],
        }  # fmt: skip
        return ranked(
            self.model, kind, question, [each.found for each in found], self.left_out, settings,
            failed=known.failed, said=(*known.notes, *self.said), chance=chance,
        )  # fmt: skip


def ranked(
    model: Model, kind: str, question: Question, images: Sequence[Mapping[str, Any]], left_out: Mapping[str, str],
    settings: Mapping[str, Any], *, failed: Sequence[str] = (), said: Sequence[str] = (), chance: float = math.nan,
) -> Ranking:  # fmt: skip
    """What was found of images, as a `Ranking`."""
    return Ranking(
        model.spec or model.name, kind, tuple(each.name for each in question.candidates),
        tuple(metric for metric, _ in question.metrics), settings, tuple(images), left_out, tuple(failed), tuple(said),
        chance,
    )  # fmt: skip


_WRONG, _UNSURE = "the model is wrong", "the model is unsure (p < .5)"


def _said(scored: Scored, truth: int | None) -> dict[str, Any]:
    """What the model says of a photo, and whether that is in doubt, as JSON holds it."""
    if scored.probabilities is None or scored.prediction is None:
        raise TargetError("the model's output is no row of class scores: methods are compared for classes")
    if not scored.answered:
        return {"said": None, "sure": None, "truth": truth, "doubt": "", "why": "the model gives numbers that are none"}
    said = scored.prediction.index
    sure = float(scored.probabilities[said])
    doubt = _WRONG if truth is not None and truth != said else _UNSURE if sure < _HALF else ""
    return {"said": said, "sure": sure, "truth": truth, "doubt": doubt, "why": ""}


class _Chosen:
    """Some of a source's pictures."""

    def __init__(self, source: Source, rows: Sequence[int]) -> None:
        self.kind, self.spec, self._source, self._rows = source.kind, source.spec, source, frozenset(rows)
        self.read = source.read

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Source`."""
        return tuple(self._source.notes)

    def entries(self) -> Iterator[Entry]:
        """See `Source`."""
        return (entry for row, entry in enumerate(self._source.entries()) if row in self._rows)


def some_of(known: Known, count: int, seed: int) -> Known:
    """So many of the pictures, drawn from ``seed``."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UsageError(f"photos={count!r}: how many of the source, at least 1")
    if count >= known.count:
        return known
    rows = random.Random(seed).sample(range(known.count), count)
    return replace(known, source=_Chosen(known.source, rows), count=count)
