"""Takes explanations layer by layer, gives a strip of small pictures with their names under them; never draws it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.explanation.arrange import image_key
from seewhy.explanation.figure import photo_cell
from seewhy.explanation.gallery import Gallery, Tile, columns_for
from seewhy.explanation.parts import Cost
from seewhy.explanation.picture import bar_of, look, pixels
from seewhy.explanation.plain import score_in_words
from seewhy.render import Cell, Colorbar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seewhy.explanation.arrange import Key
    from seewhy.explanation.result import Explanation

__all__ = ["gallery_strip", "strip", "together"]


#: pixels of a tile of feature maps
_TILE = 136


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
            photo = photo_cell(own[0], most, seen_alone=True)
            cells.insert(0, Cell(photo.pixels, below=photo.title))
        step = columns or columns_for(len(cells), wide=_wide(cells))
        rows += [cells[at : at + step] for at in range(0, len(cells), step)]
    bars = [
        bar
        for one in explanations
        if (bar := bar_of(one, look(one, most=most), cmap, percentile=percentile)) is not None
    ]
    return rows, {"header": _header(explanations), "footer": _foot(explanations), "colorbar": _bar(bars)}


def gallery_strip(galleries: Sequence[Gallery], output: Explanation | None, *, each: int = 8) -> Gallery:
    """The first channels of several layers' feature maps as one gallery: a row for each layer, ``each`` channels of it
    at most, names under them, and last the photo with the map of the ``output`` itself.

    Every row has colours of its own, which end at the number under its channels. Its ``values`` are the evidence of
    the channels shown, a row for each layer.
    """
    shown = [[tile for tile in gallery if tile.index is not None] for gallery in galleries]
    count = min(each, *map(len, shown))
    tiles: list[Tile] = []
    for gallery, own in zip(galleries, shown, strict=True):
        for tile, values in zip(own[:count], gallery.values[:count], strict=True):
            end = gallery.colorbar[2] if gallery.colorbar is not None else float(np.abs(values).max())
            words = (str(gallery.parameters["layer"]), *tile.title, f"up to {end:.3g}")
            tiles.append(replace(tile, title=words))
    first, answer, unit = galleries[0], "", ""
    if output is not None:
        answer = f" ({score_in_words(output)})"
        seen = look(output, most=_TILE * 2)
        if output.image is not None:
            photo = photo_cell(output, _TILE * 2)
            tiles += [Tile(photo.pixels, photo.title)] if photo.pixels is not None else []
        bar = bar_of(output, seen)
        ends = (f"{output.method}, up to {bar.high:.3g}",) if bar else (output.method, seen.note)
        unit = f"; the output's map in {bar.unit}" if bar and bar.unit else ""
        tiles.append(Tile(pixels(output, seen), (f"output: {output.target}", *ends), value=output.score))
    name = f"{output.name}: " if output is not None and output.name else ""
    return Gallery(
        title=f"{name}{len(galleries)} layers, for {first.parameters['target']}{answer}",
        tiles=tuple(tiles),
        values=np.array([[tile.value for tile in own[:count]] for own in shown], dtype=np.float64),
        columns=count,
        cell=_TILE,
        under=True,
        colorbar=_bar([Colorbar(*gallery.colorbar) for gallery in galleries if gallery.colorbar is not None]),
        notes=(
            f"the first {count} channels of each layer, each layer with its own colour scale; evidence in "
            f"{first.parameters.get('unit', 'score')}{unit}",
        ),
        parameters={**first.parameters, "layer": ", ".join(str(gallery.parameters["layer"]) for gallery in galleries)},
        cost=Cost() if output is None else output.cost,
        provenance=first.provenance,
    )


def together(galleries: Sequence[Gallery], name: str) -> Gallery:
    """The first picture of each gallery side by side: what makes several classes or channels of ``name`` strong."""
    first = galleries[0]
    tiles = tuple(gallery[0] for gallery in galleries)
    return Gallery(
        title=f"What makes each strong in {name}",
        tiles=tiles,
        values=np.concatenate([gallery.values for gallery in galleries]),
        columns=columns_for(len(tiles), wide=True),
        cell=first.cell,
        parameters={
            **first.parameters,
            "target": ", ".join(str(gallery.parameters["target"]) for gallery in galleries),
        },
        provenance=first.provenance,
    )


def _wide(cells: Sequence[Cell]) -> bool:
    """Whether the pictures are so wide that few of them fill a line."""
    shapes = [cell.pixels.shape for cell in cells if cell.pixels is not None]
    return bool(shapes) and all(width >= 2 * height for height, width, *_ in shapes)


def _cell(explanation: Explanation, most: int, cmap: str | None, percentile: float) -> Cell:
    seen = look(explanation, most=most, bare=True)
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
