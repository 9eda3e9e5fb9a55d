"""Training curves: takes numbers by epoch, gives one record with its picture; reads no log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import CapabilityError
from seewhy.explanation.plain import plain
from seewhy.html import pairs, picture
from seewhy.render import SUFFIXES, check, embedded, write
from seewhy.render.plots import document, drawn
from seewhy.render.training import training

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["Curve", "Curves"]

#: panels of a figure, and how high one of them has to be at least, in inches
_MOST, _HIGH = 6, 1.7


@dataclass(frozen=True, eq=False)
class Curve:
    """One column of a log: its name there, the measure that it is of (``"loss"``), of which photos (``"train"``,
    ``"val"``, ``"test"``, '' where nothing says), and its values [E], NaN for none."""

    column: str
    measure: str
    role: str
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curves:
    """What a training wrote down: ``x`` [E], the ``axis`` that they are (``"epoch"``), and every curve, the losses
    first; ``name`` is the log's, ``notes`` say what was left out of it."""

    name: str
    axis: str
    x: NDArray[np.float64]
    curves: tuple[Curve, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)

    @property
    def measures(self) -> tuple[str, ...]:
        """What was measured, each once."""
        return tuple(dict.fromkeys(curve.measure for curve in self.curves))

    def of(self, measure: str) -> tuple[Curve, ...]:
        """The curves of one measure, those of training first."""
        return tuple(curve for curve in self.curves if curve.measure == measure)

    def lowest_loss(self) -> tuple[str, float, float] | None:
        """Column, place on the axis and value of the lowest validation loss; None without one."""
        for curve in self.curves:
            if curve.role == "val" and "loss" in curve.measure and np.isfinite(curve.values).any():
                at = int(np.argmin(np.where(np.isfinite(curve.values), curve.values, np.inf)))
                return curve.column, float(self.x[at]), float(curve.values[at])
        return None

    def _figure(self, columns: int, most: int, size: tuple[float, float]) -> Any:
        shown = self.measures[:most]
        best = self.lowest_loss()
        marked = {}
        if best is not None:
            (measure,) = {curve.measure for curve in self.curves if curve.column == best[0]}
            marked[measure] = best[1], f"lowest {best[0]}: {self.axis} {best[1]:g}"
        panels = {name: [(one.column, one.role, one.values) for one in self.of(name)] for name in shown}
        more = f", {len(shown)} of {len(self.measures)} measures" if len(shown) < len(self.measures) else ""
        return training(
            self.x, panels, marked, x_label=self.axis, title=f"{self.name}{more}", columns=columns, size=size
        )

    def _whole(self) -> Any:
        count = min(len(self.measures), _MOST)
        columns = 1 if count == 1 else 2
        return self._figure(columns, _MOST, (4.6 * columns, 0.5 + 2.9 * -(-count // columns)))

    def figure(self) -> Image.Image:
        """A panel for each measure, six at most, as one picture; raises `CapabilityError` without matplotlib."""
        return drawn(self._whole())

    def beside(self, height: float) -> Image.Image:
        """As many panels below each other as there is room for in ``height`` inches, as a picture 480 pixels wide."""
        return drawn(self._figure(1, max(1, int(height / _HIGH)), (4.0, height)))

    def figure_svg(self) -> str:
        """The figure of `figure` as an SVG document."""
        return document(self._whole())

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain, strictly valid JSON: null where there is no number."""
        best = self.lowest_loss()
        return {
            "name": self.name,
            "axis": self.axis,
            "x": [plain(value) for value in self.x.tolist()],
            "curves": [
                {
                    "column": curve.column, "measure": curve.measure, "role": curve.role,
                    "values": [plain(value) for value in curve.values.tolist()],
                }
                for curve in self.curves
            ],
            "lowest_loss": None if best is None else {"column": best[0], self.axis: best[1], "value": best[2]},
            "notes": list(self.notes),
        }  # fmt: skip

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """The file written: ``.png``, ``.jpg`` or ``.svg``, the charts.

        Raises `UsageError` for another suffix, and for a file that exists unless ``force``.
        """
        path = check(path, SUFFIXES, force=force)
        return write(self.figure_svg() if path.suffix.lower() == ".svg" else self.figure(), path, force=force)

    def _repr_html_(self) -> str:
        try:
            return picture(*embedded(self.figure()), self.name)
        except CapabilityError as error:
            return pairs([("curves", repr(self)), ("picture", error)])

    def __repr__(self) -> str:
        return f"Curves({self.name!r}, {len(self)} {self.axis}s: {', '.join(self.measures)})"
