"""Takes pixels and the map under them, gives pixels with iso-lines; never changes the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.render.scale import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["draw_contours"]

_ABOVE = np.array([255, 255, 255], dtype=np.float32)
_BELOW = np.array([150, 205, 255], dtype=np.float32)


def draw_contours(
    pixels: NDArray[np.uint8], map: NDArray[Any], levels: Sequence[float], top: float, *, signed: bool
) -> NDArray[np.uint8]:
    """``pixels`` (uint8 ``[H, W, 3]``) with a line where ``map`` ``[h, w]`` crosses each fraction of ``top``.

    Lines are white on a thin dark edge, so that they show on anything; those of a signed map's negative side
    are light blue. The map is interpolated to a grid finer than the pixels, which makes the lines smooth.
    """
    if top <= 0:
        return pixels
    height, width = pixels.shape[:2]
    finer = 4 if height * width <= 1_000_000 else 2
    # About a 300th of the picture, so that a line looks the same on a thumbnail and on a photo.
    stroke = max(1.1, min(height, width) / 260)
    fine = resize(map, (height * finer, width * finer))
    canvas = pixels.astype(np.float32)
    for level in levels:
        for sign, colour in ((1, _ABOVE), (-1, _BELOW))[: 2 if signed else 1]:
            with np.errstate(invalid="ignore"):
                inside = sign * fine >= level * top
            edge = _edge(inside)
            for wide, ink, strength in ((stroke + 1.2, np.zeros(3), 0.45), (stroke, colour, 1.0)):
                share = strength * _coverage(edge, wide * finer / 2, finer)[..., None]
                canvas = canvas * (1 - share) + ink * share
    return np.rint(canvas).astype(np.uint8)


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a pixel and its right or lower neighbour disagree."""
    edge = np.zeros_like(inside)
    edge[:, :-1] |= inside[:, :-1] != inside[:, 1:]
    edge[:-1] |= inside[:-1] != inside[1:]
    return edge


def _coverage(edge: NDArray[np.bool_], radius: float, finer: int) -> NDArray[np.float32]:
    """The share of every pixel that a round pen of ``radius`` (in fine pixels) covers along ``edge``."""
    height, width = edge.shape
    if not edge.any():
        return np.zeros((height // finer, width // finer), dtype=np.float32)
    reach = int(np.ceil(radius))
    padded = np.pad(edge, reach)
    drawn = np.zeros_like(edge)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if down * down + right * right <= radius * radius:
                drawn |= padded[reach + down : reach + down + height, reach + right : reach + right + width]
    blocks = drawn.reshape(height // finer, finer, width // finer, finer)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))
