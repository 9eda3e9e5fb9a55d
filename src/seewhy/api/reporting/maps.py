"""Maps as figures: takes explanations of one image, gives the photo and its maps with what has to be known to read
each; computes no map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seewhy.api.reporting.wording import NO_ANSWER, settings_in_words, status_badge, trust_badge
from seewhy.explanation import Explanation, Explanations
from seewhy.explanation.cuts import is_volume
from seewhy.explanation.ground import picture_size, place, under
from seewhy.explanation.picture import RELIEF, bar_of, drawable, faint, laid, look, pixels
from seewhy.explanation.plain import score_in_words
from seewhy.explanation.video import is_video
from seewhy.render import Colorbar, limits, relief
from seewhy.reports.page import LARGEST, Badge, Figure, Scale, held

__all__ = ["figures_of", "is_flat", "photo_figure"]

#: pixels of a picture's longer side at least: a picture of few pixels is enlarged
_SMALLEST = 320


def figures_of(explanations: Sequence[Explanation], anchors: Sequence[str]) -> list[Figure]:
    """Of one image the photo, and each map with its scale; maps of one method, layer and unit share their colours."""
    if not explanations:
        return []
    flat = [each for each in explanations if is_flat(each)]
    shared = dict(zip(map(id, flat), Explanations(flat).limits(), strict=True)) if flat else {}
    several = len(flat) > 1
    photo = next((figure for each in explanations if (figure := photo_figure(each)) is not None), None)
    found = [] if photo is None else [photo]
    for each, anchor in zip(explanations, anchors, strict=True):
        if id(each) in shared:
            found.append(_of_picture(each, anchor, shared[id(each)], several=several))
            if each.colours is not None and each.status.code not in NO_ANSWER:
                found.append(_relief(each))
        elif each.inputs:
            parts = [each.part(name) for name in each.inputs]
            some = [replace(part, name=name) for part, name in zip(parts, each.inputs, strict=True) if is_flat(part)]
            found += [_of_picture(part, anchor if n == 0 else "", None) for n, part in enumerate(some)] or [
                _bare(each, anchor)
            ]
        elif drawable(each) or is_video(each):
            found.append(
                Figure(
                    held(each.figure(), drawing=True), f"{each.method} for {each.target} on {each.name}", each.method,
                    _lines(each), _badges(each), drawing=True, anchor=anchor,
                )
            )  # fmt: skip
        else:
            found.append(_bare(each, anchor))
    return found


def is_flat(explanation: Explanation) -> bool:
    """Whether its map is one picture."""
    return not explanation.inputs and drawable(explanation) and not is_volume(explanation)


def photo_figure(explanation: Explanation) -> Figure | None:
    """The photo, with what the model says of it; None where there is none, or where it is in the picture of the map."""
    if not is_flat(explanation):
        return None
    pixels_ = under(explanation, picture_size(explanation, *_size(explanation)))
    if pixels_ is None:
        return None
    guesses = [] if explanation.prediction is None else [str(guess) for guess in explanation.prediction.top[:3]]
    name = explanation.name or "input"
    return Figure(held(pixels_), f"The photo {name}", "photo", [f"predicted {', '.join(guesses)}"] if guesses else [])


def _of_picture(
    explanation: Explanation, anchor: str, ends: tuple[float, float] | None, *, several: bool = False
) -> Figure:
    width, most = _size(explanation)
    seen = look(explanation, width=width, most=most)
    drawn = pixels(explanation, seen, limits=ends)
    bar = bar_of(explanation, seen, None, ends)
    said = seen.note or (faint(seen, ends) if several else "")
    return Figure(
        held(drawn), _alt(explanation, seen.map), explanation.method, _lines(explanation, said), _badges(explanation),
        None if bar is None else _scale(bar), anchor=anchor,
    )  # fmt: skip


def _relief(explanation: Explanation) -> Figure:
    """A guided map as the papers draw it, in its place on the photo."""
    assert explanation.colours is not None
    top = limits([explanation.colours], signed=True, percentile=RELIEF)[1]
    size = picture_size(explanation, *_size(explanation))
    where = place(explanation, size)
    drawn = laid(
        relief(explanation.colours, limit=top, size=where.map, part=where.part), under(explanation, size), where
    )
    scale = Scale("gray", -top, top, explanation.map_unit) if top > 0 else None
    lines = [f"for {explanation.target}", "signed in red, green and blue; 0 is grey"]
    return Figure(
        held(drawn),
        f"Relief of {explanation.method} on {explanation.name}",
        f"{explanation.method}, relief",
        lines,
        scale=scale,
    )


def _bare(explanation: Explanation, anchor: str) -> Figure:
    """A map of which there is no picture."""
    shape = "×".join(map(str, explanation.values.shape))
    lines = [*_lines(explanation), f"values of shape {shape}, of which there is no picture"]
    return Figure(None, "", explanation.method, lines, _badges(explanation), anchor=anchor)


def _size(explanation: Explanation) -> tuple[int | None, int | None]:
    """How large a map is drawn, as large as its photo, within reason: its width, or its longer side at most."""
    tall, wide = picture_size(explanation)
    if max(tall, wide) < _SMALLEST:
        return max(1, round(wide * _SMALLEST / max(tall, wide))), None
    return None, LARGEST


def _scale(bar: Colorbar) -> Scale:
    return Scale(bar.cmap, bar.low, bar.high, bar.unit)


def _badges(explanation: Explanation) -> list[Badge]:
    found = [] if explanation.status.ok else [status_badge(explanation.status.code)]
    trust = None if explanation.trust is None else trust_badge(explanation.trust.level)
    return found if trust is None else [*found, trust]


def _lines(explanation: Explanation, said: str = "") -> list[str]:
    """What a map is of, where it was taken, how, and what has to be said of it."""
    against = explanation.contrast or ""
    against = against if not against or against.startswith("against") else f"against {against}"
    grid = explanation.values.shape[-2:] if explanation.values.ndim > 1 else explanation.values.shape
    where = f"at {explanation.layer}" if explanation.layer else "at the input"
    trust = "" if explanation.trust is None else explanation.trust.sentence
    lines = [
        f"for {explanation.target}{f' {against}' if against else ''}: {score_in_words(explanation)}",
        f"{where}, {'×'.join(map(str, grid))} values",
        settings_in_words(explanation.parameters),
        said or ("" if explanation.status.ok else str(explanation.status)),
        trust,
    ]
    return [line for line in lines if line]


def _alt(explanation: Explanation, drawn: np.ndarray | None) -> str:
    """What somebody is told who cannot see the map: of what it is, and where most of it lies."""
    what = f"{explanation.method} for {explanation.target} on {explanation.name or 'the input'}"
    if drawn is None or not np.isfinite(drawn).any():
        return f"{what}: no map is drawn, {explanation.status.code}"
    known = np.where(np.isfinite(drawn), drawn, -np.inf)
    row, column = np.unravel_index(int(known.argmax()), known.shape)
    down = ("upper", "middle", "lower")[min(2, 3 * int(row) // known.shape[0])]
    across = ("left", "centre", "right")[min(2, 3 * int(column) // known.shape[1])]
    return f"{what}: strongest evidence in the {down} {across} of what the model saw"
