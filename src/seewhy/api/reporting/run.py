"""A report of a run over a data set: takes its index, gives a page of what became of its pictures, class by class, and
shows the best and the worst of them with their maps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from seewhy.api.given.of_run import RunPhotos
from seewhy.api.reporting.maps import figures_of
from seewhy.api.reporting.wording import (
    Asked,
    percent,
    provenance_of,
    settings_in_words,
    share,
    spec_or_name,
    status_badge,
    table_of,
)
from seewhy.errors import SeewhyError, reason
from seewhy.reports.page import Badge, Block, Cell, Figure, Figures, Heading, Number, Page, Pairs, Section, Words, held
from seewhy.runs.opened import Run

__all__ = ["page_of"]

#: photos of each kind that are shown, and maps of each; pictures without a map that are listed
_SHOWN, _MAPS, _FAILED = 8, 6, 200
_COLUMNS = [
    "row", "path", "labels", "truth", "method", "layer", "prediction", "prediction_label", "probability",
    "score", "status", "reason",
    "forwards", "backwards",
]  # fmt: skip


@dataclass(frozen=True)
class _Picture:
    """One picture of a run: its rows in the index, which are maps, and what the model said."""

    name: str
    maps: tuple[int, ...]
    truth: int | None
    said: int | None
    sure: float

    @property
    def right(self) -> bool | None:
        """Whether it was called what it is; None where nobody knows."""
        return None if self.truth is None or self.said is None else self.truth == self.said


def page_of(run: Run, asked: Asked, title: str | None = None) -> Page:
    """How far a run is, the states of its maps, its classes, and its best and worst pictures."""
    table = run.table(_COLUMNS).to_pydict()
    pictures, labels = _pictures(table)
    asked_ = run.manifest.asked
    model = str(asked_["model"]["name"])
    maps, failed = len(run) - run.failed, run.failed
    state = (
        Badge("complete", "good")
        if run.complete
        else Badge(f"{len(run.markers)} of {run.manifest.units} units", "doubt")
    )
    known: list[tuple[str, Cell]] = [
        ("place", run.place), ("state", state), ("pictures of", str(run.manifest.taken.get("source", ""))),
        ("pictures", Number(run.manifest.count)), ("done", Number(len(pictures))), ("maps", Number(maps)),
        ("without a map", Number(failed)), ("kept as", str(asked_.get("dtype", ""))),
        ("forwards", Number(sum(filter(None, table["forwards"])))),
        ("backwards", Number(sum(filter(None, table["backwards"])))),
    ]  # fmt: skip
    sections = [
        Section("Overview", [Pairs(known), *_states(table)]),
        Section("Best and worst", _extremes(run, pictures, labels, asked)),
        Section("Classes", _classes(pictures, labels)),
        Section("Without a map", _without(table)),
    ]
    question = {key: value for key, value in asked_["asked"].items() if value not in (None, [], {}, False)}
    versions = asked_.get("versions", {})
    named: list[tuple[str, Cell]] = [
        ("question", settings_in_words(question)), ("preprocessing", str(asked_.get("preprocessing", ""))),
        ("machine", str(asked_.get("device", ""))),
    ]  # fmt: skip
    python = (
        f"run = seewhy.run({spec_or_name(model)}, {str(run.manifest.taken.get('source', ''))!r}, {run.place!r}, "
        f'{question.get("method", "grad-cam")!r})\nseewhy.report(run, "report.html", model={spec_or_name(model)})'
    )
    origin = {
        "model": model,
        "fingerprint": asked_["model"].get("fingerprint"),
        **{key: versions.get(key) for key in ("seewhy", "torch")},
    }
    right = [each.right for each in pictures if each.right is not None]
    words = f"{maps:,} maps of {len(pictures):,} pictures by {model}"
    lead: list[Block] = [
        Words(
            f"{words}; right about {percent(sum(right) / len(right), 1)} of those whose class is known."
            if right
            else f"{words}."
        )
    ]
    made = provenance_of(replace(asked, model=None), named, python, [origin])
    return Page(title or f"Run: {model}", lead, [each for each in sections if each.blocks], made)


def _pictures(table: dict[str, list[Any]]) -> tuple[list[_Picture], dict[int, str]]:
    """The pictures of an index, and what their classes are called."""
    found: list[_Picture] = []
    labels: dict[int, str] = {}
    maps: list[int] = []
    for n, row in enumerate(table["row"]):
        maps.append(n)
        if n + 1 < len(table["row"]) and table["row"][n + 1] == row:
            continue
        first, sure = maps[0], table["probability"][maps[0]]
        said, truth = table["prediction"][first], table["truth"][first]
        if said is not None and table["prediction_label"][first]:
            labels[said] = table["prediction_label"][first]
        if truth is not None and len(table["labels"][first] or ()) == 1:
            labels.setdefault(truth, table["labels"][first][0])
        with_map = tuple(at for at in maps if table["status"][at] != "failed")
        found.append(_Picture(table["path"][first], with_map, truth, said, math.nan if sure is None else sure))
        maps = []
    return found, labels


def _states(table: dict[str, list[Any]]) -> list[Block]:
    counts = Counter(zip(table["method"], table["layer"], table["status"], strict=True))
    rows: list[dict[str, Cell]] = [
        {
            "method": method, "layer": layer or ("input" if method else None),
            "status": status_badge(status),
            "maps": Number(count),
        }
        for (method, layer, status), count in counts.most_common()
    ]  # fmt: skip
    return table_of("The states of all maps, by method and layer", rows)


def _classes(pictures: Sequence[_Picture], labels: dict[int, str]) -> list[Block]:
    by_class: dict[int, list[_Picture]] = {}
    for each in pictures:
        index = each.said if each.truth is None else each.truth
        if index is not None:
            by_class.setdefault(index, []).append(each)
    called = Counter(each.said for each in pictures)
    rows: list[dict[str, Cell]] = []
    for index, some in sorted(by_class.items(), key=lambda pair: -len(pair[1])):
        right = [each.right for each in some if each.right is not None]
        sure = [each.sure for each in some if math.isfinite(each.sure)]
        rows.append(
            {
                "class": labels.get(index, f"class {index}"), "pictures": Number(len(some)),
                "called so": Number(called[index]),
                "right": share(sum(right) / len(right)) if right else None,
                "mean confidence": share(sum(sure) / len(sure)) if sure else None,
                "without a map": Number(sum(not each.maps for each in some)),
            }
        )  # fmt: skip
    return table_of("Pictures by their class, where it is known, or by what the model calls them", rows)


def _extremes(run: Run, pictures: Sequence[_Picture], labels: dict[int, str], asked: Asked) -> list[Block]:
    some = [each for each in pictures if each.maps and math.isfinite(each.sure)]
    by_sure = sorted(some, key=lambda each: -each.sure)
    if any(each.right is not None for each in some):
        kinds = {
            "Wrong, and sure of it": [each for each in by_sure if each.right is False],
            "Right, and hardly sure": [each for each in reversed(by_sure) if each.right],
            "Right, and the surest": [each for each in by_sure if each.right],
        }
    else:
        kinds = {
            "The surest": by_sure[: len(by_sure) // 2 or 1],
            "The least sure": list(reversed(by_sure))[: len(by_sure) // 2],
        }
    found: list[Block] = []
    with _Photos(run, asked.model, asked.source) as photos:
        for kind, these in kinds.items():
            if not these:
                continue
            found.append(Heading(f"{kind}: {min(len(these), _SHOWN)} of {len(these):,}"))
            for each in these[:_SHOWN]:
                truth = "" if each.truth is None else f", is {labels.get(each.truth, f'class {each.truth}')}"
                said = labels.get(each.said, f"class {each.said}") if each.said is not None else "nothing"
                found += [
                    Words(f"{each.name}: called {said} ({percent(each.sure, 1)}){truth}"),
                    Figures(photos.figures(each)),
                ]
        return [Words(photos.note, note=True), *found] if photos.note and found else found


class _Photos(RunPhotos):
    """The photos of a run, as figures."""

    def figures(self, picture: _Picture) -> list[Figure]:
        """A picture, and its maps."""
        maps = [replace(self.run[at], name=picture.name) for at in picture.maps[:_MAPS]]
        entry = self.entry(picture.maps[0])
        try:
            if not self.readable:
                return figures_of(maps, [""] * len(maps))
            if self.laid:
                over = self.over(maps, entry)
                return figures_of(over, [""] * len(over))
            shown = Figure(held(self.photo(entry).pixels), f"The photo {entry.name}", entry.name)
            return [shown, *figures_of(maps, [""] * len(maps))]
        except (SeewhyError, OSError) as error:
            lost = Figure(None, "", picture.name, [f"the photo could not be read: {reason(error, 120)}"])
            return [lost, *figures_of(maps, [""] * len(maps))]


def _without(table: dict[str, list[Any]]) -> list[Block]:
    rows: list[dict[str, Cell]] = [
        {"picture": table["path"][n], "why": table["reason"][n] or ""}
        for n, status in enumerate(table["status"])
        if status == "failed"
    ]
    return table_of("Pictures that have no map, and why", rows, _FAILED)
