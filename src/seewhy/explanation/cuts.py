"""Cuts: takes an explanation of a volume, gives three of its slices, one across each axis, as explanations of pictures;
computes no map.

A cut is drawn as every other map is, over its slice of the volume in grey, with pixels that are as long as voxels are.
Where the file says how it lies, pictures are as radiologists have them: the head, or the front, above or at the left,
the patient's right at the left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from seewhy.errors import UsageError
from seewhy.explanation.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seewhy.explanation.result import Explanation

__all__ = ["cuts", "flat", "is_volume", "lies", "strongest"]

_AXES = ("D", "H", "W")
#: pixels of the longest side of a picture of a cut, at least and at most
_LONGER, _LONGEST = 320, 4096


def is_volume(explanation: Explanation) -> bool:
    """Whether it has a map of three axes of positions."""
    return len(explanation.size) == 3 and explanation.values.ndim - explanation.channels == 3


def strongest(explanation: Explanation) -> tuple[int, int, int]:
    """The voxel (d, h, w) of the largest value, or of the largest magnitude where none is positive; the middle of an
    empty map."""
    values = np.nan_to_num(explanation.volume, nan=0.0)
    if not values.any():
        depth, height, width = (side // 2 for side in values.shape)
        return depth, height, width
    values = values if values.max() > 0 else np.abs(values)
    depth, height, width = np.unravel_index(int(values.argmax()), values.shape)
    return int(depth), int(height), int(width)


def cuts(explanation: Explanation, at: Sequence[int] | None = None) -> tuple[Explanation, ...]:
    """See `Explanation.cuts`."""
    place = strongest(explanation) if at is None else _checked(at, explanation.size)
    volume, whole = explanation.volume, explanation._places()
    scan = explanation.scan or Scan(np.zeros((1, 1, 1), dtype=np.uint8))
    made = []
    for axis, number in enumerate(place):
        rows, columns = (other for other in range(len(place)) if other != axis)
        turn = tuple(slice(None, None, -1 if scan.towards_ras[other] else 1) for other in (rows, columns))
        values = np.moveaxis(volume, axis, 0)[number][turn]
        size = _in_shape((values.shape[0], values.shape[1]), (scan.sides[rows], scan.sides[columns]))
        image = None
        if explanation.scan is not None:
            grey = Image.fromarray(np.ascontiguousarray(np.moveaxis(scan.voxels, axis, 0)[number][turn]))
            image = np.asarray(grey.resize((size[1], size[0]), Image.Resampling.BICUBIC).convert("RGB"))
        cut = f"{_AXES[axis]} = {number} of 0..{explanation.size[axis] - 1}"
        made.append(
            replace(
                explanation,
                values=values,
                size=size,
                image=image,
                whole=whole,
                name=f"{explanation.name}, {cut}".lstrip(", "),
                channels=False,
                scan=None,
                error=None,
                input=None,
                tensor=None,
            )
        )
    return tuple(made)


def lies(explanation: Explanation, axis: int) -> str:
    """Which way the picture of the cut across ``axis`` lies, in words; '' where nobody knows."""
    if explanation.scan is None or (ends := explanation.scan.ends) is None:
        return ""
    above, left = (end for other, end in enumerate(ends) if other != axis)
    return f"{above} above, {left} at the left"


def _checked(at: Sequence[int], size: tuple[int, ...]) -> tuple[int, ...]:
    given = tuple(at)
    whole = all(isinstance(number, int | np.integer) and not isinstance(number, bool) for number in given)
    if len(given) != len(size) or not whole or not all(0 <= n < side for n, side in zip(given, size, strict=True)):
        raise UsageError(
            f"at={at!r}: one voxel of a volume of {' x '.join(map(str, size))}, counted from 0, as in "
            f"at={tuple(side // 2 for side in size)}"
        )
    return tuple(int(number) for number in given)


def _in_shape(shape: tuple[int, int], sides: tuple[float, float]) -> tuple[int, int]:
    """Pixels of a slice, (height, width), as long as they are wide: one for the shorter side of a voxel, or more."""
    least = min(sides)
    height, width = (n * side / least for n, side in zip(shape, sides, strict=True))
    factor = min(max(1.0, _LONGER / max(height, width)), _LONGEST / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def flat(explanations: Iterable[Explanation], at: Sequence[int] | None = None) -> list[Explanation]:
    """Those of pictures as they are, and the cuts of those of volumes, all of one volume at the strongest place of its
    first."""
    made: list[Explanation] = []
    places: dict[Any, Sequence[int]] = {}
    for explanation in explanations:
        if not is_volume(explanation):
            if at is not None:
                raise UsageError("at= is a voxel of a volume, and this is a map of a picture: leave it out")
            made.append(explanation)
            continue
        key = id(explanation.scan) if explanation.scan is not None else explanation.name, explanation.size
        place = at or places.setdefault(key, strongest(explanation))
        made += cuts(explanation, place)
    return made
