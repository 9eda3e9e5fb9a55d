"""Takes a kernel's weights, gives a picture in which zero is neutral; never decides which kernels to show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import UsageError
from seewhy.render.heatmap import Pixels, heatmap

__all__ = ["kernel"]

#: a slice is at least that many pixels wide, so that the gap between slices stays thin
_SLICE = 24
_GAP = 3


def kernel(weights: NDArray[Any], *, limit: float, colour: bool = False, cmap: str | None = None) -> Pixels:
    """The picture of ``weights`` ``[P, h, w]``: uint8 ``[H, W, 3]``, a weight of +-``limit`` in the end colours.

    With ``colour`` the P = 3 planes are red, green and blue, and 0 is mid-grey, one pixel a weight. Otherwise every
    plane is drawn alone in ``cmap`` (default: the diverging one, 0 in its middle), side by side in a square, each
    weight enlarged to a few pixels. A ``limit`` of 0 draws all weights as 0; those that are not finite are mid-grey.
    Raises `UsageError` for another shape.

    >>> kernel(np.array([[[1.0]], [[0.0]], [[-1.0]]]), limit=1.0, colour=True).tolist()
    [[[255, 128, 0]]]
    """
    planes = np.asarray(weights, dtype=np.float64)
    if planes.ndim != 3 or 0 in planes.shape or (colour and planes.shape[0] != 3):
        raise UsageError(f"a kernel to draw is (P, h, w), with P = 3 in colour; got {planes.shape}")
    if colour:
        share = np.nan_to_num(planes / limit, nan=0.0) if limit > 0 else np.zeros_like(planes)
        return np.asarray(np.rint(127.5 * (1 + np.clip(share, -1, 1))), dtype=np.uint8).transpose(1, 2, 0).copy()
    factor = max(1, math.ceil(_SLICE / max(planes.shape[1:])))
    drawn = [heatmap(plane, cmap=cmap, signed=True, limits=(-limit, limit)) for plane in planes]
    large = [np.repeat(np.repeat(picture, factor, axis=0), factor, axis=1) for picture in drawn]
    return _square(large)


def _square(pictures: list[Pixels]) -> Pixels:
    """Pictures of one size in rows, about as many in a row as there are rows, with white between them."""
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    height, width = pictures[0].shape[:2]
    canvas = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, dtype=np.uint8)
    for n, picture in enumerate(pictures):
        top, left = n // columns * (height + _GAP), n % columns * (width + _GAP)
        canvas[top : top + height, left : left + width] = picture
    return canvas
