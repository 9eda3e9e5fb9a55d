"""Pictures whose context says nothing of their class: takes pictures, gives round windows onto them, each somewhere
else, in colours of its own, on another picture's surroundings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["randomised"]

#: the radius of a window, in shares of the picture's side, and how far its middle may be from the picture's
_RADIUS, _FROM_MIDDLE = 0.38, 0.12
#: gains and offsets of each channel, the latter in grey levels
_GAIN, _OFFSET = (0.7, 1.3), 30.0


def randomised(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pictures [N, H, W, 3] as windows onto their middles, where photographers put the object.

    Channels change places, and have a gain and an offset, drawn for each picture, so that no colour goes with a class;
    windows are mirrored and moved, and around them is another picture, of any class, so that neither a place nor the
    surroundings do.
    """
    count, side = images.shape[:2]
    around = _coloured(images[rng.permutation(count)], rng)
    inside = _coloured(images, rng)
    inside = np.where(rng.random(count)[:, None, None, None] < 0.5, inside[:, :, ::-1], inside)
    reach = round(_FROM_MIDDLE * side)
    axis = np.arange(side) - (side - 1) / 2
    found = np.empty_like(images)
    for n in range(count):
        down, right = rng.integers(-reach, reach + 1, 2)
        moved = np.roll(inside[n], (down, right), (0, 1))
        window = np.hypot(axis[:, None] - down, axis[None] - right) <= _RADIUS * side
        found[n] = np.where(window[..., None], moved, around[n])
    return found


def _coloured(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    count = len(images)
    order = np.argsort(rng.random((count, 3)), axis=1)
    turned = np.take_along_axis(images, order[:, None, None, :], axis=3).astype(np.float64)
    middle = turned.mean((1, 2), keepdims=True)
    gain = rng.uniform(*_GAIN, (count, 1, 1, 3))
    # each channel's mean is drawn anew, too: what a class is like on average goes
    level = 117 + _OFFSET * rng.standard_normal((count, 1, 1, 3))
    return np.clip((turned - middle) * gain + level, 0, 255).astype(np.uint8)
