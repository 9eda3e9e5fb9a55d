"""A report of explanations: takes those of one image after the other, keeps small pictures and words, gives a page;
holds no map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

import seewhy.methods  # noqa: F401 - fills the registry
from seewhy.api.reporting.maps import figures_of, is_flat, status_badge
from seewhy.api.reporting.wording import ROWS, Asked, joined, provenance_of, settings_in_words, table_of, trust_badge
from seewhy.explanation import Cost, Explanation, Trust
from seewhy.explanation.arrange import image_key
from seewhy.explanation.plain import common_notes
from seewhy.registry import methods as registry
from seewhy.reports.page import (
    Badge,
    Block,
    Cell,
    Details,
    Figure,
    Figures,
    Heading,
    Link,
    Number,
    Page,
    Points,
    Section,
    Words,
)

__all__ = ["Explained"]

#: pictures that a page shows at most; maps that come after them have a row of the table
PICTURES = 600
#: photos that a line of Python names
_NAMED = 6


@dataclass
class _Method:
    """What is known of a method's maps on a page."""

    layers: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)


class Explained:
    """A page in the making: `add` what was found of images, in any number of calls."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Cell]] = []
        self._blocks: list[Block] = []
        self._methods: dict[str, _Method] = {}
        self._origins: list[Mapping[str, Any]] = []
        self._names: list[str] = []
        self._targets: dict[str, list[int | None]] = {}
        self._own_top = True
        self._cost = Cost()
        self._failed: list[str] = []
        self._pictures = self._images = self._maps = self._without = 0

    @property
    def images(self) -> int:
        """How many images there are so far."""
        return self._images

    def add(self, explanations: Sequence[Explanation], cost: Cost | None = None) -> None:
        """Draw explanations of one image or several, and keep the pictures; ``cost`` is what all took together."""
        for _, group in groupby(explanations, key=image_key):
            self._image(list(group))
        self._cost += Cost.total(each.cost for each in explanations) if cost is None else cost

    def fail(self, reason: str) -> None:
        """An image of which there is no explanation, and why."""
        self._failed.append(reason)

    def keep(self, name: str, told: Mapping[str, Any], picture: bytes | None) -> None:
        """An image that an earlier call has explained: what was told of it as JSON, and a small ``picture`` of all its
        maps."""
        self._images += 1
        self._names.append(name)
        some = list(told.get("explanations") or ())
        self._maps += len(some)
        for each in some:
            if len(self._rows) < ROWS:
                self._rows.append(_kept_row(name, each))
            if origin := each.get("provenance"):
                self._origin(origin)
        if picture is None or self._pictures >= PICTURES:
            self._without += len(some)
            return
        self._pictures += 1
        lines = ["explained by an earlier run of the same question, and kept"]
        self._blocks += [Heading(name), Figures([Figure(picture, f"Maps of {name}", name, lines, drawing=True)])]

    def _image(self, some: Sequence[Explanation]) -> None:
        first, name = some[0], some[0].name or f"image {self._images + 1}"
        self._images += 1
        self._maps += len(some)
        self._names.append(name)
        self._targets[f"{len(self._targets)}"] = [each.target_index for each in some]
        anchors = [f"map-{self._maps - len(some) + n + 1}" for n in range(len(some))]
        drawn = self._pictures < PICTURES
        for each, anchor in zip(some, anchors, strict=True):
            self._note(each)
            if len(self._rows) < ROWS:
                self._rows.append(_row(name, each, anchor if drawn else ""))
        if not drawn:
            self._without += len(some)
            return
        figures = figures_of(some, anchors)
        self._pictures += sum(figure.image is not None for figure in figures)
        guess = first.prediction
        self._blocks.append(Heading(name, [] if guess is None else [Badge(f"predicted {guess}")]))
        self._blocks += [Words(note, note=True) for note in common_notes(some)]
        self._blocks.append(Figures(figures))
        common = common_notes(some)
        own = [f"{each.method}: {note}" for each in some for note in each.notes if note not in common]
        self._blocks += [Points(own)] if own else []
        if trusted := [block for each in some if each.trust is not None for block in _trusted(each, each.trust)]:
            self._blocks.append(Details("How far to believe these maps: what was measured", trusted))

    def _note(self, each: Explanation) -> None:
        known = self._methods.setdefault(each.method, _Method())
        for words, into in (
            (each.layer or "input", known.layers),
            (settings_in_words(each.parameters), known.settings),
        ):
            if words and words not in into:
                into.append(words)
        known.parameters |= each.parameters
        self._own_top = self._own_top and each.prediction is not None and each.target_index == each.prediction.index
        self._origin(each.provenance)

    def _origin(self, origin: Mapping[str, Any]) -> None:
        if origin not in self._origins[-8:]:
            self._origins.append(origin)

    def page(self, asked: Asked, title: str | None = None) -> Page:
        """The page of all that was added."""
        model = joined(each.get("model") for each in self._origins)
        sections = []
        if self._blocks:
            scale = (
                "Under each map stands what its colours mean, in the unit of its values; maps of a photo by one method "
                "at one layer share a scale, different methods never do."
            )
            sections.append(Section("Maps", [Words(scale, note=True), *self._blocks]))
        table = table_of("Every map: what it explains, how far it reaches, what it cost", _one_unit(self._rows))
        sections.append(Section("Numbers", [*table, *self._rest()]))
        if self._methods:
            sections.append(Section("Methods", self._of_methods()))
        if self._failed:
            sections.append(Section("Not explained", [Points(self._failed)]))
        photos, maps = f"photo{'s' * (self._images != 1)}", f"map{'s' * (self._maps != 1)}"
        what = f"{self._images} {photos}, {self._maps} {maps} by {', '.join(self._methods) or 'no method'}"
        lead: list[Block] = [Words(f"Why {model or 'the model'} says what it says: {what}.")]
        if self._failed:
            lead.append(Words(f"{len(self._failed)} could not be explained; the reasons are below."))
        named: list[tuple[str, Cell]] = [
            ("cost", str(self._cost)),
            ("preparation", joined(map(_prepared, self._origins))),
        ]
        made = provenance_of(asked, named, self._line(model), self._origins)
        return Page(title or f"Explanations: {model or 'a model'}", lead, sections, made)

    def _rest(self) -> list[Block]:
        found: list[Block] = []
        if self._maps > len(self._rows):
            found.append(Words(f"The table has the first {len(self._rows):,} of {self._maps:,} maps.", note=True))
        if self._without:
            found.append(
                Words(
                    f"{self._without:,} maps have no picture here: a page shows {PICTURES} pictures, the first ones.",
                    note=True,
                )
            )
        return found

    def _of_methods(self) -> list[Block]:
        rows: list[dict[str, Cell]] = []
        for name, known in self._methods.items():
            card = registry[name].card if name in registry else None
            rows.append(
                {
                    "method": name, "where": ", ".join(known.layers[:8]) + ("…" if len(known.layers) > 8 else ""),
                    "settings": "; ".join(known.settings[:4]), "what it computes": card.formula if card else "",
                    "values are": _unit(card.unit) if card else "", "paper": card.paper if card else "",
                    "beware": "; ".join(card.caveats) if card else "",
                }
            )  # fmt: skip
        return table_of("Where the maps come from", rows)

    def _line(self, model: str) -> str:
        """The call that makes the same, as far as results say what it was."""
        names = [repr(name) for name in self._names[:_NAMED]]
        photos = f"[{', '.join(names)}]" if len(self._names) <= _NAMED else "photos"
        own = {
            key: value
            for name, known in self._methods.items()
            for key, value in known.parameters.items()
            if name in registry and key in registry[name].parameters and isinstance(value, int | float | str)
        }
        sets = {tuple(dict.fromkeys(some)) for some in self._targets.values()}
        target = "" if self._own_top or len(sets) != 1 else f", target={list(next(iter(sets)))}"
        words = "".join(f", {key}={value!r}" for key, value in own.items())
        return (
            f"maps = seewhy.explain_all({model!r}, {photos}, method={list(self._methods)}{target}{words})\n"
            'seewhy.report(maps, "report.html")'
        )


def _row(name: str, each: Explanation, anchor: str) -> dict[str, Cell]:
    finite = each.values[_finite(each)]
    return {
        "photo": name, "method": Link(each.method, anchor) if anchor else each.method, "layer": each.layer or "input",
        "target": each.target, "against": each.contrast, "score": Number(each.score), "unit": each.unit,
        "status": status_badge(each), "trust": None if each.trust is None else trust_badge(each.trust),
        "highest": Number(float(finite.max())) if finite.size else None,
        "lowest": Number(float(finite.min())) if finite.size else None, "map's unit": each.map_unit,
        "values": "×".join(map(str, each.values.shape[-2:] if is_flat(each) else each.values.shape)),
        "forwards": Number(each.cost.forwards), "backwards": Number(each.cost.backwards),
        "seconds": Number(each.cost.seconds, f"{each.cost.seconds:.2f}"),
    }  # fmt: skip


def _one_unit(rows: Sequence[dict[str, Cell]]) -> list[dict[str, Cell]]:
    """Rows whose units are all the same, without a column for that: its head says it."""
    units = {row["unit"] for row in rows}
    if len(units) != 1 or not (unit := units.pop()):
        return list(rows)
    named = {"score": f"score, {unit}"}
    return [{named.get(name, name): cell for name, cell in row.items() if name != "unit"} for row in rows]


def _finite(each: Explanation) -> Any:
    return np.isfinite(each.values)


def _kept_row(name: str, told: Mapping[str, Any]) -> dict[str, Cell]:
    """The same of what JSON says."""
    status, trust, map_, cost = (told.get(key) or {} for key in ("status", "trust", "map", "cost"))
    code = str(status.get("code", ""))
    level = {"green": "good", "amber": "doubt", "red": "bad"}.get(str(trust.get("level", "")))
    return {
        "photo": name, "method": str(told.get("method", "")), "layer": str(told.get("layer") or "input"),
        "target": str(told.get("target", "")), "against": told.get("contrast"), "score": _number(told.get("score")),
        "unit": str(told.get("unit") or ""),
        "status": Badge(code, "good" if code == "ok" else "doubt") if code else None,
        "trust": Badge(f"trust: {trust['level']}", level) if level else None, "highest": _number(map_.get("max")),
        "lowest": _number(map_.get("min")), "map's unit": str(map_.get("unit") or ""),
        "values": "×".join(map(str, (map_.get("shape") or ())[-2:])), "forwards": _number(cost.get("forwards")),
        "backwards": _number(cost.get("backwards")), "seconds": _number(cost.get("seconds")),
    }  # fmt: skip


def _number(value: Any) -> Number | None:
    return Number(float(value)) if isinstance(value, int | float) else None


def _trusted(explanation: Explanation, trust: Trust) -> list[Block]:
    """A trust card, measure by measure."""
    rows: list[dict[str, Cell]] = [
        {
            "measure": each.name, "level": Badge(each.level, _LEVELS[each.level]) if each.level else "decides nothing",
            "value": Number(each.value), "unit": each.unit, "rank among controls": Number(each.rank),
            "held against": each.thresholds, "in words": each.says,
        }
        for each in trust.measures
    ]  # fmt: skip
    of = f"{explanation.method} for {explanation.target}"
    said = Words(f"{of}: {trust.sentence}", badge=trust_badge(trust))
    return [said, *table_of(f"What was measured of {of}; it took {trust.cost}", rows)]


_LEVELS = {"green": "good", "amber": "doubt", "red": "bad"}


def _unit(unit: str) -> str:
    return unit.replace("{score}", "the score's unit").replace("{place}", "value there")


def _prepared(origin: Mapping[str, Any]) -> str:
    prepared = origin.get("prepared")
    if not isinstance(prepared, Mapping):
        return ""
    return "a prepared form of the network" if prepared.get("used") else f"none: {prepared.get('why', '')}"
