"""Takes numbers by epoch, gives charts of them, a panel for each measure with training and validation side by side;
reads no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.render.plots import chart, literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["training"]

_COLOURS = {"train": "#b5532a", "val": "#2a66b5", "test": "#3c7a3f", "": "#63636e"}


def training(
    x: NDArray[Any],
    panels: Mapping[str, Sequence[tuple[str, str, NDArray[Any]]]],
    marked: Mapping[str, tuple[float, str]],
    *,
    x_label: str,
    title: str,
    columns: int,
    size: tuple[float, float],
) -> Any:
    """The charts as a matplotlib figure of ``size`` inches, ``columns`` panels beside each other.

    ``panels`` have, by the measure's name, lines of a label, a role (``"train"``, ``"val"``, ``"test"`` or ''), and
    values at ``x``, NaN for none; ``marked`` places on the axis of some of them, with what is there. Raises
    `CapabilityError` without matplotlib.
    """
    figure, _ = chart(*size)
    figure.clear()
    figure.suptitle(literal(title), fontsize=10)
    rows = -(-len(panels) // columns)
    for number, (name, lines) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, columns, number)
        for label, role, values in lines:
            known = np.isfinite(values)
            # a line where there are several, a dot where there is one
            look = {"linestyle": "--" if role == "test" else "-", "marker": "o", "markersize": 3 if len(x) < 60 else 0}
            axes.plot(x[known], values[known], color=_COLOURS[role], label=literal(label), linewidth=1.4, **look)
        if name in marked:
            place, words = marked[name]
            axes.axvline(place, color=_COLOURS["val"], linewidth=0.9, linestyle=":", label=literal(words))
        axes.set_title(literal(name), fontsize=9, loc="left")
        axes.tick_params(labelsize=7)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, frameon=False)
        if number > len(panels) - columns:
            axes.set_xlabel(x_label, fontsize=8)
    return figure
