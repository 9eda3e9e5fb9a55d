"""Takes a colormap's ends and a place, gives the pieces of a colorbar with its numbers and unit, and the lengths that a
figure goes by; draws nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seewhy.render.colormaps import colormap
from seewhy.render.sheet import Picture, Text
from seewhy.render.typeset import fit, width

if TYPE_CHECKING:
    from seewhy.render.sheet import Piece

__all__ = ["INK", "SOFT", "Colorbar", "Measures", "colorbar_pieces"]

#: the colours of large and of small type
INK, SOFT = "#111116", "#45454f"


class Colorbar(NamedTuple):
    """A colormap's name, the values at its two ends, and what they are counted in."""

    cmap: str
    low: float
    high: float
    unit: str = ""


@dataclass(frozen=True)
class Measures:
    """Every length of the layout, in pixels, from one: the cell."""

    cell: int

    def __call__(self, units: float) -> int:
        """So many of the 320 units that a cell is wide, in pixels."""
        return round(units * self.cell / 320)

    @property
    def head(self) -> int:
        """The size of a figure's header."""
        return max(15, self(20))

    @property
    def large(self) -> int:
        """The size of a picture's first line."""
        return max(12, self(16))

    @property
    def small(self) -> int:
        """The size of all other lines."""
        return max(11, self(13))


def colorbar_pieces(items: list[Piece], bar: Colorbar, x: float, y: float, wide: float, px: Measures) -> float:
    """Add a colorbar with its numbers and unit; gives the lower edge."""
    name, low, high, unit = Colorbar(*bar)
    tall = max(px(10), 7)
    under = y + max(px(26), tall + px.small + 3)  # where the numbers stand, however small the cells
    items.append(Picture(x, y, wide, tall, np.ascontiguousarray(colormap(name)[None])))
    start, end = _number(low), _number(high)
    items.append(Text(x, under, start, px.small, SOFT))
    middle = -low / (high - low) if low < 0 < high else None
    if middle is not None:
        items.append(Text(x + middle * wide, under, "0", px.small, SOFT, "middle"))
    # the unit stands beside the number where there is room, else in a line of its own
    room = wide * (1 - (middle or 0.0)) - px(20) - (0 if middle is not None else width(start, px.small))
    whole = f"{end} {unit}".strip()
    if not unit or width(whole, px.small) <= room:
        items.append(Text(x + wide, under, whole, px.small, SOFT, "end"))
        return under + px(4)
    items.append(Text(x + wide, under, end, px.small, SOFT, "end"))
    under += px.small + px(4)
    items.append(Text(x + wide, under, fit(unit, px.small, wide), px.small, SOFT, "end"))
    return under + px(4)


def _number(value: float) -> str:
    """Three digits, as they are read: 0.363, 12.5, 4.1e−7."""
    digits, _, power = f"{value:.3g}".partition("e")
    return f"{digits}e{int(power)}".replace("-", "−") if power else digits.replace("-", "−")
