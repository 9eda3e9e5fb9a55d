"""Shapes: takes boxes, strokes and polygons in fractions of a photo, gives the places of an input that they cover; runs
nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import UnknownName, UsageError

__all__ = ["KINDS", "Window", "covered"]

#: what a shape may be, and what it then has beside its kind
KINDS = {"box": ("box",), "stroke": ("points", "width"), "polygon": ("points",)}
_LEAST = {"stroke": 1, "polygon": 3}
#: left, top, right and bottom of what an input shows, in fractions of its photo
Window = tuple[float, float, float, float]
#: a point, and the corners of a box
_PLANE, _CORNERS = 2, 4


def covered(
    shapes: Sequence[Mapping[str, Any]], size: tuple[int, int], photo: tuple[int, int], window: Window
) -> NDArray[np.bool_]:
    """Which places of an input of ``size`` [H, W] shapes cover: those whose middle lies in one.

    A shape is ``{"kind": "box", "box": [left, top, right, bottom]}``, ``{"kind": "polygon", "points": [[x, y], ...]}``,
    or ``{"kind": "stroke", "points": [[x, y], ...], "width": w}``; x and y are fractions of the width and height of
    the ``photo`` (its own [H, W]), w of its width. One with ``"erase": True`` takes away what those before it cover.
    The input shows the ``window`` of the photo. Raises `UsageError` for anything else.

    >>> covered([{"kind": "box", "box": [0, 0, 0.5, 1]}], (1, 4), (10, 40), (0, 0, 1, 1))
    array([[ True,  True, False, False]])
    """
    left, top, right, bottom = window
    inside = np.zeros(size, dtype=bool)
    # in pixels of the photo, where a stroke is as wide as it is high
    x = (left + (np.arange(size[1]) + 0.5) / size[1] * (right - left)) * photo[1]
    y = (top + (np.arange(size[0]) + 0.5) / size[0] * (bottom - top)) * photo[0]
    scale = np.array([photo[1], photo[0]], dtype=np.float64)
    for number, shape in enumerate(shapes):
        kind, erase = _checked(shape, number)
        if kind == "box":
            corners = _numbers(shape["box"], number, (_CORNERS,)) * np.tile(scale, 2)
            hit = _in_box(x, y, corners)
        elif kind == "stroke":
            width = float(_numbers(shape["width"], number, ())) * photo[1]
            hit = _in_stroke(x, y, _points(shape, number) * scale, width / 2)
        else:
            hit = _in_polygon(x, y, _points(shape, number) * scale)
        inside = inside & ~hit if erase else inside | hit
    return inside


def _checked(shape: Mapping[str, Any], number: int) -> tuple[str, bool]:
    """Of what kind a shape is, and whether it takes away."""
    if not isinstance(shape, Mapping):
        raise UsageError(f"shape {number} is {type(shape).__name__}: a mapping, as " + _example("box"))
    kind = shape.get("kind")
    if kind not in KINDS:
        raise UnknownName("kind of shape", str(kind), KINDS, ", ".join(KINDS))
    needed = KINDS[kind]
    if set(shape) - {"erase"} != {"kind", *needed}:
        given = ", ".join(map(str, shape))
        raise UsageError(f"shape {number}, a {kind}, has {given}: it takes {_example(kind)}")
    return str(kind), bool(shape.get("erase", False))


def _example(kind: str) -> str:
    inner = {"box": '"box": [left, top, right, bottom]', "points": '"points": [[x, y], ...]', "width": '"width": 0.1'}
    return f'{{"kind": "{kind}", ' + ", ".join(inner[name] for name in KINDS[kind]) + "}"


def _numbers(value: Any, number: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.full(1, math.nan)
    if array.shape != shape or not np.isfinite(array).all():
        raise UsageError(f"shape {number} has {value!r:.60} where finite fractions of the photo belong")
    return array


def _points(shape: Mapping[str, Any], number: int) -> NDArray[np.float64]:
    points, least = shape["points"], _LEAST[shape["kind"]]
    count = len(points) if isinstance(points, Sequence | np.ndarray) else 0
    if count < least:
        raise UsageError(f"shape {number}, a {shape['kind']}, has {count} points: {least} at least")
    return _numbers(points, number, (count, _PLANE))


def _in_box(x: NDArray[np.float64], y: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.bool_]:
    left, right = sorted((box[0], box[2]))
    top, bottom = sorted((box[1], box[3]))
    found: NDArray[np.bool_] = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))[None]
    return found


def _in_stroke(
    x: NDArray[np.float64], y: NDArray[np.float64], points: NDArray[np.float64], radius: float
) -> NDArray[np.bool_]:
    """Places no further than ``radius`` from the line through points: looked for around each of its parts alone."""
    inside = np.zeros((len(y), len(x)), dtype=bool)
    parts = pairwise(points) if len(points) > 1 else [(points[0], points[0])]
    for a, b in parts:
        (left, top), (right, bottom) = np.minimum(a, b) - radius, np.maximum(a, b) + radius
        columns = slice(*np.searchsorted(x, (left, right + 1e-9)))
        rows = slice(*np.searchsorted(y, (top, bottom + 1e-9)))
        dx, dy = x[columns][None] - a[0], y[rows][:, None] - a[1]
        along, length = b - a, float(((b - a) ** 2).sum())
        at = np.clip((dx * along[0] + dy * along[1]) / length, 0, 1) if length else 0.0
        inside[rows, columns] |= (dx - at * along[0]) ** 2 + (dy - at * along[1]) ** 2 <= radius**2
    return inside


def _in_polygon(x: NDArray[np.float64], y: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Places from which a line to the right crosses an odd number of sides."""
    inside = np.zeros((len(y), len(x)), dtype=bool)
    for a, b in zip(points, np.roll(points, -1, axis=0), strict=True):
        rows = np.flatnonzero((y >= min(a[1], b[1])) & (y < max(a[1], b[1])))
        if len(rows):
            crossing = a[0] + (y[rows] - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
            inside[rows] ^= x[None] < crossing[:, None]
    return inside
