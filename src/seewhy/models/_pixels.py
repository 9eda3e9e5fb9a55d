"""Takes a loaded PIL image of any mode, gives 8-bit RGB and a note on what that cost; never reads a file."""

from __future__ import annotations

import numpy as np
from PIL import Image

from seewhy.errors import ImageError

__all__ = ["DRAWN_ON_WHITE", "to_rgb"]

#: what is said of a picture with transparent parts
DRAWN_ON_WHITE = "transparent parts are drawn on white"


def to_rgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """``image`` in mode RGB, never the same object, and one sentence for each thing that was changed.

    16-bit grey is scaled (65535 becomes 255), floats in [0, 1] are scaled and others stretched from their
    minimum to their maximum, transparent parts are drawn on white. Raises `ImageError` for NaN, infinity and
    unknown modes.
    """
    if image.mode.startswith("I"):
        return _from_integers(image)
    if image.mode == "F":
        return _from_floats(image)
    if image.has_transparency_data or image.mode in {"La", "RGBa"}:
        return _from_alpha(image)
    notes = ["CMYK converted to RGB without its colour profile"] if image.mode == "CMYK" else []
    try:
        return (image.copy() if image.mode == "RGB" else image.convert("RGB")), notes
    except ValueError as error:
        raise ImageError(f"colour mode {image.mode!r} cannot be converted to RGB; save it as RGB first") from error


def _grey(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Image.Image:
    return Image.fromarray(np.rint(values).astype(np.uint8)).convert("RGB")


def _from_integers(image: Image.Image) -> tuple[Image.Image, list[str]]:
    values = np.asarray(image).astype(np.float64)
    low, high = values.min(), values.max()
    if low >= 0 and high <= 65535:
        return _grey(values / 257), ["16-bit greyscale: 0..65535 scaled to 0..255"]
    span = max(high - low, 1.0)
    return _grey((values - low) / span * 255), [f"32-bit greyscale: {low:.0f}..{high:.0f} stretched to 0..255"]


def _from_floats(image: Image.Image) -> tuple[Image.Image, list[str]]:
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError("a float picture with NaN or infinite values cannot be drawn; replace them first")
    low, high = values.min(), values.max()
    if low >= 0 and high <= 1:
        return _grey(values * 255), ["float greyscale: 0..1 scaled to 0..255"]
    span = high - low if high > low else 1.0
    return _grey((values - low) / span * 255), [f"float greyscale: {low:g}..{high:g} stretched to 0..255"]


def _from_alpha(image: Image.Image) -> tuple[Image.Image, list[str]]:
    if image.mode == "La":  # premultiplied grey converts only to its plain form
        image = image.convert("LA")
    rgba = image.convert("RGBA")
    if rgba.getchannel("A").getextrema() == (255, 255):
        return rgba.convert("RGB"), []
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB"), [DRAWN_ON_WHITE]
