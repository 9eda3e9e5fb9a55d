"""Takes pictures of the inside of a network with what each shows, gives one record with a labelled grid; computes
nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import UsageError
from seewhy.explanation.ground import picture_size
from seewhy.explanation.parts import Cost, Status
from seewhy.explanation.picture import bar_of, look
from seewhy.html import picture
from seewhy.render import SUFFIXES, Cell, check, embedded, grid, grid_pdf, grid_svg, write, write_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from seewhy.explanation.result import Explanation
    from seewhy.render import Colorbar

__all__ = ["Gallery", "Tile", "columns_for", "map_tile"]

_COLUMNS = 8


def columns_for(count: int, *, wide: bool = False) -> int:
    """In how many columns ``count`` tiles make the fullest rows: 6 to 11, next to 8 where several do; of ``wide`` ones
    4 to 6, next to 4.

    >>> columns_for(64), columns_for(33), columns_for(4), columns_for(10, wide=True)
    (8, 11, 4, 5)
    """
    among, middle = (range(4, 7), 4) if wide else (range(6, 12), _COLUMNS)
    if count < among[0]:
        return max(count, 1)
    return min(among, key=lambda columns: (-count % columns, abs(columns - middle)))


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture, uint8 ``[H, W, 3]``, its title lines, the number it stands for (a channel, a filter; None for none),
    its value (the evidence, the score), and the ``bar`` of its own colours where it has some."""

    pixels: NDArray[np.uint8]
    title: tuple[str, ...]
    index: int | None = None
    value: float | None = None
    bar: Colorbar | None = None


def map_tile(explanation: Explanation, title: tuple[str, ...], most: int) -> Tile:
    """The overlay of ``explanation`` with its colorbar, at most ``most`` pixels on the longer side."""
    size = picture_size(explanation, most=most)
    shown = np.asarray(explanation.overlay(width=size[1]).convert("RGB"), dtype=np.uint8)
    return Tile(shown, title, bar=bar_of(explanation, look(explanation, most=most)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Gallery:
    """Feature maps, filters, visualised features or factors: tiles, and the numbers they were drawn from.

    ``values`` is what the tiles show, in their order (photos left out); ``arrays`` are further numbers by name.
    ``columns`` tiles make a row, each fitted into ``cell`` pixels; ``colorbar`` is ``(colormap, lowest, highest)``
    where one scale holds for all; titles stand ``under`` their tiles or above. ``notes`` say how it was made,
    ``status`` whether it was finished.
    """

    title: str
    tiles: tuple[Tile, ...]
    values: NDArray[Any]
    columns: int = _COLUMNS
    cell: int = 128
    colorbar: Colorbar | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    under: bool = False
    notes: tuple[str, ...] = ()
    status: Status = field(default_factory=Status)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tiles)

    def __iter__(self) -> Iterator[Tile]:
        return iter(self.tiles)

    def __getitem__(self, number: int) -> Tile:
        return self.tiles[number]

    def _cells(self) -> tuple[list[list[Cell]], dict[str, Any]]:
        if not self.tiles:
            raise UsageError(f"{self.title}: nothing to draw")
        cells = [
            Cell(tile.pixels, () if self.under else tile.title, bar=tile.bar, below=tile.title if self.under else ())
            for tile in self.tiles
        ]
        columns = min(self.columns, len(cells))
        rows = [cells[at : at + columns] for at in range(0, len(cells), columns)]
        foot = "; ".join([str(self.status)] * (not self.status.ok) + list(self.notes))
        return rows, {"cell": self.cell, "header": self.title, "footer": foot, "colorbar": self.colorbar}

    def figure(self) -> Image.Image:
        """All tiles, titled, in rows, as one picture."""
        cells, rest = self._cells()
        return grid(cells, **rest)

    def figure_svg(self) -> str:
        """The figure of `figure` as an SVG document."""
        cells, rest = self._cells()
        return grid_svg(cells, **rest)

    def figure_pdf(self) -> bytes:
        """The figure of `figure` as a PDF file of one page."""
        cells, rest = self._cells()
        return grid_pdf(cells, **rest)

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """The file written: ``.png``, ``.jpg``, ``.svg``, ``.pdf`` hold the figure, ``.npy`` the values.

        Raises `UsageError` for another suffix, and for a file that exists unless ``force``.
        """
        path = check(path, (*SUFFIXES, ".npy"), force=force)
        suffix = path.suffix.lower()
        if suffix == ".npy":
            import io

            buffer = io.BytesIO()
            np.save(buffer, self.values, allow_pickle=False)
            return write_bytes(buffer.getvalue(), path, force=force)
        documents: dict[str, Callable[[], str | bytes]] = {".svg": self.figure_svg, ".pdf": self.figure_pdf}
        return write(documents[suffix]() if suffix in documents else self.figure(), path, force=force)

    def to_dict(self) -> dict[str, Any]:
        """What it shows as plain, strictly valid JSON: no arrays, null for numbers that are not finite."""

        def number(value: float | None) -> float | None:
            return value if value is not None and math.isfinite(value) else None

        return {
            "title": self.title,
            "tiles": [{"title": list(t.title), "index": t.index, "value": number(t.value)} for t in self.tiles],
            "status": self.status.code,
            "cause": self.status.cause,
            "notes": list(self.notes),
            "parameters": {name: _plain(value) for name, value in self.parameters.items()},
        }

    def _repr_html_(self) -> str:
        return picture(*embedded(self.figure()), self.title)

    def __repr__(self) -> str:
        return f"Gallery({self.title!r}, {len(self.tiles)} tiles, values={self.values.shape}, status={self.status!s})"


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
