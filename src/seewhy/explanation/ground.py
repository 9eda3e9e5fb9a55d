"""The ground of pictures: takes an explanation, gives the photo that its maps are drawn on and the part of it that they
cover; never draws a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from seewhy.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seewhy.explanation.result import Explanation

__all__ = ["Place", "picture_size", "place", "under", "view_size"]

#: pixels that a picture may be wide
_WIDEST = 20_000


@dataclass(frozen=True)
class Place:
    """Where a map lies on a picture: the picture's (height, width); the (height, width) that the whole map has there,
    and where it begins: before the picture, where what the model saw is padded."""

    size: tuple[int, int]
    map: tuple[int, int]
    start: tuple[int, int] = (0, 0)

    @property
    def covered(self) -> tuple[slice, slice]:
        """Rows and columns of the picture under the map."""
        return self._meeting(self.start)

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns of the map that are in the picture."""
        return self._meeting((0, 0))

    def _meeting(self, origin: tuple[int, int]) -> tuple[slice, slice]:
        first, second = (
            slice(max(start, 0) - start + at, min(start + length, whole) - start + at)
            for whole, length, start, at in zip(self.size, self.map, self.start, origin, strict=True)
        )
        return first, second


def picture_size(explanation: Explanation, width: int | None = None, most: int | None = None) -> tuple[int, int]:
    """(height, width) of its picture: the photo in its own pixels, or what the model saw where there is no photo;
    ``width`` pixels wide; at most ``most`` on the longer side.

    Raises `UsageError` if it has no two-dimensional map, and for a width without pixels.
    """
    own = explanation.photo if explanation.photo is not None else explanation.image
    size = explanation._plane_size()
    return _at_most((own.shape[0], own.shape[1]) if own is not None else size, width, most)


def view_size(explanation: Explanation, width: int | None = None, most: int | None = None) -> tuple[int, int]:
    """As `picture_size`, of a picture of what the model saw alone."""
    if explanation.photo is None or explanation.window is None:
        return picture_size(explanation, width, most)
    full = explanation.photo.shape[0], explanation.photo.shape[1]
    left, top, right, bottom = explanation.window
    height, wide = max(1, round((bottom - top) * full[0])), max(1, round((right - left) * full[1]))
    less = min(1.0, (full[0] * full[1] / (height * wide)) ** 0.5)  # padding may be much larger than the photo
    return _at_most((max(1, round(height * less)), max(1, round(wide * less))), width, most)


def place(explanation: Explanation, size: tuple[int, int]) -> Place:
    """Where the map lies on a picture of ``size``."""
    if explanation.photo is None or explanation.window is None:
        return Place(size, size)
    left, top, right, bottom = explanation.window
    (y0, y1), (x0, x1) = _edges(top, bottom, size[0]), _edges(left, right, size[1])
    return Place(size, (y1 - y0, x1 - x0), (y0, x0))


def under(explanation: Explanation, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """The photo, or what the model saw of it, uint8 ``[H, W, 3]`` at ``size``; None where there is neither."""
    own = explanation.photo if explanation.photo is not None else explanation.image
    if own is None or own.shape[:2] == size:
        return own
    large = Image.fromarray(np.ascontiguousarray(own))
    return np.asarray(large.resize((size[1], size[0]), Image.Resampling.LANCZOS))


def _edges(low: float, high: float, length: int) -> tuple[int, int]:
    """Two edges in fractions as pixels, with at least one pixel of the picture between them."""
    first = min(round(low * length), length - 1)
    return first, max(round(high * length), first + 1, 1)


def _at_most(size: tuple[int, int], width: int | None, most: int | None) -> tuple[int, int]:
    factor = 1.0
    if width is not None:
        if not 1 <= width <= _WIDEST:
            raise UsageError(f"a picture {width} pixels wide; 1 to {_WIDEST} can be drawn")
        factor = width / size[1]
    elif most is not None:
        factor = min(1.0, most / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
