"""A report of explanations: takes those of one image after the other, keeps small pictures and words, gives a page;
holds no map."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from PIL import Image

import seewhy.methods  # noqa: F401 - fills the registry
from seewhy.api.reporting.maps import figures_of
from seewhy.api.reporting.rows import kept_row, one_unit, row_of, trust_blocks
from seewhy.api.reporting.wording import (
    REPORT,
    ROWS,
    Asked,
    joined,
    listed,
    provenance_of,
    settings_in_words,
    spec_or_name,
    table_of,
)
from seewhy.explanation import Cost, Explanation
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
    Page,
    Points,
    Section,
    Words,
    held,
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
        self._targets: list[list[int | None]] = []
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
                self._rows.append(kept_row(name, each))
            if origin := each.get("provenance"):
                self._origin(origin)
        if picture is None or self._pictures >= PICTURES:
            self._without += len(some)
            return
        self._pictures += 1
        lines = ["explained by an earlier run of the same question, and kept"]
        # as a JPEG: files of photos as PNGs would be held by the hundred
        with Image.open(io.BytesIO(picture)) as file:
            small = held(file)
        self._blocks += [Heading(name), Figures([Figure(small, f"Maps of {name}", name, lines, drawing=True)])]

    def _image(self, some: Sequence[Explanation]) -> None:
        first, name = some[0], some[0].name or f"image {self._images + 1}"
        self._images += 1
        self._maps += len(some)
        self._names.append(name)
        self._targets.append([each.target_index for each in some])
        anchors = [f"map-{self._maps - len(some) + n + 1}" for n in range(len(some))]
        drawn = self._pictures < PICTURES
        for each, anchor in zip(some, anchors, strict=True):
            self._note(each)
            if len(self._rows) < ROWS:
                self._rows.append(row_of(name, each, anchor if drawn else ""))
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
        if trusted := [block for each in some if each.trust is not None for block in trust_blocks(each, each.trust)]:
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
        table = table_of("Every map: what it explains, how far it reaches, what it cost", one_unit(self._rows))
        sections.append(Section("Numbers", [*table, *self._rest()]))
        if self._methods:
            sections.append(Section("Methods", self._of_methods()))
        if self._failed:
            sections.append(Section("Not explained", listed(self._failed)))
        photos, maps = f"photo{'s' * (self._images != 1)}", f"map{'s' * (self._maps != 1)}"
        what = f"{self._images} {photos}, {self._maps} {maps} by {', '.join(self._methods) or 'no method'}"
        lead: list[Block] = [Words(f"Why {model or 'the model'} says what it says: {what}.")]
        if self._failed:
            lead.append(Words(f"{len(self._failed)} could not be explained; the reasons are below."))
        named: list[tuple[str, Cell]] = [
            ("cost", str(self._cost)),
            ("preparation", _prepared(self._origins)),
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

    def _target(self) -> str:
        """What was explained, in the call's words; nothing for each photo's top class, and for what is no class."""
        each = [list(dict.fromkeys(some)) for some in self._targets]
        if self._own_top or not each or any(None in some for some in each):
            return ""
        same = all(some == each[0] for some in each)
        if same and len(each[0]) == 1:
            return f", target={each[0][0]}"
        if same:
            return f", target={each[0]}" if len(each) == 1 else f", target=[{each[0]}] * {len(each)}"
        return f", target={each}" if len(each) <= _NAMED else ", target=targets"

    def _line(self, model: str) -> str:
        """The call that makes the same, as far as results say what it was."""
        names = [repr(name) for name in self._names[:_NAMED]]
        photos = f"[{', '.join(names)}]" if len(self._names) <= _NAMED else "photos"
        own: dict[str, set[Any]] = {}
        for name, known in self._methods.items():
            defaults = registry[name].parameters if name in registry else {}
            for key, value in known.parameters.items():
                if key in defaults and value != defaults[key] and isinstance(value, int | float | str):
                    own.setdefault(key, set()).add(value)
        words = "".join(f", {key}={values.pop()!r}" for key, values in own.items() if len(values) == 1)
        asked = f"method={list(self._methods)}{self._target()}{words}"
        return f"found = seewhy.explain_all({spec_or_name(model)}, {photos}, {asked})\n{REPORT}"


def _unit(unit: str) -> str:
    return unit.replace("{score}", "the score's unit").replace("{place}", "value there")


def _prepared(origins: Sequence[Mapping[str, Any]]) -> str:
    """Whether a prepared form of the network was used, and why not where there is one reason."""
    told = [each["prepared"] for each in origins if isinstance(each.get("prepared"), Mapping)]
    used = [bool(each.get("used")) for each in told]
    if not any(used):
        return f"none: {told[0].get('why', '')}" if len(told) == 1 else "none" * bool(told)
    return "a prepared form of the network" + ("" if all(used) else ", for some of the photos")
