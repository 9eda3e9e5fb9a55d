"""Takes a collection, gives its figure's rows and columns; never draws them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.explanation.figure import photo_cell, relief_cell
from seewhy.explanation.picture import Drawable, bar_of, faint, look, pixels, scale, titles
from seewhy.render import DIVERGING, PERCENTILE, SEQUENTIAL, Cell, Colorbar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seewhy.explanation.result import Explanation

__all__ = ["arrange", "ends", "group", "image_key", "looks_of", "shared_scales", "table"]

Key = tuple[Any, ...]


def group(explanation: Explanation) -> Key:
    """What maps must have in common to be compared by colour, their unit among it; the rivals in a contrast may
    differ."""
    return (
        explanation.method,
        explanation.layer,
        explanation.contrast is not None,
        explanation.unit,
        explanation.map_unit,
    )


def looks_of(
    explanations: Sequence[Explanation], *, most: int | None = None, enlarge: str = "bicubic"
) -> list[Drawable]:
    """How each is to be drawn; where one map of a `group` shows both signs, its others do not hide theirs."""
    looks = [look(explanation, most=most, enlarge=enlarge) for explanation in explanations]
    signed = {
        group(explanation)
        for explanation, seen in zip(explanations, looks, strict=True)
        if seen.signed and not explanation.positive
    }
    return [
        replace(seen, signed=seen.signed or (not explanation.positive and group(explanation) in signed))
        for explanation, seen in zip(explanations, looks, strict=True)
    ]


def ends(seen: Drawable, top: float) -> tuple[float, float]:
    """The limits of a map whose colours end at the magnitude ``top``."""
    return (-top if seen.signed else 0.0), top


def shared_scales(
    explanations: Sequence[Explanation], looks: Sequence[Drawable], percentile: float = PERCENTILE
) -> dict[Key, float]:
    """For each `group`, the magnitude at which the colours of all its maps end."""
    members: dict[Key, list[Drawable]] = {}
    for explanation, seen in zip(explanations, looks, strict=True):
        members.setdefault(group(explanation), []).append(seen)
    return {key: scale(seen, percentile) for key, seen in members.items()}


def table(explanations: Sequence[Explanation]) -> list[list[int | None]]:
    """The explanations' positions as rows and columns; None where a row lacks what another one has.

    A row is an image and a target, a column a method, layer and contrast, both in order of appearance. With
    a single method, layer and contrast, or where every column has a target of its own (the layer's), the targets
    of an image lie side by side instead. What would fall on a place already taken (say, the same method with
    other parameters) gets a further column next to it.
    """
    columns: dict[Key, set[Key]] = {}
    for explanation in explanations:
        columns.setdefault(group(explanation), set()).add((explanation.target, explanation.target_index))
    several = any(len(targets) > 1 for targets in columns.values())
    common = sum(map(len, columns.values())) > len(set().union(*columns.values()))
    by_target = len(columns) > 1 and (several or common)
    rows: dict[Key, dict[Key, int]] = {}
    widths = dict.fromkeys(columns, 1)
    for position, explanation in enumerate(explanations):
        key = (
            (*image_key(explanation), explanation.target, explanation.target_index)
            if by_target
            else image_key(explanation)
        )
        row = rows.setdefault(key, {})
        place = 0
        while (*group(explanation), place) in row:
            place += 1
        row[(*group(explanation), place)] = position
        widths[group(explanation)] = max(widths[group(explanation)], place + 1)
    order = [(*key, place) for key, wide in widths.items() for place in range(wide)]
    return [[row.get(place) for place in order] for row in rows.values()]


def arrange(
    explanations: Sequence[Explanation],
    *,
    columns: int | None,
    shared: bool,
    percentile: float,
    cmap: str | None,
    most: int | None = None,
    enlarge: str = "bicubic",
    reliefs: bool = True,
    **options: Any,
) -> tuple[list[list[Cell]], Colorbar | None]:
    """The figure's cells, and its colorbar where one scale holds for all of them; otherwise every map has its own.

    The photo stands once a row, at its start: lines that go on leave its place empty. Photos with one or two maps each
    stand side by side where that makes a handier figure. ``reliefs`` of guided maps stand beside them. ``most`` pixels
    are drawn of each.
    """
    looks = looks_of(explanations, most=most, enlarge=enlarge)
    tops = shared_scales(explanations, looks, percentile)
    photos = any(explanation.image is not None for explanation in explanations)
    extras = _differences(explanations)
    whole = _colorbar(explanations, looks, tops, cmap) if shared or len(explanations) == 1 else None
    lines: list[list[Cell]] = []
    places = table(explanations)
    guided = _guided(explanations, places) if reliefs else set()
    for row in places:
        cells: list[list[Cell]] = []  # a map, and its relief where there is one
        for column, position in enumerate(row):
            if position is None:
                cells.append([Cell(None, note="not computed"), *[_NOTHING] * (column in guided)])
                continue
            explanation, seen = explanations[position], looks[position]
            limits = ends(seen, tops[group(explanation)] if shared else scale([seen], percentile))
            drawn = pixels(explanation, seen, cmap=cmap, limits=limits, **options)
            note = seen.note or (faint(seen, limits, percentile) if shared else "")
            bar = None if whole else bar_of(explanation, seen, cmap, limits, percentile)
            cells.append([Cell(drawn, titles(explanation, extras[position]), note, bar)])
            if column in guided:
                shown = explanation.colours is not None and seen.map is not None
                cells[-1].append(relief_cell(explanation, seen.place) if shown else _NOTHING)
        first = explanations[next(position for position in row if position is not None)]
        for number, line in enumerate(_lines(cells, columns)):
            own = _NOTHING if number else photo_cell(first, most)
            lines.append([own, *line] if photos else line)
    return _side_by_side(lines) if columns is None else lines, whole


#: what stands where nothing is to be shown, as where the photo would stand again
_NOTHING = Cell(None)
#: pictures side by side, and lines above each other, at which short lines are put next to each other
_ACROSS, _DOWN = 8, 3


def _lines(cells: Sequence[Sequence[Cell]], columns: int | None) -> list[list[Cell]]:
    """Lines of at most so many cells, in which those that belong together stay so, as far as there is room."""
    lines: list[list[Cell]] = [[]]
    for group in cells:
        if columns is not None and lines[-1] and len(lines[-1]) + len(group) > columns:
            lines.append([])
        for cell in group:
            if columns is not None and len(lines[-1]) == columns:
                lines.append([])
            lines[-1].append(cell)
    return lines


def _guided(explanations: Sequence[Explanation], places: list[list[int | None]]) -> set[int]:
    """The columns in which there are reliefs."""
    return {
        column
        for row in places
        for column, position in enumerate(row)
        if position is not None and explanations[position].colours is not None
    }


def _side_by_side(lines: list[list[Cell]]) -> list[list[Cell]]:
    """Many short lines, each beginning with its photo, as fewer long ones."""
    wide = max(len(line) for line in lines)
    if wide > _ACROSS // 2 or len(lines) <= _DOWN or any(line[0] is _NOTHING for line in lines):
        return lines
    together = min(_ACROSS // wide, max(1, round(math.sqrt(len(lines) / wide))))
    padded = [line + [_NOTHING] * (wide - len(line)) for line in lines]
    return [[cell for line in padded[at : at + together] for cell in line] for at in range(0, len(lines), together)]


def _colorbar(
    explanations: Sequence[Explanation], looks: Iterable[Drawable], tops: dict[Key, float], cmap: str | None
) -> Colorbar | None:
    drawn = {seen.signed for seen in looks if seen.map is not None}
    if len(tops) != 1 or len(drawn) != 1:
        return None
    (top,), (signed,) = tops.values(), drawn
    name = cmap or (DIVERGING if signed else SEQUENTIAL)
    return Colorbar(name, -top if signed else 0.0, top, explanations[0].map_unit) if top > 0 else None


def _differences(explanations: Sequence[Explanation]) -> list[str]:
    """For each explanation, the parameters that set it apart from others of its group, image and target."""
    alike: dict[Key, list[int]] = {}
    for position, explanation in enumerate(explanations):
        alike.setdefault(
            (*image_key(explanation), explanation.target, explanation.target_index, *group(explanation)), []
        ).append(position)
    words = [""] * len(explanations)
    for positions in alike.values():
        all_texts = [{key: str(value) for key, value in explanations[at].parameters.items()} for at in positions]
        names = dict.fromkeys(name for texts in all_texts for name in texts)
        varied = [name for name in names if len({texts.get(name) for texts in all_texts}) > 1]
        for at, texts in zip(positions, all_texts, strict=True):
            words[at] = ", ".join(f"{name}={texts[name]}" for name in varied if name in texts)
    return words


def image_key(explanation: Explanation) -> Key:
    """What tells one image from another: its name and what is in it."""
    # Two files in different folders may share a name: their pixels tell them apart.
    seen = explanation.image if explanation.image is not None else explanation.input
    if seen is None:
        return (explanation.name, None)
    return (explanation.name, hashlib.blake2b(np.ascontiguousarray(seen).tobytes(), digest_size=16).digest())
