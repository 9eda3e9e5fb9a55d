"""Rows of a run: takes a run, gives so many of its rows as are looked at, sorted and filtered, with their pictures;
holds a few columns of its index."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.api.given.of_run import RunPhotos
from seewhy.explanation import LEVELS, Explanation
from seewhy.models import Model
from seewhy.runs.opened import Run
from seewhy.web.photos import Recent, jpeg
from seewhy.web.problems import Problem

__all__ = ["SORTS", "Query", "Rows"]

#: what rows are sorted by
SORTS = ("row", "class", "prediction", "probability", "score", "status", "error", "trust", "path", "group")
_COLUMNS = [
    "row", "path", "group", "truth", "labels", "method", "layer", "target", "prediction", "prediction_label",
    "probability", "score", "status", "reason", "trust", "trust_says",
]  # fmt: skip
#: orders that are held, and small pictures
_ORDERS, _THUMBS = 16, 4000
#: rows that are given at a time, and pixels of a small picture
MOST, SIDES = 500, (48, 512)


@dataclass(frozen=True)
class Query:
    """Which rows, and in which order."""

    sort: str = "row"
    descending: bool = False
    truth: int | None = None
    prediction: int | None = None
    status: str | None = None
    method: str | None = None
    group: str | None = None
    trust: str | None = None
    search: str = ""
    wrong: bool | None = None


class Rows:
    """The rows of a run."""

    def __init__(self, run: Run, model: Model | None) -> None:
        self.run, self._lock = run, threading.Lock()
        self._photos = RunPhotos(run, model)
        self._photos.__enter__()
        self._orders, self._thumbs = Recent(_ORDERS), Recent(_THUMBS)
        table = run.table(_COLUMNS)
        self._columns: dict[str, list[Any]] = {name: table.column(name).to_pylist() for name in _COLUMNS}

    def __len__(self) -> int:
        return len(self._columns["row"])

    @property
    def note(self) -> str:
        """What of the photos is missing, in words."""
        return self._photos.note

    def _number(self, name: str) -> NDArray[np.float64]:
        return np.array([np.nan if each is None else each for each in self._columns[name]], dtype=np.float64)

    @cached_property
    def _numbers(self) -> dict[str, NDArray[np.float64]]:
        """Columns to sort and to filter by, NaN for nothing."""
        found = {name: self._number(name) for name in ("row", "truth", "prediction", "probability", "score")}
        known = ~np.isnan(found["truth"]) & ~np.isnan(found["prediction"])
        wrong = np.where(known, found["truth"] != found["prediction"], np.nan)
        sure = found["probability"]
        # the surest mistake first, then right answers by what they lack
        levels = dict(zip(LEVELS, range(len(LEVELS)), strict=True))
        found["trust"] = np.array([levels.get(each, np.nan) for each in self._columns["trust"]], dtype=np.float64)
        return found | {"wrong": wrong, "error": np.where(wrong == 1, 1 + sure, np.where(wrong == 0, 1 - sure, np.nan))}

    @cached_property
    def _labels(self) -> dict[int, str]:
        """What classes are called: by the model, else by the source."""
        found: dict[int, str] = {}
        for truth, labels in zip(self._columns["truth"], self._columns["labels"], strict=True):
            if truth is not None and labels and len(labels) == 1:
                found[truth] = labels[0]
        names = zip(self._columns["prediction"], self._columns["prediction_label"], strict=True)
        return found | {said: label for said, label in names if said is not None and label}

    def _label(self, index: int | None) -> str | None:
        return None if index is None else self._labels.get(index, f"class {index}")

    def document(self) -> dict[str, Any]:
        """What the run is."""
        columns = self._columns
        classes = sorted({each for name in ("truth", "prediction") for each in columns[name] if each is not None})

        def different(name: str) -> list[str]:
            return sorted({each for each in columns[name] if each})

        return {
            "place": self.run.place, "source": str(self.run.manifest.taken.get("source", "")),
            "pictures": self.run.manifest.count, "rows": len(self), "complete": self.run.complete,
            "methods": different("method"), "layers": different("layer"), "groups": different("group"),
            "trusts": different("trust"),
            "classes": [{"index": each, "label": self._label(each)} for each in classes],
            "statuses": dict(Counter(columns["status"])), "sorts": list(SORTS), "note": self.note,
        }  # fmt: skip

    def _order(self, query: Query) -> NDArray[np.int64]:
        """The numbers of all rows that are meant, in order."""
        keep = np.ones(len(self), dtype=bool)
        numbers, columns = self._numbers, self._columns
        for name, wanted in (("truth", query.truth), ("prediction", query.prediction)):
            if wanted is not None:
                keep &= numbers[name] == wanted
        if query.wrong is not None:
            keep &= numbers["wrong"] == query.wrong
        for name, word in (
            ("status", query.status), ("method", query.method), ("group", query.group), ("trust", query.trust)
        ):  # fmt: skip
            if word is not None:
                keep &= np.array([each == word for each in columns[name]], dtype=bool)
        if query.search:
            part = query.search.lower()
            keep &= np.array([part in each.lower() for each in columns["path"]], dtype=bool)
        kept = np.flatnonzero(keep)
        by = {"class": "truth"}.get(query.sort, query.sort)
        if by in numbers:
            keys = numbers[by][kept]
            # what has no number stays last, whichever way
            order = np.argsort(np.where(np.isnan(keys), np.inf, -keys if query.descending else keys), kind="stable")
        else:
            words = np.array([columns[by][n] or "" for n in kept], dtype=object)
            ranks = np.unique(words, return_inverse=True)[1] if len(words) else np.zeros(0, dtype=np.int64)
            order = np.argsort(-ranks if query.descending else ranks, kind="stable")
        return kept[order]

    def some(self, query: Query, offset: int, limit: int) -> dict[str, Any]:
        """How many rows are meant, and those from ``offset``. Raises `Problem` for an order that there is not."""
        if query.sort not in SORTS:
            raise Problem(422, f"no order {query.sort!r}: {', '.join(SORTS)}")
        order = self._orders.get(query, lambda: self._order(query))
        return {"count": len(order), "rows": [self.row(int(n)) for n in order[offset : offset + limit]]}

    def row(self, number: int) -> dict[str, Any]:
        """One row."""
        if not 0 <= number < len(self):
            raise Problem(404, f"no row {number}: there are {len(self)}")
        told = {name: self._columns[name][number] for name in _COLUMNS if name != "labels"}
        wrong = self._numbers["wrong"][number]
        return {
            **told, "number": number, "picture": told["row"], "truth_label": self._label(told["truth"]),
            "wrong": None if np.isnan(wrong) else bool(wrong),
        }  # fmt: skip

    def explanation(self, number: int) -> Explanation:
        """A row's map, over its photo where that can be read. Raises `Problem` for a row that has none."""
        if self.row(number)["status"] == "failed":
            raise Problem(404, f"row {number} has no map: {self._columns['reason'][number]}")
        with self._lock:
            one = replace(self.run[number], name=self._columns["path"][number])
            if not self._photos.laid:
                return one
            return self._photos.over([one], self._photos.entry(number))[0]

    def thumb(self, number: int, side: int, *, with_map: bool) -> bytes:
        """A small picture of a row, with its map over it or without. Raises `Problem` for a row that there is not."""
        side = min(max(side, SIDES[0]), SIDES[1])

        def draw() -> bytes:
            failed = self.row(number)["status"] == "failed"
            if not self._photos.readable or (with_map and not failed and not self._photos.laid):
                if failed:
                    raise Problem(404, f"row {number} has no map, and no photo that could be read")
                return jpeg(self.explanation(number).heatmap(caption=False, width=side), side)
            if with_map and not failed:
                return jpeg(self.explanation(number).overlay(caption=False), side)
            with self._lock:
                photo = self._photos.photo(self._photos.entry(number))
            return jpeg(photo.pixels, side)

        return self._thumbs.get((number, side, with_map), draw)
