"""Takes explanations layer by layer, gives a strip of small pictures with their names under them; never draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seewhy.explanation.arrange import image_key
from seewhy.explanation.gallery import columns_for
from seewhy.explanation.picture import bar_of, look, photo_cell, pixels
from seewhy.render import Cell, Colorbar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seewhy.explanation.arrange import Key
    from seewhy.explanation.result import Explanation

__all__ = ["strip"]


def strip(
    explanations: Sequence[Explanation], *, columns: int | None, most: int, cmap: str | None, percentile: float
) -> tuple[list[list[Cell]], dict[str, Any]]:
    """The rows of cells, and what else `seewhy.render.grid` takes; each image's maps begin with its photo."""
    by_image: dict[Key, list[Explanation]] = {}
    for explanation in explanations:
        by_image.setdefault(image_key(explanation), []).append(explanation)
    rows: list[list[Cell]] = []
    for own in by_image.values():
        ordered = [one for one in own if one.layer is not None] + [one for one in own if one.layer is None]
        cells = [_cell(one, most, cmap, percentile) for one in ordered]
        if own[0].image is not None:
            photo = photo_cell(own[0], most)
            cells.insert(0, Cell(photo.pixels, below=photo.title))
        step = columns or columns_for(len(cells))
        rows += [cells[at : at + step] for at in range(0, len(cells), step)]
    bars = [
        bar
        for one in explanations
        if (bar := bar_of(one, look(one, most=most), cmap, percentile=percentile)) is not None
    ]
    return rows, {"header": _header(explanations), "footer": _foot(explanations), "colorbar": _bar(bars)}


def _cell(explanation: Explanation, most: int, cmap: str | None, percentile: float) -> Cell:
    seen = look(explanation, most=most)
    drawn = pixels(explanation, seen, photo=False, cmap=cmap, percentile=percentile)
    bar = bar_of(explanation, seen, cmap, percentile=percentile)
    name = explanation.layer or f"output: {explanation.target}"
    return Cell(drawn, note=seen.note, below=(name, f"up to {bar.high:.3g}" if bar else ""))


def _bar(bars: Sequence[Colorbar]) -> Colorbar | None:
    """One bar for all: its ends are each map's own."""
    if len({(bar.cmap, bar.low < 0) for bar in bars}) != 1:
        return None
    return Colorbar(bars[0].cmap, -1.0 if bars[0].low < 0 else 0.0, 1.0, "of each map's end")


def _header(explanations: Sequence[Explanation]) -> str:
    methods = list(dict.fromkeys(one.method for one in explanations))
    names = list(dict.fromkeys(one.name for one in explanations if one.name))
    return ": ".join([*names[:1]] * (len(names) == 1) + [", ".join(methods)])


def _foot(explanations: Sequence[Explanation]) -> str:
    """Which unit each kind of map is in."""
    units: dict[str, list[str]] = {}
    for one in explanations:
        units.setdefault(one.map_unit, []).append("layers" if one.layer else "output")
    told = [f"{' and '.join(dict.fromkeys(kinds))}: {unit}" for unit, kinds in units.items() if unit]
    return "; ".join(["Each map has its own colour scale", *told])
