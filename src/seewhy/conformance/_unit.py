"""Units by name: takes generators with their cards, gives a table of them; builds no network and explains nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, nn

from seewhy.errors import UsageError
from seewhy.html import pairs
from seewhy.registry import PROPERTIES
from seewhy.tables import Registry

__all__ = ["CELLS", "SIDE", "Maps", "Scene", "Steps", "Unfit", "Unit", "UnitCard", "unit", "units"]

#: pictures have so many cells a side, each of so many pixels a side; a detector of a unit sees one cell
CELLS, SIDE = 4, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCard:
    """What a unit declares about itself; tables, docs and the tests' parameters come from it.

    ``property`` is one of `seewhy.registry.PROPERTIES`: what a method's card may except. ``checks`` says what a map has
    to do, ``answer`` what the exact answer is and how it is obtained, ``violated`` what a violation means.
    """

    name: str
    property: str
    checks: str
    answer: str
    violated: str
    paper: str

    def _repr_html_(self) -> str:
        return pairs((name, getattr(self, name)) for name in self.__slots__)


@dataclass(frozen=True, eq=False)
class Scene:
    """A network with its weights written down and pictures to explain: ``module`` gives scores [B, K] of ``x`` [B, 1,
    16, 16], ``target`` is the class, ``layer`` the dotted name of the layer that has one position a cell, ``again``
    the next one, which gives the same, None where there is none.

    ``answer`` [B, 4, 4] is what each cell contributes to the score beyond that of the empty picture, its exact Shapley
    value with cells as players and ``empty`` in the place of what is hidden. ``view`` is the same network as it comes,
    where scores of classes are only read off it, with the ``goal`` that it is asked about there (the map of scores of a
    segmenter, an object of a detector).
    """

    module: nn.Module
    x: Tensor
    target: int
    layer: str
    answer: Tensor
    empty: float = 0.0
    again: str | None = "2"
    view: nn.Module | None = None
    goal: Any = None

    def __post_init__(self) -> None:
        for module in (self.module, self.view):
            if module is not None:
                module.eval()


@dataclass(frozen=True, eq=False)
class Maps:
    """What an explainer gave for a scene: ``values`` [B, h, w] in float64, as fine as it explains; ``kind`` is what
    they count (`seewhy.registry.KINDS`), ``error`` how far they may be off by their own arithmetic, as a share of the
    largest."""

    values: Tensor
    kind: str
    error: float

    def only(self, row: int) -> Maps:
        """The map of one picture, alone."""
        return Maps(self.values[row : row + 1], self.kind, self.error)

    @property
    def cells(self) -> Tensor:
        """The sums over cells, [B, 4, 4]; of what has no sign, of sensitivities, the sums of their sizes."""
        values = self.values.abs() if self.kind == "sensitivity" else self.values
        batch, height, width = values.shape
        return values.reshape(batch, CELLS, height // CELLS, CELLS, width // CELLS).sum((2, 4))


class Unfit(Exception):
    """What a unit shows cannot be asked of this explainer, or not be decided, for the reason given."""


#: a unit: yields scenes, is sent the maps of each, returns what is wrong with them, '' for nothing
Steps: TypeAlias = Generator[Scene, Maps, str]


@dataclass(frozen=True, slots=True)
class Unit:
    """A registered unit: its card and its steps."""

    card: UnitCard
    steps: Callable[[], Steps]
    summary: str

    @property
    def name(self) -> str:
        """The registry key."""
        return self.card.name

    def judge(self, explain: Callable[[Scene], Maps]) -> str:
        """What is wrong with the maps that ``explain`` gives of the unit's scenes; '' for nothing. Raises what
        ``explain`` raises, and `Unfit` where the error of the maps leaves it open."""
        steps = self.steps()
        try:
            scene = next(steps)
            while True:
                scene = steps.send(explain(scene))
        except StopIteration as end:
            return str(end.value)

    def scenes(self, maps: Callable[[Scene], Maps]) -> list[Scene]:
        """The scenes that the unit yields to somebody who answers with ``maps``."""
        seen: list[Scene] = []

        def watched(scene: Scene) -> Maps:
            seen.append(scene)
            return maps(scene)

        self.judge(watched)
        return seen


#: every unit, filled when ``seewhy.conformance`` is imported
units: Registry[Unit] = Registry("unit", "seewhy conformance --list")


def unit(card: UnitCard) -> Callable[[Callable[[], Steps]], Callable[[], Steps]]:
    """Register a unit under ``card``; gives its function back unchanged.

    It is a generator without arguments that yields a `Scene`, is sent the `Maps` of it, and so on; it returns what is
    wrong with them in words, or ''. Raises `UsageError` for a property that there is not and a name that is taken.
    """

    def register(steps: Callable[[], Steps]) -> Callable[[], Steps]:
        if card.property not in PROPERTIES:
            raise UsageError(f"unit {card.name!r}: no property {card.property!r}; known: {', '.join(PROPERTIES)}")
        units.add(Unit(card, steps, (inspect.getdoc(steps) or "").split("\n", 1)[0]))
        return steps

    return register
