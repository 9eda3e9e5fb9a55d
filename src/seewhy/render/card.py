"""A card of few words: takes a level, a sentence and lines, gives a picture; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seewhy.errors import UnknownName, UsageError
from seewhy.render.bars import INK, SOFT, Measures
from seewhy.render.sheet import Piece, Rectangle, Sheet, Text, raster
from seewhy.render.typeset import wrap

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["LEVEL_COLOURS", "card"]

#: the colours of levels, apart also for eyes that do not tell red from green: they differ in lightness
LEVEL_COLOURS = {"green": "#1f8a55", "amber": "#f0b429", "red": "#b3261e", "": "#c9c9c5"}

_LINES = 6


def card(level: str, sentence: str, lines: Sequence[tuple[str, str]], width: int = 320) -> Image.Image:
    """A band in the colour of ``level`` with its name, the ``sentence`` under it, and ``lines``, each behind a mark in
    the colour of its own level (``""`` for none), ``width`` pixels wide, as high as it takes.

    Raises `UnknownName` for a level that has no colour, and `UsageError` for less than 64 pixels.

    >>> card("green", "Believe where, not how much.", [("green", "gain: 3.1")], 160).width
    160
    """
    for each in (level, *(own for own, _ in lines)):
        if each not in LEVEL_COLOURS:
            raise UnknownName("level", each, [name for name in LEVEL_COLOURS if name], "seewhy.explanation.LEVELS")
    if width < 64:
        raise UsageError(f"a card of {width} pixels cannot hold its words; use 64 or more")
    px = Measures(width)
    margin, step = px(12), px(8)
    items: list[Piece] = [Rectangle(0, 0, width, px.head + 2 * step, LEVEL_COLOURS[level])]
    ink = INK if level == "amber" else "#ffffff"
    items.append(Text(margin, step + px.head * 0.85, level, px.head, ink))
    y = float(px.head + 2 * step + px(6))
    for line in wrap(sentence, px.large, width - 2 * margin, _LINES):
        y += px.large + px(4)
        items.append(Text(margin, y, line, px.large, INK))
    y += px(10)
    mark = px.small * 0.7
    for own, words in lines:
        for n, line in enumerate(wrap(words, px.small, width - 3 * margin, 2)):
            y += px.small + px(5)
            if n == 0:
                items.append(Rectangle(margin, y - mark, mark, mark, LEVEL_COLOURS[own]))
            items.append(Text(margin + 1.8 * mark, y, line, px.small, INK if n == 0 else SOFT))
    return raster(Sheet(width, round(y) + margin, tuple(items)))
