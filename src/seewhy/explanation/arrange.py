"""Takes a collection, gives its figure's rows and columns; never draws them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.explanation.picture import Drawable, look, photo_cell, pixels, scale, titles
from seewhy.render import DIVERGING, PERCENTILE, SEQUENTIAL, Cell, Colorbar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seewhy.explanation.result import Explanation

__all__ = ["arrange", "ends", "group", "looks_of", "shared_scales", "table"]

Key = tuple[Any, ...]


def group(explanation: Explanation) -> Key:
    """What maps must have in common to be compared by colour; the rivals in a contrast may differ."""
    return explanation.method, explanation.layer, explanation.contrast is not None


def looks_of(explanations: Sequence[Explanation]) -> list[Drawable]:
    """How each is to be drawn; where one map of a `group` shows both signs, its others do not hide theirs."""
    looks = [look(explanation) for explanation in explanations]
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
            (*_image_key(explanation), explanation.target, explanation.target_index)
            if by_target
            else _image_key(explanation)
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
    **options: Any,
) -> tuple[list[list[Cell]], Colorbar | None]:
    """The figure's cells, and its colorbar where one scale holds for all of them."""
    looks = looks_of(explanations)
    tops = shared_scales(explanations, looks, percentile)
    photos = any(explanation.image is not None for explanation in explanations)
    extras = _differences(explanations)
    lines: list[list[Cell]] = []
    for row in table(explanations):
        cells: list[Cell] = []
        for position in row:
            if position is None:
                cells.append(Cell(None, note="not computed"))
                continue
            explanation, seen = explanations[position], looks[position]
            top = tops[group(explanation)] if shared else scale([seen], percentile)
            drawn = pixels(explanation, seen, cmap=cmap, limits=ends(seen, top), **options)
            cells.append(Cell(drawn, titles(explanation, extras[position]), seen.note or _faint(seen, top, percentile)))
        first = explanations[next(position for position in row if position is not None)]
        step = columns or len(cells)
        for start in range(0, len(cells), step):
            line = cells[start : start + step]
            lines.append([photo_cell(first), *line] if photos else line)
    return lines, _colorbar(looks, tops, cmap) if shared or len(explanations) == 1 else None


def _faint(seen: Drawable, top: float, percentile: float) -> str:
    """A word for a map that the shared scale leaves next to invisible: a blank picture must not pass for an answer."""
    own = scale([seen], percentile) if seen.map is not None else 0.0
    return f"faint: reaches {own / top:.0%} of the shared scale" if 0 < own < 0.15 * top else ""


def _colorbar(looks: Iterable[Drawable], tops: dict[Key, float], cmap: str | None) -> Colorbar | None:
    drawn = {seen.signed for seen in looks if seen.map is not None}
    if len(tops) != 1 or len(drawn) != 1:
        return None
    (top,), (signed,) = tops.values(), drawn
    return cmap or (DIVERGING if signed else SEQUENTIAL), -top if signed else 0.0, top


def _differences(explanations: Sequence[Explanation]) -> list[str]:
    """For each explanation, the parameters that set it apart from others of its group, image and target."""
    alike: dict[Key, list[int]] = {}
    for position, explanation in enumerate(explanations):
        alike.setdefault(
            (*_image_key(explanation), explanation.target, explanation.target_index, *group(explanation)), []
        ).append(position)
    words = [""] * len(explanations)
    for positions in alike.values():
        all_texts = [{key: str(value) for key, value in explanations[at].parameters.items()} for at in positions]
        names = dict.fromkeys(name for texts in all_texts for name in texts)
        varied = [name for name in names if len({texts.get(name) for texts in all_texts}) > 1]
        for at, texts in zip(positions, all_texts, strict=True):
            words[at] = ", ".join(f"{name}={texts[name]}" for name in varied if name in texts)
    return words


def _image_key(explanation: Explanation) -> Key:
    # Two files in different folders may share a name: their pixels tell them apart.
    seen = explanation.image if explanation.image is not None else explanation.input
    if seen is None:
        return (explanation.name, None)
    return (explanation.name, hashlib.blake2b(np.ascontiguousarray(seen).tobytes(), digest_size=16).digest())
