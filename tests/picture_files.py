"""Files of small pictures, each of another colour, for tests of where pictures come from."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["colour_of", "png", "write_film", "write_png"]


def png(number: int) -> bytes:
    """The bytes of a PNG whose colour is a number."""
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (number % 256, number // 256, 7)).save(file, "png")
    return file.getvalue()


def colour_of(picture: Image.Image) -> int:
    """The number that `png` was given."""
    red, green, blue = picture.getpixel((2, 2))  # type: ignore[misc]
    assert blue == 7
    return int(red + 256 * green)


def write_png(path: Path, number: int) -> Path:
    """The file, with the folders on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(number))
    return path


def write_film(path: Path, frames: int, codec: str = "mpeg4", rate: int = 10) -> Path:
    """A film of 64 x 48 whose frames are each 10 levels brighter on their left, and all black on their right."""
    import av

    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=rate, bit_rate=2_000_000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(frames):
            pixels = np.zeros((48, 64, 3), np.uint8)
            pixels[:, :32] = 10 * n
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode())
    return path
