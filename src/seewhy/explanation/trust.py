"""How far a map is to be believed: takes numbers that were measured about it, gives one record with a level, a sentence
and a picture; measures nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import UnknownName
from seewhy.explanation.parts import Cost
from seewhy.explanation.plain import plain
from seewhy.html import pairs, table
from seewhy.render import card

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

__all__ = ["LEVELS", "Evidence", "Trust"]

#: from a map to believe to one not to: no reason to doubt it, undecided, contradicted
LEVELS = ("green", "amber", "red")


@dataclass(frozen=True, eq=False)
class Evidence:
    """One thing that was measured about a map.

    ``value`` is the number, NaN where there is none, then ``says`` tells why; ``unit`` what it is counted in.
    ``controls`` are the same number of maps that know no network, by kind: an array of the ``random`` ones, single
    numbers of others; ``rank`` is the share of maps at least as good, itself counted among the random ones: small is
    good, 1 / (1 + n) the best. ``thresholds`` are the words of what it was held against, and ``level`` what came out,
    both ``""`` for what decides nothing by itself. ``says`` is that in words.
    """

    name: str
    value: float
    says: str
    level: str = ""
    unit: str = ""
    rank: float = math.nan
    controls: Mapping[str, Any] = field(default_factory=dict)
    thresholds: str = ""

    def __post_init__(self) -> None:
        if self.level and self.level not in LEVELS:
            raise UnknownName("level", self.level, LEVELS, "seewhy.explanation.LEVELS")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain, strictly valid JSON; controls that are many as their quartiles."""
        controls = {name: _summary(value) for name, value in self.controls.items()}
        fields = ("name", "value", "unit", "rank", "level", "thresholds", "says")
        told: dict[str, Any] = plain({name: getattr(self, name) for name in fields} | {"controls": controls})
        return told


@dataclass(frozen=True, eq=False)
class Trust:
    """How far to believe a map: ``level`` (``"green"``, ``"amber"``, ``"red"``), one ``sentence``, the ``measures``
    that they follow from, each by name, and what measuring them cost.

    Green: nothing was found against it, and what it shows was found to matter. Amber: undecided. Red: the model
    contradicts it. Raises `UnknownName` for another level.

    >>> card = Trust("amber", "not measured", (Evidence("gain", 0.3, "no better than chance", "amber"),))
    >>> print(card, card["gain"].value)
    amber: not measured 0.3
    """

    level: str
    sentence: str
    measures: tuple[Evidence, ...] = ()
    cost: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise UnknownName("level", self.level, LEVELS, "seewhy.explanation.LEVELS")

    def __getitem__(self, name: str) -> Evidence:
        """The measure called ``name``; raises `UnknownName` for none."""
        for each in self.measures:
            if each.name == name:
                return each
        raise UnknownName("measure", name, [each.name for each in self.measures], "trust.measures")

    def __contains__(self, name: str) -> bool:
        return any(each.name == name for each in self.measures)

    def __iter__(self) -> Iterator[Evidence]:
        return iter(self.measures)

    @property
    def warned(self) -> bool:
        """Whether the map is to be taken with a doubt: amber or red."""
        return self.level != "green"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain, strictly valid JSON."""
        measures = {each.name: {k: v for k, v in each.to_dict().items() if k != "name"} for each in self.measures}
        return {"level": self.level, "sentence": self.sentence, "measures": measures, "cost": plain(self.cost)}

    def picture(self, width: int = 320) -> Image.Image:
        """The card as a picture, ``width`` pixels wide: the level, the sentence, and a line for each measure."""
        return card(self.level, self.sentence, self.lines(), width)

    def lines(self) -> list[tuple[str, str]]:
        """For each measure its level and a line: name, number, rank among controls."""
        return [(each.level, f"{each.name}: {_shown(each)}") for each in self.measures]

    def __str__(self) -> str:
        return f"{self.level}: {self.sentence}"

    def _repr_html_(self) -> str:
        rows = [(e.name, e.level, _number(e.value), _number(e.rank), e.thresholds, e.says) for e in self.measures]
        heads = ["measure", "level", "value", "rank", "thresholds", "what it says"]
        return f"{pairs([('trust', str(self))])}{table(heads, rows)}"


def _shown(each: Evidence) -> str:
    if not math.isfinite(each.value):
        return each.says
    words = f"{each.value:.3g} {each.unit}".strip()
    random = np.asarray(each.controls.get("random", ()), dtype=np.float64)
    if random.size and math.isfinite(each.rank):
        place = round(each.rank * (1 + random.size))
        words += f", {place} of {1 + random.size}; random {np.nanmedian(random):.3g}"
    return f"{words} ({each.thresholds})" if each.thresholds else words


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "-"


def _summary(value: Any) -> Any:
    """One number as it is; of many how many, and their least, middle and largest."""
    numbers = np.asarray(value, dtype=np.float64).ravel()
    known = numbers[np.isfinite(numbers)]
    if numbers.size <= 1 or not known.size:
        return float(known[0]) if known.size else None
    low, middle, high = np.quantile(known, (0.0, 0.5, 1.0))
    return {"n": int(numbers.size), "least": float(low), "median": float(middle), "most": float(high)}
