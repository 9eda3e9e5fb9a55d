"""Takes means with intervals and what they are held against, gives a chart, a panel for each metric and a line for each
method; counts nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seewhy.render.plots import chart, literal

__all__ = ["Line", "Panel", "standings"]

_OWN, _BAND = "#b5532a", "#c9c9d2"
#: what other controls look like: sign and colour
_SIGNS = {"edge map": ("^", "#2a66b5"), "centre bump": ("o", "#3c7a3f"), "untrained": ("x", "#63636e")}


@dataclass(frozen=True)
class Line:
    """A method: its ``mean``, the ends of its interval, those of a ``band`` that holds most means of random controls,
    and the means of other controls by their names; NaN for what there is not."""

    name: str
    mean: float
    low: float
    high: float
    band: tuple[float, float]
    others: Mapping[str, float]


@dataclass(frozen=True)
class Panel:
    """A metric: its name, which way is better, the lines, the best first, and what an order by ``chance`` would get."""

    name: str
    better: str
    lines: Sequence[Line]
    chance: float = math.nan


def standings(panels: Sequence[Panel], *, title: str) -> Any:
    """The chart as a matplotlib figure; raises `CapabilityError` without matplotlib."""
    most = max(len(panel.lines) for panel in panels)
    columns = min(len(panels), 2 if most > 12 else 3)
    rows = -(-len(panels) // columns)
    figure, _ = chart(1.6 + 4.2 * columns, 1.1 + 0.2 * (columns == 1) + rows * (0.9 + 0.27 * most))
    figure.clear()
    figure.suptitle(literal(title), fontsize=10)
    shown: dict[str, Any] = {}
    for number, panel in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.use_sticky_edges = False  # bands would end at the frame
        for place, line in enumerate(panel.lines):
            if all(map(math.isfinite, line.band)):
                wide = line.band[1] - line.band[0]
                shown["means of random maps, 5 to 95 %"] = axes.barh(
                    place, wide, 0.7, line.band[0], color=_BAND, zorder=1
                )
            for name, value in line.others.items():
                if math.isfinite(value):
                    sign, colour = _SIGNS[name]
                    shown[name] = axes.scatter([value], [place], s=18, marker=sign, color=colour, zorder=2)
            if math.isfinite(line.low):
                axes.plot([line.low, line.high], [place, place], color=_OWN, linewidth=2, zorder=3)
            if math.isfinite(line.mean):
                dot = axes.scatter([line.mean], [place], s=26, marker="D", color=_OWN, zorder=4)
                shown["mean, 95 % interval"] = dot
        if math.isfinite(panel.chance):
            axes.axvline(panel.chance, color="#63636e", linewidth=0.9, linestyle=":")
        axes.set_yticks(range(len(panel.lines)), [literal(line.name, 34) for line in panel.lines], fontsize=7)
        axes.set_ylim(len(panel.lines) - 0.4, -0.6)
        way = f", {panel.better} is better" if panel.better else ""
        axes.set_title(literal(f"{panel.name}{way}"), fontsize=9, loc="left")
        axes.tick_params(axis="x", labelsize=7)
        axes.grid(alpha=0.3, axis="x")
    side_by_side = len(shown) if columns > 1 else 3  # as many as are no wider than the chart
    figure.legend(
        shown.values(), shown.keys(), loc="outside lower center", ncols=side_by_side, fontsize=7, frameon=False
    )
    return figure
