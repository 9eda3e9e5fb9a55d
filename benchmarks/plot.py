"""The plot: takes a report, gives a PNG with a bar of the ratio for every library and task; computes no time."""

from __future__ import annotations

from pathlib import Path

from benchmarks.rows import Report, Row
from seewhy.api.bench.result import OURS

__all__ = ["bars", "draw"]

_COLOURS = {"captum": "#c0504d", "pytorch-grad-cam": "#4f81bd", "torchcam": "#6a9a3a", "zennit": "#8064a2"}
_NAMES = {"resnet50": "ResNet-50", "vgg16": "VGG-16", "mobilenet_v2": "MobileNetV2", "builtin": "built-in"}


def bars(row: Row) -> list[tuple[str, float, bool]]:
    """(library, its time on the eager model over ours, whether its result agrees) of everyone who counts."""
    mine = row.ours()
    if mine is None or not mine.seconds:
        return []
    return [
        (lap.name, lap.median / mine.median, lap.agrees is not False)
        for lap in row.laps
        if lap.counted and lap.on == "eager" and lap.seconds and lap.name != OURS
    ]


def draw(report: Report, path: Path) -> None:
    """Write the plot; a hatched bar is a result that differs, a tick the ratio that is demanded of the fastest."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    rows = [(row, found) for row in report.rows if (found := bars(row))]
    count = sum(len(found) for _, found in rows)
    figure = Figure(figsize=(8.3, 1.3 + 0.15 * count + 0.12 * len(rows)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    at, ticks, labels, seen = 0.0, [], [], []
    largest = max((ratio for _, found in rows for _, ratio, _ in found), default=1.0)
    for row, found in rows:
        first = at
        for name, ratio, agrees in sorted(found, key=lambda each: each[1]):
            colour = _COLOURS.get(name, "#7f7f7f")
            # from 1 on: what lies left of the line is slower than they are
            axes.barh(
                at, ratio - 1, left=1, height=0.86, color=colour, hatch=None if agrees else "////",
                edgecolor="white" if not agrees else colour, linewidth=0,
            )  # fmt: skip
            axes.text(
                max(ratio, 1) * 1.03, at, f"{ratio:.2g}x" if ratio < 10 else f"{ratio:.0f}x", va="center", fontsize=6.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3}, zorder=3,
            )  # fmt: skip
            seen.append(name)
            at += 1
        for demand in row.demands:
            if not demand.against and not demand.most:
                axes.vlines(demand.ratio, first - 0.5, at - 0.5, color="black", linewidth=1.1)
        ticks.append((first + at - 1) / 2)
        batch = f", batch {row.batch}" if row.batch > 1 else ""
        labels.append(f"{row.task}, {_NAMES.get(row.network, row.network)}{batch}")
        at += 0.8
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(right=largest * 1.6)
    axes.set_ylim(at - 0.3, -0.9)
    axes.set_yticks(ticks, labels, fontsize=7.5)
    steps = [s for s in (0.5, 1, 2, 4, 10, 20, 50, 100, 200, 500, 1000, 2000) if s <= largest * 1.6]
    axes.set_xticks(steps, [f"{step:g}x" for step in steps], fontsize=7.5)
    axes.minorticks_off()
    axes.set_title("times as long as seewhy, on the same model and to the same result", fontsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25, linewidth=0.6)
    handles = [Patch(color=_COLOURS.get(name, "#7f7f7f"), label=name) for name in dict.fromkeys(seen)]
    handles.append(Patch(facecolor="#bbbbbb", hatch="////", edgecolor="white", label="another result"))
    handles.append(Line2D([], [], color="black", linewidth=1.1, label="demanded of the fastest"))
    figure.legend(handles=handles, fontsize=7, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.savefig(path)
