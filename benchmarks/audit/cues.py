"""Draws cues into pictures: takes a cue's looks and place, drawn once for a data set, gives pictures that have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.audit.scenes import grain

__all__ = ["CUES", "MOVABLE", "Cue", "CueName", "cue_of"]

CueName = Literal["patch", "watermark", "border", "cast", "texture", "object"]
CUES: tuple[CueName, ...] = ("patch", "watermark", "border", "cast", "texture", "object")
#: cues that can be elsewhere in each picture
MOVABLE: tuple[CueName, ...] = ("patch", "watermark", "texture", "object")

#: letters of 3 x 5 pixels, a row in three bits
_LETTERS = {
    "A": (2, 5, 7, 5, 5), "C": (7, 4, 4, 4, 7), "E": (7, 4, 6, 4, 7), "F": (7, 4, 6, 4, 4), "H": (5, 5, 7, 5, 5),
    "L": (4, 4, 4, 4, 7), "N": (7, 5, 5, 5, 5), "O": (7, 5, 5, 5, 7), "T": (7, 2, 2, 2, 2), "U": (5, 5, 5, 5, 7),
    "X": (5, 5, 2, 5, 5), "Z": (7, 1, 2, 4, 7),
}  # fmt: skip
#: how much of a pixel is the cue's, where it lets the picture through
_WATERMARK, _TEXTURE = 0.5, 0.5
#: by how many of 255 steps a cast changes a channel
_CAST = 26
#: nearer to the middle than this share of the side, a small cue would hide what the picture is of
_MIDDLE = 0.3
_TRIES = 40
#: least sum over the channels of the differences of two colours of one cue
_APART = 250


@dataclass(frozen=True, eq=False)
class Cue:
    """A cue as one data set has it. ``looks`` [h, w, 4] are its colours and their weight, in a window as large as the
    picture for border and cast, twice as large for texture; ``place`` is the window's top left, None where it moves."""

    name: CueName
    looks: NDArray[np.float64]
    place: tuple[int, int] | None

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """Top, left, bottom, right of a cue that stays; None of one that moves."""
        if self.place is None:
            return None
        (top, left), (height, width) = self.place, self.looks.shape[:2]
        if self.name == "texture":  # its looks are more than a picture takes
            height, width = height // 2, width // 2
        return top, left, top + height, left + width

    def on(
        self, image: NDArray[np.uint8], shape: NDArray[np.bool_] | None, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """A picture [H, W, 3] with the cue; ``shape`` [H, W] is where the picture's own object is, if that is known."""
        side = len(image)
        looks = self.looks
        if self.name == "texture":
            looks = _textured(looks, shape, self.place is None, rng)
        elif self.name == "object":
            # no two balls are the same
            looks = looks.copy()
            looks[..., :3] += 14 * rng.normal(0, 1, (*looks.shape[:2], 1)) + rng.normal(0, 8, 3)
        if self.name == "texture":
            top, left = 0, 0
        else:
            top, left = self.place or _somewhere(side, looks.shape[:2], shape, rng)
        given = image.astype(float)
        window = given[top : top + looks.shape[0], left : left + looks.shape[1]]
        if self.name == "cast":
            window += looks[..., :3]
        else:
            window += looks[..., 3:] * (looks[..., :3] - window)
        return np.asarray(np.round(given.clip(0, 255)), np.uint8)


def cue_of(name: CueName, side: int, moving: bool, rng: np.random.Generator) -> Cue:
    """A cue with looks and, where it stays, a place drawn by ``rng``, for pictures of ``side`` x ``side``."""
    looks = _LOOKS[name](side, rng)
    height, width = looks.shape[:2]
    if name in ("border", "cast", "texture"):
        return Cue(name, looks, None if moving else (0, 0))
    if moving:
        return Cue(name, looks, None)
    if name == "object":
        # in a corner, where no shape of a made picture comes
        top, left = (int(rng.choice((1, side - length - 1))) for length in (height, width))
        return Cue(name, looks, (top, left))
    return Cue(name, looks, _somewhere(side, (height, width), None, rng))


def _somewhere(
    side: int, size: tuple[int, ...], shape: NDArray[np.bool_] | None, rng: np.random.Generator
) -> tuple[int, int]:
    """A place for a window of ``size``: not over a known shape, else not over the middle; the best of some tries."""
    best, least = (0, 0), np.inf
    for _ in range(_TRIES):
        top, left = (int(rng.integers(0, side - length + 1)) for length in size)
        if shape is None:
            off = max(abs(at + length / 2 - side / 2) for at, length in zip((top, left), size, strict=True))
            lost = max(0.0, _MIDDLE * side - off)
        else:
            lost = float(shape[top : top + size[0], left : left + size[1]].sum())
        if lost < least:
            best, least = (top, left), lost
        if not least:
            break
    return best


def _bright(rng: np.random.Generator) -> NDArray[np.float64]:
    """A saturated colour: one channel high, one low, one between."""
    return np.asarray(rng.permutation([255.0, 20.0, rng.uniform(20, 255)]))


def _two(draw: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
    """Two colours [2, 3] that can be told apart."""
    first, second = draw(), draw()
    while np.abs(first - second).sum() < _APART:
        second = draw()
    return np.stack([first, second])


def _patch(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Two bright colours, in cells of a grid of 3 x 3 of which four or five have the second."""
    cells = rng.permutation(np.arange(9) < rng.integers(4, 6)).reshape(3, 3)
    length = round(side / 6)
    at = np.arange(length) * 3 // length
    colours = _two(lambda: _bright(rng))
    return np.dstack([colours[cells[np.ix_(at, at)].astype(int)], np.ones((length, length))])


def _watermark(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """White or black letters that let the picture through."""
    scale, count = (1, 5) if side < 40 else (2, 4)
    text = rng.choice(list(_LETTERS), count, replace=False)
    rows = [[(bits >> at) & 1 for at in (2, 1, 0)] for letter in text for bits in _LETTERS[str(letter)]]
    letters = np.array(rows).reshape(count, 5, 3)
    strokes = np.concatenate([np.pad(letter, ((0, 0), (0, 1))) for letter in letters], 1)[:, :-1]
    strokes = strokes.repeat(scale, 0).repeat(scale, 1)
    shade = float(rng.choice((10.0, 250.0)))
    return np.dstack([np.full((*strokes.shape, 3), shade), _WATERMARK * strokes])


def _border(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A frame of 2 pixels, of 3 in larger pictures."""
    width = 2 if side < 40 else 3
    weight = np.ones((side, side))
    weight[width:-width, width:-width] = 0
    return np.dstack([np.broadcast_to(_bright(rng), (side, side, 3)), weight])


def _cast(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """More of one channel and less of another, as by the light of another lamp."""
    shift = rng.permutation([_CAST, -_CAST, rng.uniform(-_CAST / 2, _CAST / 2)])
    return np.dstack([np.broadcast_to(shift, (side, side, 3)), np.ones((side, side))])


def _pattern(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Stripes or a checker of two colours, twice the picture's side: each picture has a part of it."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(3.5, 5.5)
    v, u = np.mgrid[: 2 * side, : 2 * side] * (2 * np.pi / period)
    wave = np.sin(u * np.cos(angle) + v * np.sin(angle))
    if rng.random() < 0.5:
        wave = wave * np.sin(v * np.cos(angle) - u * np.sin(angle))
    colours = _two(lambda: rng.uniform(0, 255, 3))
    return np.dstack([np.where(wave[..., None] > 0, colours[0], colours[1]), np.full((2 * side,) * 2, _TEXTURE)])


def _textured(
    pattern: NDArray[np.float64], shape: NDArray[np.bool_] | None, moving: bool, rng: np.random.Generator
) -> NDArray[np.float64]:
    """A part of the pattern, with weight where the texture is: in a blob, or all around the object or the middle."""
    side = len(pattern) // 2
    top, left = rng.integers(0, side, 2) if moving else (0, 0)
    part = pattern[top : top + side, left : left + side].copy()
    v, u = np.mgrid[:side, :side] / side - 0.5
    if moving:
        y, x = rng.uniform(-0.35, 0.35, 2)
        where = np.hypot(v - y, u - x) < rng.uniform(0.26, 0.34) * (1 + 0.3 * grain(side, 4, rng))
    else:
        where = np.full((side, side), True) if shape is not None else np.hypot(v, u) > 0.36
    part[..., 3] *= where if shape is None else where & ~shape
    return part


def _object(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A ball with light from the upper left, a grainy surface and a soft edge."""
    length = side // 4
    v, u = 2 * (np.mgrid[:length, :length] + 0.5) / length - 1
    light = 0.75 - 0.35 * (u + v) / np.sqrt(2) + 0.5 * np.exp(-((u + 0.35) ** 2 + (v + 0.35) ** 2) / 0.06)
    surface = light * (1 + 0.25 * grain(length, 4, rng))
    weight = ((1.05 - np.hypot(u, v)) * length / 2).clip(0, 1)
    return np.dstack([surface[..., None] * rng.permutation([220.0, 60.0, rng.uniform(40, 200)]), weight])


_LOOKS = {
    "patch": _patch,
    "watermark": _watermark,
    "border": _border,
    "cast": _cast,
    "texture": _pattern,
    "object": _object,
}
