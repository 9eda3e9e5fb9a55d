"""Takes pixels and the map under them, gives pixels with iso-lines; never changes the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from contourpy import contour_generator
from PIL import Image, ImageDraw

from seewhy.render.scale import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["draw_contours"]

_ABOVE = np.array([255, 255, 255], dtype=np.float32)
_BELOW = np.array([150, 205, 255], dtype=np.float32)
#: how many times finer than the pixels lines are drawn, before they are averaged; large pictures need less
_FINER, _LARGE = 4, 1_000_000


def draw_contours(
    pixels: NDArray[np.uint8], map: NDArray[Any], levels: Sequence[float], top: float, *, signed: bool
) -> NDArray[np.uint8]:
    """``pixels`` (uint8 ``[H, W, 3]``) with a line where ``map`` ``[h, w]`` crosses each fraction of ``top``.

    Lines are white on a thin dark edge, so that they show on anything; those of a signed map's negative side
    are light blue. Where the map is not finite there is none.
    """
    if top <= 0:
        return pixels
    height, width = pixels.shape[:2]
    # about a 300th of the picture, so that a line looks the same on a thumbnail and on a photo
    stroke = max(1.1, min(height, width) / 260)
    sides = contour_generator(z=np.ma.masked_invalid(resize(map, (height, width))))
    canvas = pixels.astype(np.float32)
    for level in levels:
        for sign, colour in ((1, _ABOVE), (-1, _BELOW))[: 2 if signed else 1]:
            lines = sides.lines(sign * level * top)
            for wide, ink, strength in ((stroke + 1.2, np.zeros(3), 0.45), (stroke, colour, 1.0)):
                share = strength * _coverage(lines, wide, height, width)[..., None]
                canvas = canvas * (1 - share) + ink * share
    return np.rint(canvas).astype(np.uint8)


def _coverage(lines: Any, wide: float, height: int, width: int) -> NDArray[np.float32]:
    """The share of every pixel that a pen of ``wide`` pixels covers along ``lines``, each of points [n, 2], (x, y) from
    the middle of the first pixel."""
    finer = _FINER if height * width <= _LARGE else _FINER // 2
    drawn = Image.new("L", (width * finer, height * finer))
    pen = ImageDraw.Draw(drawn)
    for line in lines:
        points = (np.asarray(line) + 0.5) * finer - 0.5
        pen.line(points.ravel().tolist(), fill=255, width=round(wide * finer) + 1, joint="curve")
    shares = np.asarray(drawn, dtype=np.float32).reshape(height, finer, width, finer)
    return np.asarray(shares.mean(axis=(1, 3)) / 255)
