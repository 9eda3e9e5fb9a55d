"""Takes explanations, gives their pictures; decides what may be shown as an answer, never changes a value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from seewhy.errors import UsageError
from seewhy.explanation.cuts import is_volume
from seewhy.explanation.ground import Place, picture_size, place, under, view_size
from seewhy.explanation.plain import score_in_words
from seewhy.render import DIVERGING, PERCENTILE, SEQUENTIAL, Colorbar, Mode, greyed
from seewhy.render import caption as add_caption
from seewhy.render import heatmap as draw_heatmap
from seewhy.render import limits as find_limits
from seewhy.render import overlay as draw_overlay
from seewhy.render import relief as draw_relief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from seewhy.explanation.result import Explanation

__all__ = [
    "RELIEF",
    "Drawable",
    "bar_of",
    "check_flat",
    "check_relief",
    "drawable",
    "faint",
    "heatmap",
    "laid",
    "look",
    "of_cuts",
    "overlay",
    "pixels",
    "plot",
    "relief",
    "scale",
    "titles",
]

Limits = tuple[float, float]

#: the percentile at which a relief's light and shade end: most of it is about grey
RELIEF = 99.0
#: the share of a shared scale below which a map is next to invisible
_FAINT = 0.15

#: statuses whose map is not shown: whatever it looks like, it answers nothing
_NO_ANSWER = ("zero-gradient", "non-finite")


@dataclass(frozen=True)
class Drawable:
    """How an explanation is to be drawn: where its map lies on the picture, the part of it that is seen there (None:
    none is drawn), sign, caption."""

    place: Place
    map: NDArray[Any] | None
    signed: bool
    note: str
    #: the values that the map is drawn of, at their own resolution: what the colours' ends are taken of
    values: NDArray[Any] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.place.size


def look(
    explanation: Explanation,
    *,
    width: int | None = None,
    most: int | None = None,
    enlarge: str = "bicubic",
    bare: bool = False,
) -> Drawable:
    """How ``explanation`` is to be drawn; ``width`` and ``most`` as in `picture_size`, ``enlarge`` as in `resize`; a
    ``bare`` one is drawn without the photo, and covers its picture.

    Raises `UsageError` if it has no two-dimensional map.
    """
    size = (view_size if bare else picture_size)(explanation, width, most)
    where = Place(size, size) if bare else place(explanation, size)
    values = explanation._sized(where.map, enlarge, where.part)
    status = explanation.status
    known = values[np.isfinite(values)]
    if status.code in _NO_ANSWER:
        return Drawable(where, None, False, str(status))
    if not known.size:
        return Drawable(where, None, False, "non-finite: the map has no finite value")
    if not known.any():
        return Drawable(where, None, False, str(status) if not status.ok else "the map is zero everywhere")
    notes = [] if status.ok else [str(status)]
    against = status.code == "no-positive-evidence" or (explanation.positive and known.max() <= 0)
    if against:
        notes = notes or ["no-positive-evidence"]
        notes.append("what is drawn is evidence against" if known.max() <= 0 else "both signs are drawn")
    if known.size < values.size:
        notes.append(f"{1 - known.size / values.size:.1%} of the map is not finite and not drawn")
    signed = bool(against or (not explanation.positive and known.min() < 0))
    return Drawable(where, values, signed, "; ".join(notes), explanation._scaled_by())


def drawable(explanation: Explanation) -> bool:
    """Whether it has a two-dimensional map, or one of a volume, of which cuts are drawn."""
    flat = len(explanation.size) == 2 and explanation.values.ndim - explanation.channels == 2
    return flat or is_volume(explanation)


def of_cuts(
    explanation: Explanation,
    at: Sequence[int] | None,
    limits: Limits | None = None,
    percentile: float = PERCENTILE,
    **options: Any,
) -> tuple[tuple[Explanation, ...], list[Drawable], Limits]:
    """The cuts of a map of a volume, how each is to be drawn, and where the colours of all of them end; ``options`` are
    those of `look`."""
    parts = explanation.cuts(at)
    looks = [look(part, **options) for part in parts]
    signed = any(seen.signed for seen in looks)
    looks = [replace(seen, signed=signed) for seen in looks]
    drawn = [seen for seen in looks if seen.map is not None]
    return parts, looks, limits or _ends(drawn[0], None, percentile)[1] if drawn else (0.0, 0.0)


def check_flat(at: Sequence[int] | None) -> None:
    """Refuse a voxel of what is no volume; raises `UsageError`."""
    if at is not None:
        raise UsageError(f"at={at!r} is a voxel of a volume, and this is a map of a picture: leave it out")


def scale(looks: Sequence[Drawable], percentile: float = PERCENTILE) -> float:
    """The magnitude at which the colours of all ``looks`` end, whatever size they are drawn at; 0.0 where there is
    nothing to draw."""
    maps = [seen.values if seen.signed else np.maximum(seen.values, 0) for seen in looks if seen.values is not None]
    return find_limits(maps, signed=True, percentile=percentile)[1]


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
    """The picture without its caption, uint8 ``[H, W, 3]``; ``photo=False`` leaves the photo away, and what of it the
    map does not cover."""
    image = under(explanation, seen.size) if photo else None
    if seen.map is None:
        return greyed(np.full((*seen.size, 3), 128, dtype=np.uint8) if image is None else image)
    signed, ends = _ends(seen, limits, percentile)
    if image is None:
        return draw_heatmap(seen.map, cmap=cmap, limits=ends, signed=signed)
    drawn = draw_overlay(
        image[seen.place.covered],
        seen.map,
        opacity=opacity,
        cmap=cmap,
        signed=signed,
        limits=ends,
        contour=contour,
        mode=mode,
    )
    return laid(drawn, image, seen.place)


def laid(drawn: NDArray[np.uint8], image: NDArray[np.uint8] | None, where: Place) -> NDArray[np.uint8]:
    """What is ``drawn`` of a map in its place on the photo ``image``, which is grey beside it: nothing is known
    there."""
    if image is None or drawn.shape == image.shape:
        return drawn
    whole = greyed(image)
    whole[where.covered] = drawn
    return whole


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


def overlay(
    explanation: Explanation,
    *,
    caption: bool = True,
    width: int | None = None,
    enlarge: str = "bicubic",
    shared: bool = False,
    at: Sequence[int] | None = None,
    **options: Any,
) -> Image.Image:
    """See `Explanation.overlay`."""
    if is_volume(explanation):
        ends = {name: options.pop(name) for name in ("limits", "percentile") if name in options}
        bare = not options.get("photo", True)
        parts, looks, common = of_cuts(explanation, at, width=width, enlarge=enlarge, bare=bare, **ends)
        rows = [
            add_caption(picture, seen.note) if caption and seen.note else picture
            for part, seen in zip(parts, looks, strict=True)
            for picture in [pixels(part, seen, limits=common, **options)]
        ]
        return _beside(rows)
    check_flat(at)
    seen = look(explanation, width=width, enlarge=enlarge, bare=not options.get("photo", True))
    drawn = pixels(explanation, seen, **options)
    note = seen.note or (faint(seen, options.get("limits"), options.get("percentile", PERCENTILE)) if shared else "")
    return Image.fromarray(add_caption(drawn, note) if caption and note else drawn)


def _beside(pictures: Sequence[NDArray[np.uint8]], gap: int = 8) -> Image.Image:
    """Pictures of any height side by side on white, their upper edges on one line."""
    wide = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    whole, left = Image.new("RGB", (wide, max(picture.shape[0] for picture in pictures)), "white"), 0
    for picture in pictures:
        whole.paste(Image.fromarray(picture), (left, 0))
        left += picture.shape[1] + gap
    return whole


def heatmap(explanation: Explanation, **options: Any) -> Image.Image:
    """See `Explanation.heatmap`."""
    return overlay(explanation, photo=False, **options)


def relief(explanation: Explanation, *, width: int | None = None) -> Image.Image:
    """See `Explanation.relief`."""
    colours = check_relief(explanation)
    if explanation.status.code in _NO_ANSWER:
        return overlay(explanation, width=width)
    top = find_limits([colours], signed=True, percentile=RELIEF)[1]
    return Image.fromarray(draw_relief(colours, limit=top, size=view_size(explanation, width)))


def check_relief(explanation: Explanation) -> NDArray[Any]:
    """The signed colours of a guided map; raises `UsageError` for a map that has none."""
    if explanation.colours is None:
        raise UsageError(
            f"{explanation.method} has no relief: guided backpropagation, guided Grad-CAM, deconvnet and gradients "
            "with a backward rule have, of inputs with three channels"
        )
    return explanation.colours


def faint(seen: Drawable, ends: Limits | None, percentile: float = PERCENTILE) -> str:
    """A word for a map that a shared scale leaves next to invisible: a blank picture must not pass for an answer."""
    own = scale([seen], percentile) if seen.map is not None else 0.0
    top = max(map(abs, ends)) if ends else 0.0
    return f"faint: reaches {own / top:.0%} of the shared scale" if 0 < own < _FAINT * top else ""


def bar_of(
    explanation: Explanation,
    seen: Drawable,
    cmap: str | None = None,
    limits: Limits | None = None,
    percentile: float = PERCENTILE,
) -> Colorbar | None:
    """What the colours of a map stand for; None where none is drawn."""
    if seen.map is None:
        return None
    signed, (low, high) = _ends(seen, limits, percentile)
    name = cmap or (DIVERGING if signed else SEQUENTIAL)
    return Colorbar(name, low, high, explanation.map_unit) if high > low else None


def titles(explanation: Explanation, extra: str = "") -> tuple[str, ...]:
    """The lines above a map: method, with the backward rule if one was asked for; target and score; layer, contrast,
    and ``extra``."""
    contrast = explanation.contrast or ""
    if contrast and not contrast.startswith("against"):
        contrast = f"against {contrast}"
    rule = explanation.parameters.get("backward_rule", "")
    name = f"{explanation.method}, {rule}" if rule and "backward_rule=" not in extra else explanation.method
    where = " · ".join(part for part in (explanation.layer, contrast, extra) if part)
    return tuple(line for line in (name, f"{explanation.target} · {score_in_words(explanation)}", where) if line)


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
