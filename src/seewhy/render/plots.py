"""Takes numbers, gives charts with axes as pictures, by way of matplotlib; the only place that needs it to draw."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from seewhy.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["chart", "curve", "document", "drawn", "literal", "matrix", "matrix_side"]

#: classes beyond which a matrix has no room for names and numbers
_NAMED, _NUMBERED = 60, 25
#: letters of a class's name that there is room for
_LONG = 26


def chart(width: float, height: float) -> tuple[Any, Any]:
    """An empty figure of that many inches, and its axes; raises `CapabilityError` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CapabilityError("charts need matplotlib: pip install 'seewhy[plot]'") from error
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def literal(words: str, letters: int = 200) -> str:
    """``words`` as matplotlib draws them, cut to so many ``letters``: dollars are no formula to it, and an underscore
    in front hides nothing."""
    words = words if len(words) <= letters else f"{words[: letters - 1].rstrip()}…"
    escaped = words.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def drawn(figure: Any) -> Image.Image:
    """A figure as an RGB picture."""
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")


def document(figure: Any) -> str:
    """A figure as an SVG document, the same for the same figure: text stays text, and no date is in it."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "seewhy", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def curve(x: Sequence[float], y: Sequence[float], *, title: str, x_label: str, y_label: str) -> Image.Image:
    """Points joined by lines, ``y`` in percent from 0 to 100."""
    figure, axes = chart(5, 3.5)
    axes.plot(x, y, marker="o", color="#b5532a")
    axes.set(xlabel=x_label, ylabel=y_label, ylim=(-3, 103), title=title)
    axes.grid(alpha=0.3)
    return drawn(figure)


def matrix_side(names: Sequence[str]) -> float:
    """How high a confusion matrix of these classes is, in inches: long names leave it its room."""
    longest = min(_LONG, max((len(name) for name in names), default=0))
    return float(min(max(3.5, 0.32 * len(names) + 2) + 0.075 * max(0, longest - 10), 14))


def matrix(counts: NDArray[np.int64], names: Sequence[str], *, title: str) -> Image.Image:
    """A confusion matrix: rows true, columns said, coloured by each row's shares, counts written where they fit."""
    side = matrix_side(names)
    figure, axes = chart(side + 0.6, side)
    names = [literal(name, _LONG) for name in names]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Oranges", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xlabel="said", ylabel="true")
    figure.suptitle(literal(title), fontsize=11)
    if len(names) <= _NAMED:
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
    if len(names) <= _NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ink = "white" if shares[row, column] > 0.6 else "black"
                axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=ink)
    return drawn(figure)
