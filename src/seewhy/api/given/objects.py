"""What is in a photo: takes masks and boxes as files state them, gives them as one, and in words what does not fit;
reads no file."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.api.given.outlines import Inside
from seewhy.errors import UsageError, reason

__all__ = ["ODD", "Meant", "Objects", "box_around", "check_size", "in_words", "joined", "stated_size", "stem"]

#: what reading a file raises that holds something else than it should
ODD = (OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)


@dataclass(frozen=True, eq=False)
class Objects:
    """What is in a photo, of its own size: pixels ``inside`` objects, and inside their ``boxes``."""

    inside: Inside
    boxes: Inside


Meant = Callable[[str], bool]


def stem(name: str) -> str:
    """What a photo is called, without its suffix, with / between folders."""
    return posixpath.splitext(name.replace("\\", "/"))[0]


def in_words(error: Exception) -> str:
    """In words: our own, or whatever Python says."""
    return str(error) if isinstance(error, UsageError) else reason(error)


def stated_size(height: Any, width: Any) -> tuple[int, int] | None:
    """The size that a file says a photo has; None where it says none."""
    if not (height and width and float(height) and float(width)):
        return None
    return int(float(height)), int(float(width))


def check_size(what: str, own: tuple[int, int], size: tuple[int, int]) -> None:
    """Nothing where ``own`` (height, width) is the ``size`` of the photo; raises `UsageError` of ``what`` else."""
    if own != size:
        turned = "; the photo lies on its side, and its mask does not" if own == size[::-1] else ""
        raise UsageError(f"{what} is of {own[0]} x {own[1]} pixels, and the photo of {size[0]} x {size[1]}{turned}")


def box_around(inside: Inside) -> Inside:
    """The box around all that is inside."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    whole = np.zeros_like(inside)
    if len(rows):
        whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return whole


def joined(inside: Iterable[Inside], boxes: Iterable[Inside], size: tuple[int, int]) -> Objects:
    """Single objects, and a box of each, of a photo of ``size`` (height, width), as one."""
    none: NDArray[np.bool_] = np.zeros(size, dtype=bool)
    return Objects(np.any([none, *inside], axis=0), np.any([none, *boxes], axis=0))
