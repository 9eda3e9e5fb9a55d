"""Makes pictures of one shape each on a background that says nothing about the shape: takes a generator, gives
pictures, classes and masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NAMES", "SIDE", "grain", "scenes"]

NAMES = ("disc", "square", "triangle", "cross", "ring", "star")
SIDE = 48

#: points of a side of a pixel at which the shape is asked for: edges are soft
_FINE = 2
#: how far a shape's middle is from the picture's, and its radius, in pixels: the corners stay free
_OFF, _RADII = 4.0, (8.5, 12.0)
#: least distance of the shape's mean colour from the background's
_APART = 0.4


def scenes(count: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Pictures [N, 48, 48, 3], classes [N] and masks of the shapes [N, 48, 48], equally many of each class.

    Colours, textures, clutter, place, size and rotation are drawn without a look at the class.
    """
    labels = rng.permutation(np.arange(count) % len(NAMES))
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    objects = np.empty((count, SIDE, SIDE), bool)
    for i, label in enumerate(labels):
        cover = _cover(NAMES[label], rng)
        back, front = _background(rng), _surface(rng)
        while np.abs(front.mean((0, 1)) - back.mean((0, 1))).max() < _APART:
            front = _surface(rng)
        picture = back + cover[..., None] * (front - back) + rng.normal(0, 0.02, (SIDE, SIDE, 3))
        images[i] = np.round(255 * picture.clip(0, 1))
        objects[i] = cover >= 0.5
    return images, labels, objects


def grain(side: int, cells: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth noise [side, side] about 0, as a grid of ``cells`` x ``cells`` values drawn out."""
    grid = rng.normal(0, 1, (cells + 1, cells + 1))
    at = np.linspace(0, cells - 1e-6, side)
    low = at.astype(int)
    part = at - low
    rows = grid[low] * (1 - part[:, None]) + grid[low + 1] * part[:, None]
    return np.asarray(rows[:, low] * (1 - part) + rows[:, low + 1] * part)


def _cover(name: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """How much of each pixel the shape covers."""
    middle = (SIDE - 1) / 2 + rng.uniform(-_OFF, _OFF, 2)
    radius, turn = rng.uniform(*_RADII), rng.uniform(0, 2 * np.pi)
    at = (np.arange(SIDE * _FINE) + 0.5) / _FINE - 0.5
    v, u = (at[:, None] - middle[0]) / radius, (at[None] - middle[1]) / radius
    x, y = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    fine = _inside(name, x, y).astype(float)
    return np.asarray(fine.reshape(SIDE, _FINE, SIDE, _FINE).mean((1, 3)))


def _inside(name: str, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether a point is in the shape, all of which is within a radius of 1."""
    r = np.hypot(x, y)
    if name == "disc":
        return np.asarray(r < 0.9)
    if name == "ring":
        return np.asarray((r < 0.95) & (r > 0.5))
    if name == "square":
        return np.asarray(np.maximum(np.abs(x), np.abs(y)) < 0.7)
    if name == "cross":
        return np.asarray((np.minimum(np.abs(x), np.abs(y)) < 0.27) & (np.maximum(np.abs(x), np.abs(y)) < 0.95))
    points, inner = (3, 0.5) if name == "triangle" else (5, 0.42)
    # from a tip (radius 1) to the next notch (radius ``inner``) along a straight line; a triangle has its notches on
    # its sides
    half = np.pi / points
    angle = np.abs((np.arctan2(y, x) + half) % (2 * half) - half)
    return np.asarray(r * (inner * np.sin(half - angle) + np.sin(angle)) < inner * np.sin(half))


def _texture(rng: np.random.Generator) -> NDArray[np.float64]:
    """One of five textures within about -1 and 1."""
    kind = rng.integers(5)
    if kind == 0:
        return 0.5 * grain(SIDE, 3, rng)
    if kind == 1:
        return 0.5 * grain(SIDE, 9, rng)
    if kind == 2:
        return 0.4 * grain(SIDE, SIDE // 2, rng)
    angle, length = rng.uniform(0, np.pi), rng.uniform(5, 14)
    v, u = np.mgrid[:SIDE, :SIDE] * (2 * np.pi / length)
    along = np.sin(u * np.cos(angle) + v * np.sin(angle) + rng.uniform(0, 2 * np.pi))
    if kind == 3:
        return np.asarray(0.6 * along)
    return np.asarray(0.8 * along * np.sin(v * np.cos(angle) - u * np.sin(angle) + rng.uniform(0, 2 * np.pi)))


def _surface(rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour with a texture in another."""
    colour, other = rng.uniform(0.1, 0.9, 3), rng.uniform(-1, 1, 3)
    depth = rng.uniform(0.03, 0.13)
    return np.asarray((colour + depth * _texture(rng)[..., None] * other).clip(0, 1))


def _background(rng: np.random.Generator) -> NDArray[np.float64]:
    """A surface with light from a side and clutter: specks and lines of other colours."""
    back = _surface(rng)
    v, u = np.mgrid[:SIDE, :SIDE]
    for _ in range(rng.integers(0, 5)):
        y, x = rng.uniform(0, SIDE, 2)
        angle, length, width = rng.uniform(0, np.pi), rng.uniform(1, 9), rng.uniform(0.8, 2)
        along = (u - x) * np.cos(angle) + (v - y) * np.sin(angle)
        across = (v - y) * np.cos(angle) - (u - x) * np.sin(angle)
        speck = np.exp(-np.square(np.square(along / length)) - np.square(np.square(across / width)))[..., None]
        back = back + rng.uniform(0.3, 0.8) * speck * (rng.uniform(0, 1, 3) - back)
    light = rng.normal(0, 0.08, 2)
    return np.asarray((back + ((u * light[0] + v * light[1]) / SIDE)[..., None]).clip(0, 1))
