"""Takes pictures, texts and boxes with their places, gives one raster or one SVG; never decides a place."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw

from seewhy.render.typeset import FINER, settable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Picture", "Piece", "Rectangle", "Sheet", "Text", "png", "raster", "vector"]

_FAMILY = "Aileron, Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text: ``y`` is its baseline, ``x`` its ``align`` (``"start"``, ``"middle"``, ``"end"``)."""

    x: float
    y: float
    words: str
    size: int
    fill: str
    align: str = "start"


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A filled rectangle; ``opacity`` in [0, 1]."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """uint8 ``[H, W, 3]`` pixels filling a place; ``smooth`` interpolates, otherwise pixels are squares."""

    x: float
    y: float
    width: float
    height: float
    pixels: NDArray[np.uint8]
    smooth: bool = True


#: small letters that are averaged from finer ones come out pale: the ink of every covered share
_BOLDER = [round(255 * (share / 255) ** 0.75) for share in range(256)]

Piece = Text | Rectangle | Picture


@dataclass(frozen=True, slots=True)
class Sheet:
    """A white page of ``width`` x ``height`` pixels; later items are drawn over earlier ones."""

    width: int
    height: int
    items: tuple[Piece, ...]


def png(pixels: NDArray[np.uint8] | Image.Image) -> bytes:
    """The pixels, or the image, as a PNG file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def raster(sheet: Sheet, ground: Image.Image | None = None) -> Image.Image:
    """The sheet as an RGB image, drawn on a copy of ``ground`` where one is given."""
    image = Image.new("RGB", (sheet.width, sheet.height), "white") if ground is None else ground.copy()
    for item in sheet.items:
        if isinstance(item, Text):
            _write(image, item)
        elif isinstance(item, Rectangle):
            corners = _corners(item)
            size = (corners[2] - corners[0], corners[3] - corners[1])
            veil = Image.new("L", size, round(255 * item.opacity))
            image.paste(Image.new("RGB", size, item.fill), corners[:2], veil)
        else:
            corners = _corners(item)
            size = (corners[2] - corners[0], corners[3] - corners[1])
            how = Image.Resampling.LANCZOS if item.smooth else Image.Resampling.NEAREST
            image.paste(Image.fromarray(item.pixels).resize(size, how), corners[:2])
    return image


def _write(image: Image.Image, item: Text) -> None:
    """One line of text, every letter where it belongs and not at the next whole pixel."""
    words, font = settable(item.words, item.size * FINER)
    long = font.getlength(words)
    start = item.x * FINER - {"start": 0.0, "middle": long / 2, "end": long}[item.align]
    base = round(item.y) * FINER
    left, top, right, bottom = font.getbbox(words, anchor="ls")
    x0, y0 = math.floor((start + left) / FINER), math.floor((base + top) / FINER)
    x1, y1 = math.ceil((start + right) / FINER) + 1, math.ceil((base + bottom) / FINER) + 1
    if right <= left or bottom <= top:
        return
    letters = Image.new("L", ((x1 - x0) * FINER, (y1 - y0) * FINER))
    ImageDraw.Draw(letters).text((start - x0 * FINER, base - y0 * FINER), words, fill=255, font=font, anchor="ls")
    cover = letters.reduce(FINER).point(_BOLDER)
    image.paste(Image.new("RGB", cover.size, item.fill), (x0, y0), cover)


def vector(sheet: Sheet, *, dpi: float | None = None) -> str:
    """The sheet as an SVG document: text stays text, pictures are embedded as PNG at their own resolution.

    With ``dpi`` it is as many inches large as that many pixels an inch make it.
    """
    long = [f"{side / dpi:.4g}in" if dpi else f"{side}" for side in (sheet.width, sheet.height)]
    body = "\n".join(_element(item) for item in sheet.items)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{long[0]}" height="{long[1]}" '
        f'viewBox="0 0 {sheet.width} {sheet.height}" font-family="{_FAMILY}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _corners(item: Any) -> tuple[int, int, int, int]:
    left, top = round(item.x), round(item.y)
    return left, top, max(left + 1, round(item.x + item.width)), max(top + 1, round(item.y + item.height))


def _element(item: Piece) -> str:
    if isinstance(item, Text):
        return (
            f'<text x="{item.x:.1f}" y="{item.y:.1f}" font-size="{item.size}" fill="{item.fill}" '
            f'text-anchor="{item.align}">{escape(item.words)}</text>'
        )
    place = f'x="{item.x:.1f}" y="{item.y:.1f}" width="{item.width:.1f}" height="{item.height:.1f}"'
    if isinstance(item, Rectangle):
        return f'<rect {place} fill="{item.fill}" fill-opacity="{item.opacity:g}"/>'
    data = base64.b64encode(png(item.pixels)).decode("ascii")
    style = "" if item.smooth else ' style="image-rendering:pixelated"'
    return f'<image {place} preserveAspectRatio="none"{style} href="data:image/png;base64,{data}"/>'
