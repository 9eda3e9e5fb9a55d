"""The pictures of a page: takes picture files, gives all of them in one size and quality with which they take no more
than so many bytes; draws nothing."""

from __future__ import annotations

import base64
import io
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from seewhy.render import png

__all__ = ["LARGEST", "Fitted", "Shown", "fitted", "held"]

#: pixels of a photograph's longer side, and of a drawing's, at most
LARGEST, _DRAWING = 1280, 2400
#: what is tried, from large to small: pixels of the longer side, and at each of them qualities
_SIDES = (LARGEST, 1024, 832, 672, 544, 448, 384, 320, 256, 208, 160, 128, 96, 64)
_QUALITIES = (86, 74, 60)
#: of a picture that is held until it is known how small it has to be
_HELD = 93
#: pictures of which it is guessed what all of them take
_SAMPLE = 16
#: how much a guess may be too small before a step is not tried
_SLACK = 1.1
#: a drawing has as many times the pixels of a photograph, and its own quality is no lower than that
_FINER, _LEGIBLE = 2, 74
#: bytes of a drawing that stays as it is, whatever it would take otherwise
_CHEAP = 20_000


@dataclass(frozen=True)
class Shown:
    """A picture as the page has it: a ``data:`` address, and pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Fitted:
    """The pictures that a page has room for, None for those that it has none for; ``side`` and ``quality`` of all of
    them, 0 without any that were made smaller."""

    shown: tuple[Shown | None, ...]
    side: int
    quality: int
    form: str

    @property
    def left_out(self) -> int:
        """For how many there was no room."""
        return sum(each is None for each in self.shown)


def held(picture: Image.Image | NDArray[np.uint8], *, drawing: bool = False) -> bytes:
    """A picture as a file that is small enough to hold many of them: a JPEG, at most 1280 pixels long; a ``drawing`` is
    a PNG.

    >>> held(Image.new("RGB", (4000, 3000)))[:2]
    b'\\xff\\xd8'
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.ascontiguousarray(picture))
    image = _smaller(image.convert("RGB"), _DRAWING if drawing else LARGEST)
    if drawing:
        return png(image)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=_HELD, subsampling=0)
    return buffer.getvalue()


def fitted(pictures: Sequence[tuple[bytes, bool]], room: int) -> Fitted:
    """Pictures, each with whether it is a drawing, in ``room`` bytes of text: as large and as good as all of them can
    be alike. Where even the smallest are too many, the last ones are left out."""
    form = "WebP" if features.check("webp") else "JPEG"
    if not pictures:
        return Fitted((), 0, 0, form)
    step = max(1, len(pictures) // _SAMPLE)
    sample = pictures[step // 2 :: step]
    allowed = _SLACK * room * len(sample) / len(pictures)
    steps = [(side, quality) for side in _SIDES for quality in _QUALITIES]
    # the first step at which a few of them take their share, by halves: each is smaller than the one before
    first = bisect_left(steps, True, key=lambda each: _total(_made(sample, each[0], each[1], form)) <= allowed)
    made: list[Shown] = []
    for side, quality in steps[min(first, len(steps) - 1) :]:
        made = _made(pictures, side, quality, form)
        if _total(made) <= room:
            return Fitted(tuple(made), side, quality, form)
    taken, some = 0, list[Shown | None]()
    for each in made:
        taken += len(each.uri)
        some.append(each if taken <= room else None)
    return Fitted(tuple(some), *steps[-1], form)


def _made(pictures: Sequence[tuple[bytes, bool]], side: int, quality: int, form: str) -> list[Shown]:
    return [_shown(data, side, quality, form, drawing=drawing) for data, drawing in pictures]


def _total(made: Sequence[Shown]) -> int:
    return sum(len(each.uri) for each in made)


def _shown(data: bytes, side: int, quality: int, form: str, *, drawing: bool) -> Shown:
    with Image.open(io.BytesIO(data)) as file:
        image = _smaller(file.convert("RGB"), _FINER * side if drawing else side)
        whole = drawing and image.size == file.size
    buffer = io.BytesIO()
    if form == "WebP":
        image.save(buffer, format="WEBP", quality=max(quality, _LEGIBLE) if drawing else quality, method=4)
    else:
        image.save(buffer, format="JPEG", quality=quality, optimize=True)
    kind, small = form.lower(), buffer.getvalue()
    if whole and len(data) <= max(1.5 * len(small), _CHEAP):  # type keeps its edges
        kind, small = "png", data
    return Shown(f"data:image/{kind};base64,{base64.b64encode(small).decode('ascii')}", *image.size)


def _smaller(image: Image.Image, most: int) -> Image.Image:
    if max(image.size) <= most:
        return image
    wide, high = (max(1, round(length * most / max(image.size))) for length in image.size)
    return image.resize((wide, high), Image.Resampling.LANCZOS)
