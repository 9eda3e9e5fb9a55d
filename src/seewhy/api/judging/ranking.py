"""A ranking of methods: takes what was found of each image, gives it counted, in words, tables and pictures; runs no
model."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seewhy.api.judging.counting import ALPHA, Difference, Standing, standings_of
from seewhy.errors import CapabilityError, UnknownName, UsageError, reason
from seewhy.explanation.plain import plain
from seewhy.html import picture, table
from seewhy.metrics import Metric
from seewhy.metrics import metrics as known
from seewhy.metrics.standing import FEWEST, needed
from seewhy.render import SUFFIXES, check, embedded, write, write_bytes
from seewhy.render.plots import document, drawn
from seewhy.render.standings import Line, Panel, standings

__all__ = ["Ranking"]

#: figures of a number that is shown
_DIGITS = 3


@dataclass(frozen=True, eq=False)
class Ranking:
    """Methods compared by metrics on many images, each held against maps that know nothing.

    ``images`` are what was found of each, plain data: its name, what the model ``said`` and how ``sure`` it was,
    whether it is in ``doubt`` (wrong, or less than half sure), and for every class explained (``cases``) the number of
    each method's map by each metric with those of its controls. ``methods`` are those that were asked, ``left_out``
    those that could not be, and why; ``failed`` the images that could not be read. ``kind`` says whether images are
    photos or mosaics, ``chance`` what a map that knows nothing has in its own cell of a mosaic.
    """

    model: str
    kind: str
    methods: tuple[str, ...]
    metrics: tuple[Metric, ...]
    settings: Mapping[str, Any]
    images: tuple[Mapping[str, Any], ...]
    left_out: Mapping[str, str]
    failed: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    chance: float = math.nan

    @cached_property
    def _counted(self) -> dict[str, tuple[list[Standing], list[Difference]]]:
        seed = int(self.settings.get("seed", 0))
        return {metric.name: standings_of(self.images, self.methods, metric, seed=seed) for metric in self.metrics}

    def _of(self, metric: str | None) -> tuple[list[Standing], list[Difference]]:
        name = self.metrics[0].name if metric is None else metric
        if name not in self._counted:
            raise UnknownName("metric of this ranking", name, self._counted, f"one of {', '.join(self._counted)}")
        return self._counted[name]

    def standings(self, metric: str | None = None) -> list[Standing]:
        """How every method does by a metric, the first one unless another is named; the best first. Raises
        `UnknownName`."""
        return list(self._of(metric)[0])

    def differences(self, metric: str | None = None) -> list[Difference]:
        """All pairs of methods by a metric, the better one first, as paired differences. Raises `UnknownName`."""
        return list(self._of(metric)[1])

    def best(self, metric: str | None = None) -> list[str]:
        """The first method and those that cannot be told apart from it. Raises `UnknownName`."""
        rows, pairs = self._of(metric)
        known = [row.method for row in rows if row.count]
        apart = {pair.other for pair in pairs if pair.one == known[0] and pair.apart} if known else set()
        return [method for method in known if method not in apart]

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known to read the numbers, in words."""
        found = list(self.said)
        doubt = Counter(image["doubt"] for image in self.images if image.get("doubt"))
        total, what = len(self.images), self.kind
        found += [
            f"{many} of {total} {what}: {why}; counted in, and apart under 'in doubt'" for why, many in doubt.items()
        ]
        if total < FEWEST:
            found.append(f"{total} {what}: fewer than the {FEWEST} that an interval takes, so there is none")
        least = needed(len(self.methods) * (len(self.methods) - 1) // 2)
        if FEWEST <= total < least and len(self.methods) > 1:
            several = f"{total} {what} cannot tell {len(self.methods)} methods apart, whatever they show"
            found.append(f"{several}: it takes {least}, or fewer methods")
        found += [f"{method} is left out: {why}" for method, why in self.left_out.items()]
        without: dict[tuple[str, str, int], list[str]] = {}
        for name, (rows, _) in self._counted.items():
            for row in rows:
                for why, many in row.without.items():
                    without.setdefault((row.method, why, many), []).append(name)
        for (method, why, many), names in without.items():
            by = "any metric" if len(names) == len(self.metrics) else ", ".join(names)
            found.append(f"{method} has no number by {by} of {many} of {total} {what}: {why}")
        for metric in self.metrics:
            if not metric.card.better:
                continue
            same = [row.method for row in self._counted[metric.name][0] if row.count >= FEWEST and not row.p <= ALPHA]
            if same:
                found.append(f"{metric.name} does not tell maps of {', '.join(same)} from random ones")
        return tuple(found)

    @property
    def verdicts(self) -> dict[str, str]:
        """For each metric in a sentence who is first, and who cannot be told apart from it."""
        found = {}
        for metric in self.metrics:
            rows = [row for row in self._counted[metric.name][0] if row.count]
            if not metric.card.better or not rows:
                found[metric.name] = "neither way is better" if rows else "no method has a number"
                continue
            best = self.best(metric.name)
            if len(rows) == 1:
                found[metric.name] = f"{rows[0].method} is alone"
            elif len(best) == len(rows):
                found[metric.name] = f"{', '.join(best)} cannot be told apart"
            elif len(best) == 1:
                found[metric.name] = f"{best[0]} is first, apart from all others"
            else:
                found[metric.name] = f"{best[0]} is first; it cannot be told apart from {', '.join(best[1:])}"
        return found

    def table(self) -> list[dict[str, Any]]:
        """A row for each metric and method, the best of a metric first."""
        return [asdict(row) for metric in self.metrics for row in self._counted[metric.name][0]]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain, strictly valid JSON, with what was found of each image."""
        differences = [asdict(pair) for metric in self.metrics for pair in self._counted[metric.name][1]]
        summary: dict[str, Any] = plain(
            {
                "model": self.model, "kind": self.kind, "count": len(self.images), "settings": dict(self.settings),
                "verdicts": self.verdicts, "standings": self.table(), "differences": differences,
                "methods": list(self.methods), "metrics": [metric.name for metric in self.metrics],
                "left_out": dict(self.left_out), "notes": list(self.notes), "failed": list(self.failed),
                "said": list(self.said), "chance": self.chance,
            }
        )  # fmt: skip
        return summary | {"images": [dict(image) for image in self.images]}

    def to_markdown(self) -> str:
        """The tables as Markdown, one for each metric, with the sentences that belong to them."""
        doubt = any(image.get("doubt") for image in self.images)
        parts = [f"{len(self.images)} {self.kind}, {self.model}."]
        for metric in self.metrics:
            rows = self._counted[metric.name][0]
            better = f", {metric.card.better} is better" if metric.card.better else ""
            parts += [f"### {metric.name}{better}", f"{_capital(self.verdicts[metric.name])}.", _markdown(rows, doubt)]
        notes = "\n".join(f"- {note}" for note in (*self.notes, *self.failed))
        return "\n\n".join([*parts, *([notes] if notes else [])]) + "\n"

    def _figure(self) -> Any:
        panels = []
        for metric in self.metrics:
            lines = [
                Line(
                    f"{row.method}  {row.group}", row.mean, row.low, row.high, row.band,
                    {"edge map": row.edge, "centre bump": row.bump, "untrained": row.untrained},
                )
                for row in self._counted[metric.name][0]
            ]  # fmt: skip
            panels.append(Panel(metric.name, metric.card.better, lines, self.chance))
        return standings(panels, title=f"{self.model}, {len(self.images)} {self.kind}")

    def figure(self) -> Any:
        """A chart as a PIL image: each method's mean and interval over the band of its random maps, beside edge map,
        bump and untrained model. Raises `CapabilityError` without matplotlib."""
        return drawn(self._figure())

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """The file written: ``.json`` everything, ``.md`` the tables, ``.png``, ``.jpg``, ``.svg`` the chart.

        Raises `UsageError` for another suffix, and for a file that exists unless ``force``.
        """
        path = check(path, (*(suffix for suffix in SUFFIXES if suffix != ".pdf"), ".json", ".md"), force=force)
        suffix = path.suffix.lower()
        if suffix == ".json":
            text = json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"
            return write_bytes(text.encode(), path, force=force)
        if suffix == ".md":
            return write_bytes(self.to_markdown().encode(), path, force=force)
        if suffix == ".svg":
            return write(document(self._figure()), path, force=force)
        return write(self.figure(), path, force=force)

    @classmethod
    def load(cls, path: str | Path) -> Ranking:
        """The ranking in a ``.json`` file that `save` wrote. Raises `UsageError` for anything else."""
        try:
            told = json.loads(Path(path).read_text(encoding="utf-8"))
            chance = told["chance"]
            return cls(
                told["model"], told["kind"], tuple(told["methods"]), tuple(known[name] for name in told["metrics"]),
                told["settings"], tuple(told["images"]), told["left_out"], tuple(told["failed"]), tuple(told["said"]),
                math.nan if chance is None else chance,
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{str(path)!r} is no ranking that was saved as .json: {reason(error)}") from error

    def _repr_html_(self) -> str:
        try:
            shown = picture(*embedded(self.figure()), "methods by metrics")
        except CapabilityError as error:
            shown = f"<p>{error}</p>"
        parts = [shown]
        for metric in self.metrics:
            rows = [_cells(row) for row in self._counted[metric.name][0]]
            parts += [
                f"<p>{metric.name}: {self.verdicts[metric.name]}</p>",
                table(list(rows[0]), (r.values() for r in rows)),
            ]
        return f"<div>{''.join(parts)}</div>"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _shown(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.{_DIGITS}g}"


def _cells(row: Standing, *, doubt: bool = False) -> dict[str, str]:
    """A standing in words, by heading."""
    spread = "" if not math.isfinite(row.low) else f" [{_shown(row.low)}, {_shown(row.high)}]"
    band = f" ({_shown(row.band[0])} to {_shown(row.band[1])})" if math.isfinite(row.band[0]) else ""
    cells = {
        "method": row.method, "": row.group, "mean [95 %]": _shown(row.mean) + spread,
        "random maps (90 %)": _shown(row.random) + band, "edge map": _shown(row.edge), "bump": _shown(row.bump),
        "untrained": _shown(row.untrained), "mean rank": _shown(row.rank),
        "rank ≤ .05": "-" if math.isnan(row.beats) else f"{row.beats:.0%}", "images": str(row.count),
    }  # fmt: skip
    if doubt:
        cells |= {"sure": _shown(row.sure), "in doubt": _shown(row.doubtful)}
    return cells | {"passes a map": _shown(row.passes)}


def _markdown(rows: Sequence[Standing], doubt: bool) -> str:
    cells = [_cells(row, doubt=doubt) for row in rows]
    lines = [list(cells[0]), ["---"] * len(cells[0]), *(list(row.values()) for row in cells)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
