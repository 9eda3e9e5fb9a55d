"""Outlines of objects: takes polygons, boxes and run lengths as data sets write them, gives which pixels are inside;
reads no file.

A pixel is inside where its middle is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import UsageError

__all__ = ["Inside", "box", "polygon", "runs"]

Inside = NDArray[np.bool_]


def box(left: float, top: float, right: float, bottom: float, size: tuple[int, int]) -> Inside:
    """The pixels of a picture of ``size`` (height, width) in a box, edges in pixels from the upper left corner.

    Raises `UsageError` for a box that is none.

    >>> box(1, 0, 3, 1, (2, 4)).astype(int).tolist()
    [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    edges = (left, top, right, bottom)
    if not all(map(math.isfinite, edges)) or right < left or bottom < top:
        raise UsageError(f"a box is left, top, right and bottom edges in pixels; got {edges}")
    rows, columns = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    inside = ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))
    return np.asarray(inside)


def polygon(points: Sequence[float], size: tuple[int, int]) -> Inside:
    """The pixels inside a polygon x1, y1, x2, y2..., in pixels from the upper left corner; where it crosses itself,
    what a line from outside reaches after an odd number of edges.

    Raises `UsageError` for fewer than three corners.

    >>> polygon([0, 0, 3, 0, 0, 3], (3, 3)).astype(int).tolist()
    [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
    """
    corners = np.asarray(points, dtype=np.float64)
    if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2 or not np.isfinite(corners).all():
        raise UsageError(f"a polygon is x1, y1, x2, y2, x3, y3...; got {points!r:.60}")
    x, y = corners[::2], corners[1::2]
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    inside, middles = np.zeros(size, dtype=bool), np.arange(size[1]) + 0.5
    for row in range(max(0, math.floor(y.min())), min(size[0], math.ceil(y.max()))):
        level = row + 0.5
        crossed = (y <= level) != (next_y <= level)
        at = x[crossed] + (level - y[crossed]) * (next_x - x)[crossed] / (next_y - y)[crossed]
        inside[row] = (np.sort(at)[:, None] <= middles).sum(0) % 2 == 1
    return inside


def runs(counts: Sequence[int] | str | bytes, size: tuple[int, int]) -> Inside:
    """The pixels of a mask in run lengths, as COCO has them: column by column, outside and inside in turn, beginning
    outside; numbers, or its text of six bits a letter, of which every number from the fourth on is a difference from
    the one two before.

    Raises `UsageError` where they are not as many as the picture of ``size`` (height, width) has pixels.

    >>> runs([1, 2, 1], (2, 2)).astype(int).tolist(), runs("121", (2, 2)).astype(int).tolist()
    ([[0, 1], [1, 0]], [[0, 1], [1, 0]])
    """
    lengths = _lengths(counts) if isinstance(counts, str | bytes) else [int(n) for n in counts]
    if sum(lengths) != size[0] * size[1] or any(n < 0 for n in lengths):
        raise UsageError(f"run lengths of {sum(lengths)} pixels for a picture of {size[0]} x {size[1]}")
    values = itertools.cycle((False, True))
    flat = np.concatenate([np.full(n, value) for n, value in zip(lengths, values, strict=False)] or [np.zeros(0, bool)])
    return np.asarray(flat.reshape(size[1], size[0]).T)


def _lengths(text: str | bytes) -> list[int]:
    letters: Any = text.encode() if isinstance(text, str) else text
    found: list[int] = []
    value = shift = 0
    for letter in letters:
        bits = letter - 48
        if not 0 <= bits < 64:
            raise UsageError(f"run lengths hold {chr(letter)!r}, which no run length is written with")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)
            found.append(value + (found[-2] if len(found) > 2 else 0))
            value = shift = 0
    return found
