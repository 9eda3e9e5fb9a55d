"""Takes explanations, gives their pictures; decides what may be shown as an answer, never changes a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from seewhy.errors import UsageError
from seewhy.render import DIVERGING, PERCENTILE, SEQUENTIAL, Cell, Mode, greyed, grid, grid_svg, limits
from seewhy.render import caption as add_caption
from seewhy.render import heatmap as draw_heatmap
from seewhy.render import overlay as draw_overlay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from seewhy.explanation.result import Explanation

__all__ = [
    "Drawable",
    "drawable",
    "figure",
    "figure_svg",
    "heatmap",
    "look",
    "overlay",
    "photo_cell",
    "pixels",
    "plot",
    "scale",
    "titles",
]

Limits = tuple[float, float]

#: statuses whose map is not shown: whatever it looks like, it answers nothing
_NO_ANSWER = ("zero-gradient", "non-finite")


@dataclass(frozen=True)
class Drawable:
    """How an explanation is to be drawn: its map at the picture's size (None: not at all), sign, caption."""

    size: tuple[int, int]
    map: NDArray[Any] | None
    signed: bool
    note: str


def look(explanation: Explanation) -> Drawable:
    """How ``explanation`` is to be drawn; raises `UsageError` if it has no two-dimensional map."""
    size = explanation._plane_size()
    if explanation.image is not None:
        size = (explanation.image.shape[0], explanation.image.shape[1])
    values = explanation._sized(size)
    status = explanation.status
    known = values[np.isfinite(values)]
    if status.code in _NO_ANSWER:
        return Drawable(size, None, False, str(status))
    if not known.size:
        return Drawable(size, None, False, "non-finite: the map has no finite value")
    if not known.any():
        return Drawable(size, None, False, str(status) if not status.ok else "the map is zero everywhere")
    notes = [] if status.ok else [str(status)]
    against = status.code == "no-positive-evidence" or (explanation.positive and known.max() <= 0)
    if against:
        notes = notes or ["no-positive-evidence"]
        notes.append("what is drawn is evidence against" if known.max() <= 0 else "both signs are drawn")
    if known.size < values.size:
        notes.append(f"{1 - known.size / values.size:.1%} of the map is not finite and not drawn")
    signed = bool(against or (not explanation.positive and known.min() < 0))
    return Drawable(size, values, signed, "; ".join(notes))


def drawable(explanation: Explanation) -> bool:
    """Whether it has a two-dimensional map."""
    return len(explanation.size) == 2 and explanation.values.ndim - explanation.channels == 2


def scale(looks: Sequence[Drawable], percentile: float = PERCENTILE) -> float:
    """The magnitude at which the colours of all ``looks`` end; 0.0 where there is nothing to draw."""
    maps = [seen.map if seen.signed else np.maximum(seen.map, 0) for seen in looks if seen.map is not None]
    return limits(maps, signed=True, percentile=percentile)[1]


def pixels(
    explanation: Explanation,
    seen: Drawable,
    *,
    photo: bool = True,
    opacity: float | None = None,
    cmap: str | None = None,
    mode: Mode = "alpha",
    contour: float | Sequence[float] | None = None,
    limits: Limits | None = None,
    percentile: float = PERCENTILE,
) -> NDArray[np.uint8]:
    """The picture without its caption, uint8 ``[H, W, 3]``; ``photo=False`` leaves the photo away."""
    image = explanation.image if photo else None
    if seen.map is None:
        ground = np.full((*seen.size, 3), 128, dtype=np.uint8) if image is None else image
        return greyed(ground)
    signed, ends = _ends(seen, limits, percentile)
    if image is None:
        return draw_heatmap(seen.map, cmap=cmap, limits=ends, signed=signed)
    return draw_overlay(
        image, seen.map, opacity=opacity, cmap=cmap, signed=signed, limits=ends, contour=contour, mode=mode
    )


def _ends(seen: Drawable, given: Limits | None, percentile: float) -> tuple[bool, Limits]:
    """Whether both signs are drawn, and the range: the map's own or the ``given`` one.

    A range that reaches below zero asks for both signs; a map with both makes any range symmetric.
    """
    signed = seen.signed or (given is not None and given[0] < 0)
    if given is None:
        top = scale([seen], percentile)
    elif signed:
        top = max(abs(float(end)) for end in given)
    else:
        return False, (float(given[0]), float(given[1]))
    return signed, (-top if signed else 0.0, top)


def overlay(explanation: Explanation, *, caption: bool = True, **options: Any) -> Image.Image:
    """See `Explanation.overlay`."""
    seen = look(explanation)
    drawn = pixels(explanation, seen, **options)
    return Image.fromarray(add_caption(drawn, seen.note) if caption and seen.note else drawn)


def heatmap(
    explanation: Explanation,
    *,
    caption: bool = True,
    cmap: str | None = None,
    limits: Limits | None = None,
    percentile: float = PERCENTILE,
) -> Image.Image:
    """See `Explanation.heatmap`."""
    return overlay(explanation, caption=caption, photo=False, cmap=cmap, limits=limits, percentile=percentile)


def figure(explanation: Explanation, **options: Any) -> Image.Image:
    """See `Explanation.figure`."""
    cells, rest = _figure(explanation, **options)
    return grid([cells], **rest)


def figure_svg(explanation: Explanation, **options: Any) -> str:
    """See `Explanation.figure_svg`."""
    cells, rest = _figure(explanation, **options)
    return grid_svg([cells], **rest)


def _figure(
    explanation: Explanation,
    *,
    cell: int = 320,
    header: str = "",
    limits: Limits | None = None,
    percentile: float = PERCENTILE,
    cmap: str | None = None,
    **options: Any,
) -> tuple[list[Cell], dict[str, Any]]:
    seen = look(explanation)
    drawn = pixels(explanation, seen, cmap=cmap, limits=limits, percentile=percentile, **options)
    cells = [Cell(drawn, titles(explanation), seen.note)]
    if explanation.image is not None:
        cells.insert(0, photo_cell(explanation))
    bar = None
    if seen.map is not None:
        signed, (low, high) = _ends(seen, limits, percentile)
        bar = (cmap or (DIVERGING if signed else SEQUENTIAL), low, high) if high > low else None
    foot = "; ".join(explanation.notes)
    return cells, {"cell": cell, "header": header, "footer": foot, "colorbar": bar}


def photo_cell(explanation: Explanation) -> Cell:
    """The photo with its name and what the model says about it."""
    prediction = f"predicted {explanation.prediction}" if explanation.prediction else ""
    return Cell(
        explanation.image,
        (explanation.name or "input", prediction),
        "" if explanation.image is not None else "no image",
    )


def titles(explanation: Explanation, extra: str = "") -> tuple[str, ...]:
    """The lines above a map: method; target and score; layer, contrast, and ``extra``."""
    contrast = explanation.contrast or ""
    if contrast and not contrast.startswith("against"):
        contrast = f"against {contrast}"
    score = f"{explanation.unit} {explanation.score:.3g}".strip()
    where = " · ".join(part for part in (explanation.layer, contrast, extra) if part)
    return tuple(line for line in (explanation.method, f"{explanation.target} · {score}", where) if line)


def plot(explanation: Explanation, ax: Any = None, **options: Any) -> Any:
    """See `Explanation.plot`."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise UsageError("plot() needs matplotlib, which is not installed: pip install 'seewhy[plot]'") from None
    drawn = np.asarray(overlay(explanation, **options))
    if ax is None:
        ax = pyplot.gca()
    ax.imshow(drawn)
    ax.set_title("\n".join(titles(explanation)), fontsize="medium", loc="left")
    ax.set_axis_off()
    return ax
