"""Takes pictures with titles, gives one figure as a raster or as an SVG; never computes a map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from seewhy.errors import UsageError
from seewhy.render.bars import INK, SOFT, Colorbar, Measures, colorbar_pieces
from seewhy.render.pdf import document
from seewhy.render.sheet import Picture, Piece, Rectangle, Sheet, Text, raster, vector
from seewhy.render.typeset import fit, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Cell", "caption", "grid", "grid_pdf", "grid_svg"]


_PANEL = "#f2f2f0"
_STRIP, _SIGNAL, _PAPER = "#16161b", "#f5b83d", "#ffffff"


@dataclass(frozen=True)
class Cell:
    """One picture of a figure: uint8 ``[H, W, 3]`` or None, the lines above it, and a warning drawn in it.

    The first title line is set larger. ``note`` is a sentence on a strip along the lower edge; in a cell
    without pixels it is the panel's only content, and without one the place stays empty. ``bar`` is the colorbar of
    this picture alone, drawn under it; ``below`` are lines under that, small.
    """

    pixels: NDArray[np.uint8] | None
    title: tuple[str, ...] = ()
    note: str = ""
    bar: Colorbar | None = None
    below: tuple[str, ...] = ()


def grid(
    cells: Sequence[Sequence[Cell]],
    *,
    cell: int = 320,
    header: str = "",
    footer: str = "",
    colorbar: Colorbar | None = None,
) -> Image.Image:
    """Rows of cells as one RGB image, each picture fitted into ``cell`` x ``cell`` pixels, never stretched.

    Type and margins grow with ``cell``, so a larger one is the same figure at a higher resolution. Rows may
    differ in length. ``colorbar`` is that of all pictures, and stands at the foot. Raises `UsageError` for an empty
    grid, a cell under 64 pixels or pixels of another type, and `UnknownName` for an unknown colormap.

    >>> tile = np.zeros((4, 4, 3), dtype=np.uint8)
    >>> grid([[Cell(tile, ("input",)), Cell(tile, ("grad-cam",))]], cell=64).mode
    'RGB'
    """
    return raster(_lay_out(cells, cell, header, footer, colorbar))


def grid_svg(
    cells: Sequence[Sequence[Cell]],
    *,
    cell: int = 320,
    header: str = "",
    footer: str = "",
    colorbar: Colorbar | None = None,
    dpi: float | None = None,
) -> str:
    """The figure of `grid` as an SVG document with real text and embedded pictures, ``dpi`` pixels an inch.

    >>> "grad-cam" in grid_svg([[Cell(None, ("grad-cam",))]])
    True
    """
    return vector(_lay_out(cells, cell, header, footer, colorbar), dpi=dpi)


def grid_pdf(
    cells: Sequence[Sequence[Cell]],
    *,
    cell: int = 320,
    header: str = "",
    footer: str = "",
    colorbar: Colorbar | None = None,
    dpi: float | None = None,
) -> bytes:
    """The figure of `grid` as a PDF file of one page, with real text, ``dpi`` pixels an inch (default 96).

    >>> grid_pdf([[Cell(None, ("grad-cam",))]])[:4]
    b'%PDF'
    """
    return document(_lay_out(cells, cell, header, footer, colorbar), dpi=dpi)


def caption(pixels: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """``pixels`` (uint8 ``[H, W, 3]``) with ``text`` on a strip along the lower edge.

    A picture too small to be read is first enlarged, pixel by pixel, by a whole number.
    """
    factor = max(1, -(-160 // pixels.shape[1]))
    large = np.repeat(np.repeat(pixels, factor, axis=0), factor, axis=1)
    height, wide = large.shape[:2]
    size = max(11, round(min(wide, 640) / 22))
    items = _strip(0, 0, wide, height, text, size)
    return np.asarray(raster(Sheet(wide, height, tuple(items)), Image.fromarray(large)))


def _lay_out(cells: Sequence[Sequence[Cell]], cell: int, header: str, footer: str, colorbar: Colorbar | None) -> Sheet:
    if not cells or not any(cells):
        raise UsageError("a figure needs at least one cell; got none")
    if cell < 64:
        raise UsageError(f"a cell of {cell} pixels cannot hold a title; use 64 or more")
    px = Measures(cell)
    margin, gap = px(28), px(16)
    columns = max(len(row) for row in cells)
    inner = columns * cell + (columns - 1) * gap
    items: list[Piece] = []
    y = float(margin)
    if header:
        for line in wrap(header, px.head, inner, 2):
            y += px.head
            items.append(Text(margin, y, line, px.head, INK))
            y += px(6)
        y += px(14)
    for row in cells:
        y = _row(items, row, margin, y, px) + px(24)
    y -= px(24)
    if footer or colorbar:
        y = _foot(items, margin, y + px(20), inner, px, footer, colorbar)
    return Sheet(inner + 2 * margin, round(y) + margin, tuple(items))


def _row(items: list[Piece], row: Sequence[Cell], left: int, top: float, px: Measures) -> float:
    """Add one row; gives its lower edge. Pictures of a row share their upper edge, whatever their titles."""
    titles = [_title(cell, px) for cell in row]
    # whole numbers, so that an SVG's pictures are as sharp as the raster's
    below = math.ceil(max((title[-1][1] + max(px(9), 6) for title in titles if title), default=0.0))
    sizes = [_fitted(cell.pixels, px.cell) for cell in row]
    panel = max((height for cell, (_, height) in zip(row, sizes, strict=True) if cell.pixels is not None), default=0)
    bottom = top + below
    for number, cell in enumerate(row):
        x = left + number * (px.cell + px(16))
        for words, drop, size, fill in titles[number]:
            items.append(Text(x, top + drop, words, size, fill))
        wide, high = sizes[number]
        if cell.pixels is None:
            high = panel or px.cell // 2
            if not cell.note:
                continue
            items.append(Rectangle(x, top + below, wide, high, _PANEL))
            lines = wrap(cell.note, px.small, wide - px(32), 4)
            first = top + below + (high - len(lines) * px(18)) / 2 + px(13)
            for line, words in enumerate(lines):
                items.append(Text(x + wide / 2, first + line * px(18), words, px.small, SOFT, "middle"))
        else:
            # Enlarged a lot, an interpolated picture would pretend to a resolution that it has not.
            smooth = wide < 4 * cell.pixels.shape[1]
            items.append(Picture(x, top + below, wide, high, cell.pixels, smooth))
            if cell.note:
                items.extend(_strip(x, top + below, wide, high, cell.note, px.small))
        low = top + below + high
        if cell.bar is not None:
            low = colorbar_pieces(items, cell.bar, x, low + px(7), wide, px)
        for place, words in enumerate(text for text in cell.below if text):
            low += px.small * 1.32
            items.append(Text(x, low, fit(words, px.small, px.cell), px.small, SOFT if place else INK))
        bottom = max(bottom, low)
    return bottom


def _title(cell: Cell, px: Measures) -> list[tuple[str, float, int, str]]:
    """The title's lines as (words, baseline below the row's top, size, colour)."""
    lines: list[tuple[str, float, int, str]] = []
    y = 0.0
    for number, text in enumerate(line for line in cell.title if line):
        size, fill = (px.large, INK) if number == 0 else (px.small, SOFT)
        for words in wrap(text, size, px.cell, 2):
            y += size if not lines else size * 1.32
            lines.append((words, y, size, fill))
    return lines


def _fitted(pixels: NDArray[np.uint8] | None, cell: int) -> tuple[int, int]:
    if pixels is None:
        return cell, cell
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise UsageError(f"a cell's pixels are uint8 (H, W, 3); got {pixels.dtype} {pixels.shape}")
    height, wide = pixels.shape[:2]
    factor = cell / max(height, wide)
    return max(1, round(wide * factor)), max(1, round(height * factor))


def _strip(x: float, y: float, wide: float, high: float, text: str, size: int) -> list[Piece]:
    """A dark strip with ``text`` along the lower edge of a place, at most as high as the place."""
    pad, step = size * 0.6, size * 1.28
    most = max(1, min(4, int((high - pad) // step)))
    lines = wrap(text, size, wide - 2.6 * pad, most)
    tall = min(high, len(lines) * step + 1.1 * pad)
    top = y + high - tall
    strip: list[Piece] = [
        Rectangle(x, top, wide, tall, _STRIP, 0.84),
        Rectangle(x, top, max(2.0, size * 0.22), tall, _SIGNAL),
    ]
    for number, words in enumerate(lines):
        baseline = top + 0.5 * pad + size * 0.98 + number * step
        strip.append(Text(x + 1.5 * pad, baseline, words, size, _PAPER))
    return strip


def _foot(
    items: list[Piece], x: float, y: float, inner: float, px: Measures, footer: str, colorbar: Colorbar | None
) -> float:
    """Add the line under the figure, and the colorbar at its right; gives the lower edge."""
    room = inner
    bottom = y
    if colorbar is not None:
        bar = min(max(px(240), 160), inner)
        bottom = colorbar_pieces(items, colorbar, x + inner - bar, y, bar, px)
        room = inner - bar - px(24)
    if footer and room < px(160):  # one narrow column: the text goes under the bar
        y, room = bottom + px(6), inner
    if footer:
        for line in wrap(footer, px.small, room, 3):
            y += px.small
            items.append(Text(x, y, line, px.small, SOFT))
            y += px(5)
        bottom = max(bottom, y)
    return bottom
