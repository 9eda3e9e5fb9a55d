"""Takes a picture, gives it as a file that is small enough to be kept in a notebook; never draws."""

from __future__ import annotations

import io

from PIL import Image

from seewhy.render.sheet import png

__all__ = ["MOST", "embedded"]

#: bytes that one picture has in a notebook at most; in its text they are a third more
MOST = 160_000
#: of JPEG, from what cannot be told from the picture on
_QUALITIES = (90, 82, 72)
_SMALLER = 0.8


def embedded(image: Image.Image, most: int = MOST) -> tuple[bytes, str]:
    """``image`` as a PNG of at most ``most`` bytes, and ``"png"``; one that takes more is a JPEG (``"jpeg"``), of
    as good a quality as there is room for, and made smaller where there is not.

    >>> embedded(Image.new("RGB", (400, 300), "white"))[1]
    'png'
    """
    whole = png(image)
    if len(whole) <= most:
        return whole, "png"
    picture = image.convert("RGB")
    while True:
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            picture.save(buffer, format="JPEG", quality=quality, optimize=True)
            if buffer.tell() <= most or max(picture.size) < 64:
                return buffer.getvalue(), "jpeg"
        wide, high = (max(1, round(side * _SMALLER)) for side in picture.size)
        picture = picture.resize((wide, high), Image.Resampling.LANCZOS)
