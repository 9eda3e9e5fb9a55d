"""A decision boundary: takes photos placed in two dimensions with what they are and what they were called, gives one
record with its picture; runs no model."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import CapabilityError, UsageError
from seewhy.explanation.plain import plain
from seewhy.html import pairs, picture
from seewhy.render import SUFFIXES, check, embedded, write, write_bytes
from seewhy.render.plots import document, drawn
from seewhy.render.scatter import OTHER, Beside, scatter

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from seewhy.explanation.gallery import Tile

__all__ = ["Boundary", "Head"]

#: places of the plane that are asked, along each axis
_FINE, _COARSE = 360, 160
#: what is left free around the points, as a share of their range
_MARGIN = 0.08
#: scores that are held in memory at once
_AT_ONCE = 8_000_000


@dataclass(frozen=True, eq=False)
class Head:
    """What a linear layer says of a plane: scores [K] are ``slopes`` [K, 2] times the place, and ``offsets`` [K]."""

    slopes: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def called(self, points: NDArray[Any]) -> NDArray[np.int64]:
        """The class with the highest score at each of ``points`` [M, 2]."""
        values, step = np.asarray(points, dtype=np.float64), max(1, _AT_ONCE // len(self.offsets))
        parts = [(values[n : n + step] @ self.slopes.T + self.offsets).argmax(1) for n in range(0, len(values), step)]
        return np.concatenate(parts).astype(np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class Boundary:
    """Photos in two dimensions, as a classifier's layer has them, and which class it has where.

    ``points`` [N, 2] are the photos' places, in the layer's own units for ``projection`` ``"pca"``; ``truths``,
    ``answers`` [N] the classes that they show and that the model gave, ``probabilities`` [N] how sure it was; ``names``
    are the photos'. ``shares`` say what part of the features' variance lies along each axis (None for UMAP). ``head``
    says which class the plane has where; without it the five nearest photos' answers do. ``layer`` is where the
    features are from, in words; ``features`` how many they are. ``worst`` are pictures of the surest mistakes, whose
    ``index`` is the photo's and whose ``value`` the probability.
    """

    model: str
    points: NDArray[np.float64]
    truths: NDArray[np.int64]
    answers: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    names: tuple[str, ...]
    labels: Mapping[int, str]
    layer: str
    features: int
    projection: str = "pca"
    shares: tuple[float, float] | None = None
    head: Head | None = None
    worst: tuple[Tile, ...] = ()
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Which photos were called something else, [N]."""
        return np.asarray(self.truths != self.answers)

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return float(1 - self.wrong.mean())

    @property
    def agreement(self) -> float:
        """The share of the photos at whose place the plane has the class that the model gave: how far the picture can
        be believed. Of neighbours it says little, as every photo is its own nearest."""
        return float((self.called(self.points) == self.answers).mean())

    def called(self, points: NDArray[Any]) -> NDArray[np.int64]:
        """The class that the plane has at each of ``points`` [M, 2]: what the linear layer says of the features that
        stand there, or the commonest answer of the five nearest photos."""
        if self.head is not None:
            return self.head.called(points)
        from seewhy.metrics.planes import voted  # metrics of maps load torch, which nobody needs who opens a result

        return voted(points, self.points, self.answers)

    @property
    def region_rule(self) -> str:
        """``"head"`` or ``"neighbours"``: what colours the plane."""
        return "neighbours" if self.head is None else "head"

    def _extent(self) -> tuple[float, float, float, float]:
        low, high = self.points.min(0), self.points.max(0)
        room = np.maximum((high - low) * _MARGIN, max(1e-6, float((high - low).max()) * 0.02))
        return float(low[0] - room[0]), float(high[0] + room[0]), float(low[1] - room[1]), float(high[1] + room[1])

    def _figure(self) -> Any:
        left, right, bottom, top = extent = self._extent()
        side = _COARSE if self.head is None else _FINE
        x, y = (low + (np.arange(side) + 0.5) / side * (high - low) for low, high in ((left, right), (bottom, top)))
        plane = self.called(np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)).reshape(side, side)
        classes = self._shown()
        number = {index: n for n, index in enumerate(classes)}
        region = np.full(plane.shape, OTHER)
        for index in np.unique(plane):
            region[plane == index] = number.get(int(index), OTHER)
        return scatter(
            self.points,
            np.array([number[int(truth)] for truth in self.truths]),
            self.wrong,
            region,
            extent,
            [self.labels[index] for index in classes],
            beside=[Beside(tile.pixels, tile.title, int(tile.index or 0)) for tile in self.worst],
            title=f"{self.model}: {len(self)} photos, {self.accuracy:.1%} right\n{self.layer}",
            x_label=self._axis(0),
            y_label=self._axis(1),
            foot=self._foot(bool((region == OTHER).any())),
        )

    def _shown(self) -> list[int]:
        """The classes that have a colour: all that a photo shows or was called."""
        return [int(index) for index in np.unique(np.concatenate([self.truths, self.answers]))]

    def _axis(self, n: int) -> str:
        if self.shares is None:
            return f"UMAP {n + 1}"
        return f"principal component {n + 1}, {self.shares[n]:.0%} of the variance"

    def _foot(self, others: bool) -> str:
        words = "Points have the colour of the class they show. "
        if self.head is not None and self.shares is not None:
            words += (
                "The plane goes through the mean of the features along their first two principal components, which "
                f"hold {sum(self.shares):.0%} of their variance; its colour is what the last linear layer says of what "
                f"stands there, which is the model's answer for {self.agreement:.1%} of the photos."
            )
        else:
            from seewhy.metrics.planes import NEIGHBOURS

            words += f"Colours of the plane: the commonest answer of the {NEIGHBOURS} nearest photos."
            words += " Distances mean nothing." if self.shares is None else ""
        return words + (" Grey: a class that no photo shows or was called." if others else "")

    def figure(self) -> Image.Image:
        """The chart as one picture; raises `CapabilityError` without matplotlib."""
        return drawn(self._figure())

    def figure_svg(self) -> str:
        """The figure of `figure` as an SVG document."""
        return document(self._figure())

    def table(self) -> list[dict[str, Any]]:
        """A row for each photo: image, x, y, truth, said, probability, right."""
        return [
            {
                "image": name, "x": float(point[0]), "y": float(point[1]), "truth": self.labels[int(truth)],
                "said": self.labels[int(said)], "probability": float(sure), "right": bool(truth == said),
            }
            for name, point, truth, said, sure in zip(
                self.names, self.points, self.truths, self.answers, self.probabilities, strict=True
            )
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures as plain, strictly valid JSON."""
        known: dict[str, Any] = {
            "model": self.model, "layer": self.layer, "features": self.features, "projection": self.projection,
            "variance": self.shares, "regions": self.region_rule, "agreement": self.agreement, "count": len(self),
            "accuracy": self.accuracy,
            "classes": [{"class": index, "label": self.labels[index]} for index in self._shown()],
            "points": self.table(), "worst": [self.names[int(tile.index or 0)] for tile in self.worst],
            "notes": self.notes, "failed": self.failed, "parameters": self.parameters, "provenance": self.provenance,
        }  # fmt: skip
        return {key: plain(value) for key, value in known.items()}

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """The file written: ``.png``, ``.jpg``, ``.svg`` hold the chart, ``.csv`` the table of photos.

        Raises `UsageError` for another suffix, and for a file that exists unless ``force``.
        """
        path = check(path, (*SUFFIXES, ".csv"), force=force)
        suffix = path.suffix.lower()
        if suffix != ".csv":
            return write(self.figure_svg() if suffix == ".svg" else self.figure(), path, force=force)
        text, rows = io.StringIO(), self.table()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        return write_bytes(text.getvalue().encode(), path, force=force)

    def _repr_html_(self) -> str:
        try:
            return picture(*embedded(self.figure()), str(self))
        except CapabilityError as error:
            return pairs([("boundary", repr(self)), ("picture", error)])

    def __post_init__(self) -> None:
        if not len(self.points):
            raise UsageError(f"{self.model}: no photo has a place; give at least one whose features are finite")

    def __repr__(self) -> str:
        return (
            f"Boundary({self.model!r}, {len(self)} photos, {self.accuracy:.1%} right, projection={self.projection!r}, "
            f"regions={self.region_rule!r})"
        )
