"""DICOM pictures: takes a file of one picture, or one frame of a file, gives measured values, the window that they are
shown in, and 8-bit pixels; never places a slice.

What tags mean stands in PS3.3 of the standard: rescaling in C.11.1, windows in C.11.2, photometric interpretations in
C.7.6.3.1.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from seewhy.errors import ImageError
from seewhy.models._dicom_file import frames_in, header_of, library, of_frame, pixels_of, safely, vector, whole
from seewhy.models.measured import Measured

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from seewhy.models._held import Held

__all__ = ["in_colour", "measured_of", "pixel_spacing", "proportions", "read_picture"]

#: part of a side of a pixel that may be rounding
_EVEN = 0.01


def pixel_spacing(data: Any, frame: int) -> NDArray[np.float64] | None:
    """Millimetres between rows, and between columns, of one frame; None where the file does not say."""
    given = vector(of_frame(data, frame, "PixelMeasuresSequence", "PixelSpacing"), 2)
    return given if given is not None and (given > 0).all() else None


def in_colour(path: Path) -> bool:
    """Whether a file's pictures are in colour: no slices of a volume."""
    return _of_colours(header_of(path, repr(str(path))))


def read_picture(
    path: Path | Held, name: str, frame: int | None = None
) -> tuple[Image.Image, Measured | None, list[str]]:
    """The picture in a file, or the one of number ``frame``: 8-bit RGB; the values that it was made of, where it is
    grey; notes.

    Raises `ImageError` for what cannot be read, `UsageError` without pydicom.
    """
    with safely(name):
        header = header_of(path, name)
        frames = frames_in(header)
        if frame is not None and frame >= frames:
            raise ImageError(f"cannot read {name}: it holds {frames} slices, 0 to {frames - 1}")
        if frame is None and frames > 1:
            raise ImageError(
                f"cannot read {name} as a picture: it holds {frames} slices; '{path}#{frames // 2}' is the one in "
                "the middle"
            )
        data = whole(path, name)
        pixels = pixels_of(data, name)
        pixels = pixels[frame or 0] if frames > 1 else pixels
        if _of_colours(header):
            return _coloured(pixels, data, name), None, []
        measured = measured_of(pixels, data, name, frame or 0)
        sides = pixel_spacing(header, frame or 0)
        notes = [] if sides is None else proportions(float(sides[0]), float(sides[1]))
        return Image.fromarray(measured.picture()).convert("RGB"), measured, notes


def _of_colours(header: Any) -> bool:
    return header.SamplesPerPixel > 1 or getattr(header, "PhotometricInterpretation", "") == "PALETTE COLOR"


def proportions(high: float, wide: float) -> list[str]:
    """What is to be said of pixels that are so many millimetres high and wide, where they are drawn as squares."""
    if abs(high - wide) <= _EVEN * max(high, wide):
        return []
    return [f"pixels are {high:.3g} mm high and {wide:.3g} mm wide in the file; the picture shows them as squares"]


def _coloured(pixels: NDArray[Any], data: Any, name: str) -> Image.Image:
    pydicom = library()
    kind = str(data.PhotometricInterpretation)
    with safely(name):
        if kind == "PALETTE COLOR":
            pixels = pydicom.pixels.apply_color_lut(pixels, data)
            most = float(np.iinfo(pixels.dtype).max)
        elif kind.startswith(("RGB", "YBR")):
            most = float((1 << int(data.BitsStored)) - 1)
        else:
            raise ImageError(f"cannot read {name}: colours of kind {kind}; save it as RGB first")
    shares = pixels[..., :3].astype(np.float64) / most
    return Image.fromarray(np.rint(shares.clip(0, 1) * 255).astype(np.uint8))


def measured_of(stored: NDArray[Any], data: Any, name: str, frame: int = 0) -> Measured:
    """The values of one frame [H, W], rescaled, and their window."""
    pydicom = library()
    if stored.ndim != 2:
        raise ImageError(
            f"cannot read {name} as a volume: its slices are in colour; give one as a picture, such as {name[:-1]}#0'"
        )
    kind = str(getattr(data, "PhotometricInterpretation", "MONOCHROME2"))
    if not kind.startswith("MONOCHROME"):
        raise ImageError(f"cannot read {name}: one sample a pixel of kind {kind}; save it as MONOCHROME2 first")
    with safely(name):
        slope = of_frame(data, frame, "PixelValueTransformationSequence", "RescaleSlope")
        shift = of_frame(data, frame, "PixelValueTransformationSequence", "RescaleIntercept")
        if "ModalityLUTSequence" in data:
            values = np.asarray(pydicom.pixels.apply_modality_lut(stored, data), dtype=np.float64)
        else:
            values = stored.astype(np.float64) * float(1 if slope is None else slope) + float(shift or 0)
        unit = str(of_frame(data, frame, "PixelValueTransformationSequence", "RescaleType") or "")
        unit = "HU" if unit == "HU" or (not unit and getattr(data, "Modality", "") == "CT") else ""
        kept = values.astype(np.float32)
        if not np.isfinite(kept).all():
            raise ImageError(f"cannot read {name}: values that are NaN or infinite; replace them first")
        measured = Measured(kept, unit, inverted=kind == "MONOCHROME1")
        table = getattr(data, "VOILUTSequence", None)
        return _through_table(measured, table[0], data) if table else _windowed(measured, data, frame, values)


def _through_table(measured: Measured, table: Any, data: Any) -> Measured:
    """With the table of greys that a file has for its values, PS3.3 C.11.2.1.1."""
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    given = table.LUTData
    if isinstance(given, bytes):
        given = np.frombuffer(given, dtype="<u2" if data.original_encoding[1] else ">u2")
    # the first value that is mapped has the sign of the values themselves, and is written without one
    first = first - 65536 if first > 32767 and measured.values.min() < 0 else first
    greys = np.asarray(given, dtype=np.float64)[: count or 1 << 16] / ((1 << bits) - 1)
    return replace(measured, low=first, high=first + len(greys) - 1, source="the file's table", table=greys)


def _windowed(measured: Measured, data: Any, frame: int, values: NDArray[np.float64]) -> Measured:
    """With the window that a file has, or of all values."""
    low, high, source, sigmoid = _window(data, frame, values)
    return replace(measured, low=low, high=high, source=source, sigmoid=sigmoid)


def _window(data: Any, frame: int, values: NDArray[np.float64]) -> tuple[float, float, str, bool]:
    """Where black and white are: (low, high, where that comes from, smooth or not), PS3.3 C.11.2.1.2."""
    centre = _first(of_frame(data, frame, "FrameVOILUTSequence", "WindowCenter"))
    width = _first(of_frame(data, frame, "FrameVOILUTSequence", "WindowWidth"))
    function = str(of_frame(data, frame, "FrameVOILUTSequence", "VOILUTFunction") or "LINEAR").upper()
    if centre is None or width is None or not width > 0 or (function == "LINEAR" and width < 1):
        return float(values.min()), float(values.max()), Measured.source, False
    if function == "LINEAR":
        return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2, "the file's window", False
    return centre - width / 2, centre + width / 2, "the file's window", function == "SIGMOID"


def _first(given: Any) -> float | None:
    """The first of one or several numbers: windows beyond it are for other views."""
    if given is None or given == "":
        return None
    several = given if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    number = next((float(each) for each in several), math.nan)
    return number if math.isfinite(number) else None
