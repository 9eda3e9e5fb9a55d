"""A road for the steering recipe: takes a generator, gives a picture of a road, the mask of its lane lines and the
steering wheel's angle.

The ground inside and outside the lines is one and the same texture, and the horizon, walls, trees and shadows know
nothing of the road: lane lines are all in the picture that says where to steer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from common import Texture
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["HEIGHT", "WIDTH", "Scene", "angle", "pool", "render", "scenes"]

#: DAVE-2's picture
HEIGHT, WIDTH = 66, 200
#: the camera: row of the horizon, metres above the ground, focal length in pixels
HORIZON, ABOVE, FOCAL = 22, 1.4, 110.0
#: metres: lane, line, and how far ahead lines are drawn
LANE, LINE, FAR = 3.6, 0.2, 60.0
#: metres ahead at which the driver aims; metres between axles; turns of the steering wheel for one of the wheels
AHEAD, AXLES, GEAR = 12.0, 2.7, 15.0
#: all of a lane line's pixels and those next to them count as line: a map sees both sides of an edge
DILATED = 1


class Scene(NamedTuple):
    """A picture [66, 200, 3], where its lane lines are [66, 200], and degrees at the steering wheel, right positive."""

    picture: NDArray[np.uint8]
    lines: NDArray[np.bool_]
    angle: float


def angle(curvature: float, offset: float) -> float:
    """Degrees at the steering wheel that lead to the lane's middle ``AHEAD`` metres on (pure pursuit); positive: right.

    ``curvature`` in 1/m, positive for a road that bends to the right; ``offset`` in metres, positive where the lane's
    middle is to the right of the car.
    """
    aim = offset + curvature * AHEAD**2 / 2
    return float(np.degrees(np.arctan(AXLES * 2 * aim / AHEAD**2)) * GEAR)


# every ground pixel's place: metres ahead and to the right
_ROWS, _COLUMNS = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
_AHEAD = ABOVE * FOCAL / np.maximum(_ROWS - HORIZON + 0.5, 0.5)
_RIGHT = (_COLUMNS - (WIDTH - 1) / 2) * _AHEAD / FOCAL
_GROUND = _ROWS >= HORIZON


def render(rng: np.random.Generator, textures: dict[str, Texture], curvature: float, full: bool = True) -> Scene:
    """A road of this curvature, everything else at random; ``full`` scenes always have walls, trees and shadows."""

    def often(share: float) -> bool:
        return full or rng.random() < share

    offset = rng.uniform(-0.5, 0.5)
    picture = np.zeros((HEIGHT, WIDTH, 3))
    picture[:] = _backdrop(rng, textures)
    picture[_GROUND] = _ground(rng, textures)[_GROUND]
    lines = np.zeros((HEIGHT, WIDTH))
    middle = offset + curvature * _AHEAD**2 / 2
    for side in (-1, 1):
        cover, paint = _line(rng, _RIGHT - middle - side * LANE / 2)
        picture += cover[..., None] * (paint - picture)
        lines = np.maximum(lines, cover)
    for _ in range(rng.integers(1, 4) if often(0.7) else 0):
        picture *= _shadow(rng)[..., None]
    standing = [_wall(rng, textures) for _ in range(rng.integers(1, 3) if often(0.6) else 0)]
    standing += [_tree(rng, textures) for _ in range(rng.integers(2, 6) if often(0.7) else 0)]
    for _, columns, where, what in sorted(standing, key=lambda thing: -thing[0]):
        picture[:, columns][where] = what[where]
        lines[:, columns][where] = 0
    picture = ndimage.gaussian_filter(picture, (0.4, 0.4, 0)) * rng.uniform(0.8, 1.15)
    picture += rng.normal(0, 3, picture.shape)
    mask = ndimage.binary_dilation(lines > 0.3, np.ones((3, 3)), DILATED)
    return Scene(picture.clip(0, 255).astype(np.uint8), mask, angle(curvature, offset))


def _backdrop(rng: np.random.Generator, textures: dict[str, Texture]) -> NDArray[np.float64]:
    """Sky, and hills or roofs in front of it that rise and fall at random."""
    sky = textures["sky"](rng, HEIGHT, WIDTH).astype(np.float64)
    far = textures[rng.choice(["trees", "roof", "night", "leaves"])](rng, HEIGHT, WIDTH)
    ridge = ndimage.gaussian_filter1d(rng.normal(size=WIDTH), rng.uniform(4, 25), mode="wrap")
    ridge = HORIZON - rng.uniform(0, 12) * (ridge - ridge.min()) / np.ptp(ridge)
    return np.where((ridge < _ROWS)[..., None], far, sky)


def _ground(rng: np.random.Generator, textures: dict[str, Texture]) -> NDArray[np.float64]:
    """One texture all over, seen at a slant; darker or lighter, a little warmer or colder."""
    flat = textures[rng.choice(["gravel", "grass", "fur", "brick"])](rng, HEIGHT, WIDTH).astype(np.float64)
    flat = np.pad(flat, ((0, HEIGHT), (0, WIDTH), (0, 0)), "symmetric")  # so that it goes on without a seam
    size = rng.uniform(6, 20)  # pixels of the texture for a metre
    turn = rng.uniform(0, np.pi)
    along = (_AHEAD * np.cos(turn) + _RIGHT * np.sin(turn)) * size
    across = (_RIGHT * np.cos(turn) - _AHEAD * np.sin(turn)) * size
    found = flat[np.floor(along).astype(int) % len(flat), np.floor(across).astype(int) % flat.shape[1]]
    contrast = rng.uniform(0.2, 0.5) * np.minimum(1, 12 / _AHEAD)[..., None]  # far away it blurs into its mean
    tint = rng.uniform(60, 120) * rng.uniform(0.92, 1.08, 3)
    return tint + contrast * (found - flat.mean())


def _line(rng: np.random.Generator, beside: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much of every pixel is paint, and its colour; ``beside``: metres from the line's middle."""
    wide = LINE * rng.uniform(1.0, 1.5)
    cover = np.clip((wide / 2 - np.abs(beside)) * FOCAL / _AHEAD + 0.5, 0, 1)
    cover = np.minimum(cover, wide * FOCAL / _AHEAD)  # thinner than a pixel
    if rng.random() < 0.5:
        beat, start = rng.uniform(5, 9), rng.uniform(0, 9)
        cover = cover * (((_AHEAD + start) % beat) < 0.6 * beat)
    worn = ndimage.gaussian_filter(rng.normal(size=cover.shape), 1.0)
    cover = cover * np.clip(rng.uniform(0.75, 1) + rng.uniform(0, 0.6) * worn, 0.2, 1)
    paint = np.array([215.0, 215, 210] if rng.random() < 0.6 else [215.0, 175, 60]) * rng.uniform(0.85, 1.1)
    return cover * (_GROUND & (_AHEAD < FAR)), paint


def _shadow(rng: np.random.Generator) -> NDArray[np.float64]:
    """A dark band over the ground in any direction: 1 outside it."""
    turn = rng.uniform(0, np.pi)
    far = (_AHEAD - rng.uniform(4, 20)) * np.cos(turn) + (_RIGHT - rng.uniform(-5, 5)) * np.sin(turn)
    inside = (np.abs(far) < rng.uniform(0.3, 1.5)) & _GROUND
    return 1 - rng.uniform(0.35, 0.6) * inside


#: metres ahead, the columns it is in, where it is in them, and what it looks like there
_Thing = tuple[float, slice, NDArray[np.bool_], NDArray[np.float64]]


def _column(right: float, ahead: float) -> float:
    return (WIDTH - 1) / 2 + right * FOCAL / ahead


def _between(left: float, right: float) -> slice:
    return slice(int(np.clip(left, 0, WIDTH)), int(np.clip(right + 2, 0, WIDTH)))


def _wall(rng: np.random.Generator, textures: dict[str, Texture]) -> _Thing:
    """An upright wall beside or ahead of the car, in perspective."""
    side = rng.choice([-1, 1])
    near, high = rng.uniform(8, 30), rng.uniform(1.5, 4.0)
    right = side * rng.uniform(3.5, 12)
    end = near + rng.uniform(0, 25), right + side * rng.uniform(-2, 6)
    (u1, d1), (u2, d2) = sorted([(_column(right, near), near), (_column(end[1], end[0]), end[0])])
    share = (_COLUMNS - u1) / max(u2 - u1, 1.0)
    foot = HORIZON + ABOVE * FOCAL * ((1 - share) / d1 + share / d2)
    top = HORIZON - (high - ABOVE) * FOCAL * ((1 - share) / d1 + share / d2)
    columns = _between(u1, u2)
    share, foot, top = share[:, columns], foot[:, columns], top[:, columns]
    rows = _ROWS[:, columns]
    where = (share >= 0) & (share <= 1) & (rows >= top) & (rows < foot)
    stone = textures[rng.choice(["brick", "roof", "wood"])](rng, HEIGHT, WIDTH)[:, columns]
    return near, columns, where, stone * rng.uniform(0.6, 1.2)


def _tree(rng: np.random.Generator, textures: dict[str, Texture]) -> _Thing:
    """A trunk with a crown of leaves."""
    side, ahead = rng.choice([-1, 1]), rng.uniform(7, 30)
    column, metre = _column(side * rng.uniform(3.5, 12), ahead), FOCAL / ahead
    foot, tall = HORIZON + ABOVE * metre, rng.uniform(3, 7) * metre
    wide, high = rng.uniform(1, 2.2) * metre, 0.35 * tall
    columns = _between(column - 1.6 * wide, column + 1.6 * wide)
    across, rows = _COLUMNS[:, columns] - column, _ROWS[:, columns]
    trunk = (np.abs(across) < 0.25 * metre) & (rows < foot) & (rows > foot - tall)
    ragged = ndimage.gaussian_filter(rng.normal(size=rows.shape), 1.5) * 1.5
    crown = (across / wide) ** 2 + ((rows - foot + tall) / high) ** 2 + ragged < 1
    wood = textures["wood"](rng, HEIGHT, WIDTH)[:, columns] * 0.6
    leaves = textures[rng.choice(["leaves", "trees", "grass"])](rng, HEIGHT, WIDTH)[:, columns]
    return ahead, columns, trunk | crown, np.where(crown[..., None], leaves * np.array([0.7, 1.0, 0.6]), wood)


def pool(textures: dict[str, Texture], rng: np.random.Generator, each: int = 12) -> dict[str, Texture]:
    """The same textures, cut once into ``each`` pieces of a picture's size: to cut them anew takes most of the time."""

    def drawn(pieces: list[NDArray[np.uint8]]) -> Texture:
        return lambda rng, height, width: pieces[rng.integers(len(pieces))][:height, :width]

    return {name: drawn([cut(rng, HEIGHT, WIDTH) for _ in range(each)]) for name, cut in textures.items()}


def scenes(
    rng: np.random.Generator, textures: dict[str, Texture], count: int, curves: Callable[[], float], full: bool = True
) -> list[Scene]:
    """``count`` roads with curvatures from ``curves``."""
    return [render(rng, textures, curves(), full) for _ in range(count)]
