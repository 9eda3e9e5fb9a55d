"""Takes explanations, gives the cells of figures and one explanation's whole figure; decides nothing about a map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.explanation.cuts import is_volume, lies
from seewhy.explanation.ground import picture_size, under
from seewhy.explanation.picture import (
    RELIEF,
    bar_of,
    check_flat,
    faint,
    laid,
    look,
    of_cuts,
    pixels,
    titles,
)
from seewhy.explanation.video import is_video, montage
from seewhy.render import PERCENTILE, Cell, Colorbar, grid, grid_pdf, grid_svg
from seewhy.render import limits as find_limits
from seewhy.render import relief as draw_relief

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from PIL import Image

    from seewhy.explanation.ground import Place
    from seewhy.explanation.picture import Limits
    from seewhy.explanation.result import Explanation

__all__ = ["enlarged", "figure", "figure_pdf", "figure_svg", "photo_cell", "relief_cell"]

#: the cell of a figure: as large as the photo, but not smaller or larger than that
_CELL = (320, 640)
#: shapes of coarse maps that are named
_SAID = 3
#: how many pixels a value has to become before it is worth a word
_COARSE = 2


def figure(explanation: Explanation, **options: Any) -> Image.Image:
    """See `Explanation.figure`."""
    rows, rest = _rows(explanation, **options)
    return grid(rows, **rest)


def figure_svg(explanation: Explanation, *, dpi: float | None = None, **options: Any) -> str:
    """See `Explanation.figure_svg`."""
    rows, rest = _rows(explanation, sharper=2, **options)
    return grid_svg(rows, dpi=dpi, **rest)


def figure_pdf(explanation: Explanation, *, dpi: float | None = None, **options: Any) -> bytes:
    """See `Explanation.figure_pdf`."""
    rows, rest = _rows(explanation, sharper=2, **options)
    return grid_pdf(rows, dpi=dpi, **rest)


def _rows(explanation: Explanation, *, sharper: int = 1, **options: Any) -> tuple[list[list[Cell]], dict[str, Any]]:
    """The rows of a figure, and what else `seewhy.render.grid` takes."""
    if is_video(explanation):
        return montage(explanation, **options)
    return _figure(explanation, sharper=sharper, **options)


def _figure(
    explanation: Explanation,
    *,
    cell: int | None = None,
    width: int | None = None,
    header: str = "",
    limits: Limits | None = None,
    percentile: float = PERCENTILE,
    cmap: str | None = None,
    enlarge: str = "bicubic",
    shared: bool = False,
    sharper: int = 1,
    at: Sequence[int] | None = None,
    **options: Any,
) -> tuple[list[list[Cell]], dict[str, Any]]:
    """``sharper`` times the cell's pixels are drawn, where the photo has them: documents are printed larger."""
    if is_volume(explanation):
        drawing = {"cmap": cmap, "limits": limits, "percentile": percentile, "enlarge": enlarge, **options}
        return _of_volume(explanation, at, width or cell or _CELL[0], header, sharper, **drawing)
    check_flat(at)
    side = width or cell or min(max(_CELL[0], *picture_size(explanation)), _CELL[1])
    seen = look(explanation, most=side * sharper, enlarge=enlarge)
    drawn = pixels(explanation, seen, cmap=cmap, limits=limits, percentile=percentile, **options)
    note = seen.note or (faint(seen, limits, percentile) if shared else "")
    bar = bar_of(explanation, seen, cmap, limits, percentile)
    cells = [Cell(drawn, titles(explanation), note, bar)]
    if explanation.image is not None:
        cells.insert(0, photo_cell(explanation, side * sharper))
    if explanation.colours is not None and seen.map is not None:
        cells.append(relief_cell(explanation, seen.place))
    if explanation.trust is not None:
        cells.append(Cell(np.asarray(explanation.trust.picture(side * sharper)), ("how far to believe it",)))
    said = (
        *explanation.notes,
        "one colour scale for all maps of this method and layer" if shared else "",
        enlarged([(explanation, seen.place.map)], enlarge) if seen.map is not None else "",
    )
    return [cells], {"cell": side, "header": header, "footer": "; ".join(note for note in said if note)}


def _of_volume(
    explanation: Explanation,
    at: Sequence[int] | None,
    side: int,
    header: str,
    sharper: int,
    *,
    cmap: str | None,
    limits: Limits | None,
    percentile: float,
    enlarge: str,
    shared: bool = False,
    **options: Any,
) -> tuple[list[list[Cell]], dict[str, Any]]:
    """The cuts of a map of a volume, under those of the volume itself, with one scale."""
    parts, looks, common = of_cuts(explanation, at, limits, percentile, most=side * sharper, enlarge=enlarge)
    rows = []
    if explanation.scan is not None:
        said_of = [(part.name.rpartition(", ")[2], lies(explanation, axis)) for axis, part in enumerate(parts)]
        rows.append([replace(photo_cell(part), title=words) for part, words in zip(parts, said_of, strict=True)])
        whose = (
            f"{explanation.name}, predicted {explanation.prediction}" if explanation.prediction else explanation.name
        )
        header = header or whose
    drawn = [
        Cell(pixels(part, seen, cmap=cmap, limits=common, **options), note=seen.note)
        for part, seen in zip(parts, looks, strict=True)
    ]
    drawn[0] = replace(drawn[0], title=titles(explanation))
    rows.append(drawn)
    sizes = [(part, seen.place.map) for part, seen in zip(parts, looks, strict=True) if seen.map is not None]
    said = (
        *explanation.notes,
        "one colour scale for all maps of this method and layer" if shared else "",
        enlarged(sizes, enlarge),
    )
    return rows, {
        "cell": side,
        "header": header,
        "footer": "; ".join(note for note in said if note),
        "colorbar": bar_of(parts[0], looks[0], cmap, common, percentile),
    }


def enlarged(maps: Iterable[tuple[Explanation, tuple[int, int]]], how: str) -> str:
    """How the values of coarse maps, each with its size on a picture, became pixels, in words; nothing of maps that are
    about as fine as their pictures."""
    shapes: dict[tuple[int, ...], tuple[int, int]] = {}
    maps = list(maps)
    for explanation, size in maps:
        whole = explanation.whole
        shapes.setdefault(explanation.values.shape[-2:] if whole is None else whole.shape, size)
    few = [
        "×".join(map(str, shape))
        for shape, size in shapes.items()
        if shape[-2] * _COARSE <= size[0] and shape[-1] * _COARSE <= size[1]
    ]
    told = ", ".join(few[:_SAID]) + ("..." if len(few) > _SAID else "")
    before = "trilinear and " if any(explanation.whole is not None for explanation, _ in maps) else ""
    return f"{told} values, drawn by {before}{how} interpolation" if few else ""


def relief_cell(explanation: Explanation, where: Place) -> Cell:
    """The relief of a guided map in its place on the photo, with its scale."""
    assert explanation.colours is not None
    top = find_limits([explanation.colours], signed=True, percentile=RELIEF)[1]
    drawn = draw_relief(explanation.colours, limit=top, size=where.map, part=where.part)
    drawn = laid(drawn, under(explanation, where.size), where)
    bar = Colorbar("gray", -top, top, explanation.map_unit) if top > 0 else None
    return Cell(drawn, (f"{explanation.method}, relief", "red, green and blue, signed; 0 is grey"), bar=bar)


def photo_cell(explanation: Explanation, most: int | None = None, *, seen_alone: bool = False) -> Cell:
    """The photo, or what the model saw of it, with its name and what the model says about it."""
    prediction = f"predicted {explanation.prediction}" if explanation.prediction else ""
    seen = None
    if explanation.image is not None:
        drawn = len(explanation.size) == 2 and explanation.photo is not None
        seen = explanation.image
        if drawn and not seen_alone:
            seen = under(explanation, picture_size(explanation, most=most))
    return Cell(
        seen,
        (explanation.name or "input", prediction),
        "" if explanation.image is not None else "no image",
    )
