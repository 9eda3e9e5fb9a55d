"""Takes points with classes and a plane in colours, gives a chart of them with rings around those that are wrong and
pictures of some beside it; never computes a place."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.render.colormaps import hues
from seewhy.render.plots import chart, literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["OTHER", "Beside", "scatter"]

#: the class of what is none of those that have a colour
OTHER = -1

_INK, _SOFT = "#17171c", "#63636e"
#: how white a class's region is, whose points have the full colour
_PALE = 0.62
#: classes beyond which a legend names the first only; letters of a name on it, and on a picture beside the chart
_NAMED, _LONG, _SHORT = 24, 26, 24
_COLUMNS, _ROWS = 2, 4


@dataclass(frozen=True, eq=False)
class Beside:
    """A picture beside the chart, uint8 ``[H, W, 3]``, its lines, and the number of the point that it belongs to."""

    pixels: NDArray[np.uint8]
    lines: tuple[str, ...]
    point: int


def scatter(
    points: NDArray[Any],
    classes: NDArray[Any],
    wrong: NDArray[Any],
    region: NDArray[Any],
    extent: tuple[float, float, float, float],
    names: Sequence[str],
    *,
    beside: Sequence[Beside] = (),
    title: str,
    x_label: str,
    y_label: str,
    foot: str,
) -> Any:
    """The chart as a matplotlib figure.

    ``points`` [N, 2] have ``classes`` [N], numbers of ``names``; a ring is around those that are ``wrong`` [N].
    ``region`` [h, w] says which class the plane has from the lower left on, `OTHER` for none of them, over ``extent``
    (left, right, bottom, top). Raises `CapabilityError` without matplotlib.
    """
    shown = beside[: _COLUMNS * _ROWS]
    names = [literal(name, _LONG) for name in names]
    figure, _ = chart(9.6 if shown else 7.2, 6.6)
    figure.clear()
    spec = figure.add_gridspec(_ROWS, 3 * _COLUMNS)
    axes = figure.add_subplot(spec[:, : 2 * _COLUMNS] if shown else spec[:, :])
    colours = _apart(len(names))
    pale = np.rint(255 * _PALE + colours * (1 - _PALE)).astype(np.uint8)
    table = np.concatenate([pale, np.full((1, 3), 236, np.uint8)])  # the last one is what `OTHER` finds
    axes.imshow(table[region], extent=extent, origin="lower", aspect="auto", interpolation="nearest")
    axes.scatter(*points.T, s=_size(len(points)), c=colours[classes] / 255, edgecolors="white", linewidths=0.4)
    if np.any(wrong):
        ring = {"facecolors": "none", "edgecolors": _INK, "linewidths": 1.1}
        axes.scatter(*points[np.asarray(wrong, dtype=bool)].T, s=4 * _size(len(points)) + 20, **ring)
    axes.set(xlabel=x_label, ylabel=y_label, xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    axes.set_title(literal(title), fontsize=10, loc="left")
    for side in (axes.xaxis, axes.yaxis):
        side.label.set_size(9)
    for number, one in enumerate(shown, 1):
        _numbered(axes, points[one.point], number, extent)
        place = figure.add_subplot(spec[(number - 1) // _COLUMNS, 2 * _COLUMNS + (number - 1) % _COLUMNS])
        place.imshow(one.pixels, interpolation="nearest" if max(one.pixels.shape[:2]) < 64 else "antialiased")
        place.set_axis_off()
        lines = [literal(line, _SHORT) for line in one.lines]
        place.set_title("\n".join([f"{number}: {lines[0]}", *lines[1:]]), fontsize=7, color=_INK)
    _legend(figure, colours, names, bool(np.any(wrong)), foot, 128 if shown else 96)
    return figure


def _apart(count: int) -> NDArray[np.uint8]:
    """Colours of ``count`` classes: one hue each, every second one darker, so that neighbours can be told apart."""
    colours = hues(count).astype(np.float64)
    colours[1::2] *= 0.72
    return np.rint(colours).astype(np.uint8)


def _size(count: int) -> float:
    """Of a point, in square points: smaller where there are many."""
    return float(np.clip(4000 / max(count, 1), 7, 42))


def _numbered(axes: Any, point: NDArray[Any], number: int, extent: tuple[float, float, float, float]) -> None:
    """The number of a picture beside its point, on the side where there is room."""
    right, low = (
        point[0] > extent[1] - 0.06 * (extent[1] - extent[0]),
        point[1] > extent[3] - 0.06 * (extent[3] - extent[2]),
    )
    axes.annotate(
        str(number), tuple(point), xytext=(-9 if right else 9, -9 if low else 9), textcoords="offset points",
        ha="center", va="center", fontsize=8, fontweight="bold", color=_INK,
        bbox={"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )  # fmt: skip


def _legend(
    figure: Any, colours: NDArray[np.uint8], names: Sequence[str], wrong: bool, foot: str, letters: int
) -> None:
    """The classes and what else is to be known, under the chart."""
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 6}
    marks = [
        Line2D([], [], color=colour / 255, label=name, **dot)
        for colour, name in zip(colours[:_NAMED], names, strict=False)
    ]
    if len(names) > _NAMED:
        marks.append(Line2D([], [], color="none", label=f"and {len(names) - _NAMED} more", **dot))
    if wrong:
        marks.append(Line2D([], [], markerfacecolor="none", markeredgecolor=_INK, label="called otherwise", **dot))
    longest = max(len(str(mark.get_label())) for mark in marks)
    figure.legend(
        handles=marks, loc="outside lower center", ncols=max(1, min(len(marks), letters // (longest + 6))),
        fontsize=7.5, frameon=False, title="\n".join(textwrap.wrap(foot, letters)), title_fontsize=7.5,
    )  # fmt: skip
