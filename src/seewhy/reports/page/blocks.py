"""What a page is made of: takes words, numbers and pictures, gives frozen records of them. Text is text, whatever it
holds; nothing here is markup."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from seewhy.errors import UsageError

__all__ = [
    "BADGES",
    "Badge",
    "Block",
    "Cell",
    "Code",
    "Details",
    "Figure",
    "Figures",
    "Heading",
    "Link",
    "Number",
    "Page",
    "Pairs",
    "Points",
    "Scale",
    "Section",
    "Table",
    "Words",
    "figures_of",
]

#: kinds of badges; each has a sign and a word beside its colour
BADGES = ("good", "doubt", "bad", "plain")
_ANCHOR = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Badge:
    """A verdict or a status in a word or two, of a ``kind`` of `BADGES`."""

    words: str
    kind: str = "plain"

    def __post_init__(self) -> None:
        if self.kind not in BADGES:
            raise UsageError(f"no badge {self.kind!r}; one of {', '.join(BADGES)}")


@dataclass(frozen=True)
class Number:
    """A number as it is, by which tables are sorted, and as it is ``shown``: three digits unless given. One that is not
    finite is a dash."""

    value: float
    shown: str = ""

    @property
    def known(self) -> bool:
        """Whether there is a number."""
        return math.isfinite(self.value)

    @property
    def words(self) -> str:
        """What is read.

        >>> Number(0.12345).words, Number(-1234567).words, Number(float("nan")).words, Number(0.5, "50 %").words
        ('0.123', '−1,234,567', '–', '50 %')
        """
        if self.shown:
            return self.shown
        if not self.known:
            return "–"
        whole = float(self.value).is_integer() and abs(self.value) < 1e15
        return (f"{self.value:,.0f}" if whole else f"{self.value:.3g}").replace("-", "−")


@dataclass(frozen=True)
class Link:
    """Words that lead to a place of the same page, the ``anchor`` of a figure or a heading."""

    words: str
    anchor: str

    def __post_init__(self) -> None:
        _check_anchor(self.anchor)


#: what stands in a cell of a table, or beside a name
Cell = str | Number | Badge | Link | None


@dataclass(frozen=True)
class Words:
    """A paragraph, behind a ``badge`` if it has one; a ``note`` is set smaller."""

    kind: ClassVar[str] = "words"
    text: str
    note: bool = False
    badge: Badge | None = None


@dataclass(frozen=True)
class Points:
    """Sentences, one below the other, each with a badge if it has one."""

    kind: ClassVar[str] = "points"
    items: Sequence[str]
    badges: Sequence[Badge | None] = ()

    @property
    def both(self) -> list[tuple[str, Badge | None]]:
        """Each with its badge."""
        return list(zip(self.items, [*self.badges, *[None] * (len(self.items) - len(self.badges))], strict=True))


@dataclass(frozen=True)
class Code:
    """What can be typed, in lines, and where (``what``): a shell, or Python."""

    kind: ClassVar[str] = "code"
    text: str
    what: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines of it."""
        return self.text.split("\n")


@dataclass(frozen=True)
class Pairs:
    """Names with what belongs to them; those with None or "" are left out."""

    kind: ClassVar[str] = "pairs"
    rows: Sequence[tuple[str, Cell]]

    @property
    def known(self) -> list[tuple[str, Cell]]:
        """Those that have something."""
        return [(name, cell) for name, cell in self.rows if cell is not None and cell != ""]


@dataclass(frozen=True)
class Table:
    """Rows of cells under ``heads``, by which a reader sorts them; the ``caption`` says what they are."""

    kind: ClassVar[str] = "table"
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.heads):
                raise UsageError(f"a table of {len(self.heads)} columns has a row of {len(row)}: {self.caption}")

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers alone."""
        columns = list(zip(*self.rows, strict=True)) if self.rows else [()] * len(self.heads)
        return [
            any(isinstance(cell, Number) for cell in column) and all(isinstance(cell, Number | None) for cell in column)
            for column in columns
        ]


@dataclass(frozen=True)
class Scale:
    """What colours stand for: those of a colormap of seewhy's own, from ``low`` to ``high``, in a ``unit``."""

    colours: str
    low: float
    high: float
    unit: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture file (``image``, see `seewhy.reports.page.held`; None for none), for whom cannot see it ``alt``, a
    ``title``, ``lines`` under it, and what its colours stand for. A ``drawing`` has type in it, which has to stay
    legible; it is as wide as the page."""

    image: bytes | None
    alt: str
    title: str
    lines: Sequence[str] = ()
    badges: Sequence[Badge] = ()
    scale: Scale | None = None
    drawing: bool = False
    anchor: str = ""

    def __post_init__(self) -> None:
        if self.anchor:
            _check_anchor(self.anchor)


@dataclass(frozen=True)
class Figures:
    """Figures side by side, as many as there is room for."""

    kind: ClassVar[str] = "figures"
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Heading:
    """The title of what follows within a section."""

    kind: ClassVar[str] = "heading"
    text: str
    badges: Sequence[Badge] = ()
    anchor: str = ""

    def __post_init__(self) -> None:
        if self.anchor:
            _check_anchor(self.anchor)


@dataclass(frozen=True)
class Details:
    """Blocks that are shown when asked for, and printed in any case."""

    kind: ClassVar[str] = "details"
    summary: str
    blocks: Sequence[Block]


Block = Words | Points | Code | Pairs | Table | Figures | Heading | Details


@dataclass(frozen=True)
class Section:
    """Blocks under a title of their own."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A whole page: ``lead`` is what it says in a sentence or two, ``provenance`` where all of it comes from."""

    title: str
    lead: Sequence[Block]
    sections: Sequence[Section]
    provenance: Sequence[Block]


def figures_of(page: Page) -> Iterator[Figure]:
    """All figures of a page that have a picture, in the order of the page."""
    blocks: list[Block] = [*page.lead, *(block for section in page.sections for block in section.blocks)]
    blocks += page.provenance
    while blocks:
        block = blocks.pop(0)
        if isinstance(block, Details):
            blocks = [*block.blocks, *blocks]
        elif isinstance(block, Figures):
            yield from (figure for figure in block.figures if figure.image is not None)


def _check_anchor(anchor: str) -> None:
    if not _ANCHOR.fullmatch(anchor):
        raise UsageError(f"{anchor!r} names no place of a page: small letters, digits and hyphens")
