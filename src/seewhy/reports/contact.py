"""A contact sheet: takes the explanations of one photo after the other, gives strips of small pictures and pages of
them; keeps no explanation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from seewhy.explanation.cuts import cuts, is_volume, strongest
from seewhy.explanation.figure import photo_cell
from seewhy.explanation.picture import bar_of, drawable, look, pixels, titles
from seewhy.render import Cell, grid, write

if TYPE_CHECKING:
    from pathlib import Path

    from seewhy.explanation import Explanation, Gallery
    from seewhy.reports.folder import Folder

__all__ = ["ContactSheet", "strip", "tiles_strip"]

#: pixels of a small picture
_CELL = 144
#: small pictures in a strip, the photo among them
_MOST = 10
#: pixels that a page is at most wide and high, and between strips
_WIDE, _HIGH, _GAP = 1800, 6000, 8


def strip(explanations: Sequence[Explanation]) -> Image.Image | None:
    """One photo and its maps, small, side by side, of a volume the slice at the strongest place of its first map; None
    where none of them is a picture."""
    shown = [explanation for explanation in explanations if drawable(explanation)]
    if not shown:
        return None
    place = strongest(shown[0]) if is_volume(shown[0]) else None
    shown = [cuts(explanation, place)[0] if is_volume(explanation) else explanation for explanation in shown]
    cells = [photo_cell(shown[0], _CELL * 2)] if shown[0].image is not None else []
    cells += [_cell(explanation) for explanation in shown[: _MOST - len(cells)]]
    return grid([cells], cell=_CELL)


def tiles_strip(gallery: Gallery) -> Image.Image:
    """The tiles of a gallery, small, side by side."""
    return grid([[Cell(tile.pixels, tile.title[:2], bar=tile.bar) for tile in gallery.tiles[:_MOST]]], cell=_CELL)


def _cell(explanation: Explanation) -> Cell:
    seen = look(explanation, most=_CELL * 2)
    return Cell(pixels(explanation, seen), titles(explanation)[:2], seen.note, bar_of(explanation, seen))


class ContactSheet:
    """Pages of strips, below each other and, where there is room, in several columns; each is written into ``folder``
    as soon as it is full, so that no more than one is held."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._strips: list[Image.Image] = []
        #: the pages written so far
        self.files: list[Path] = []

    def add(self, one: Image.Image) -> None:
        """The next strip."""
        self._strips.append(one)
        if len(self._strips) >= self._room()[0] * self._room()[1]:
            self.finish()

    def finish(self) -> None:
        """Write what is left."""
        if not self._strips:
            return
        columns, _ = self._room()
        width, _ = self._largest()
        lines = [self._strips[at : at + columns] for at in range(0, len(self._strips), columns)]
        heights = [max(one.height for one in line) for line in lines]
        across, down = len(lines[0]) * (width + _GAP) - _GAP, sum(heights) + _GAP * (len(lines) - 1)
        page, top = Image.new("RGB", (across, down), "white"), 0
        for line, height in zip(lines, heights, strict=True):
            for n, one in enumerate(line):
                page.paste(one, (n * (width + _GAP), top))
            top += height + _GAP
        self.files.append(write(page, self._folder.free("contact", "png"), force=True))
        self._strips.clear()

    def _largest(self) -> tuple[int, int]:
        return max(one.width for one in self._strips), max(one.height for one in self._strips)

    def _room(self) -> tuple[int, int]:
        """How many strips lie side by side, and below each other."""
        width, height = self._largest()
        return max(1, (_WIDE + _GAP) // (width + _GAP)), max(1, (_HIGH + _GAP) // (height + _GAP))
