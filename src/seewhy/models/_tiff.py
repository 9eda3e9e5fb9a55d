"""TIFFs of more than 8 bits, or with channels apart: takes an open file, gives its first picture as 8-bit pixels with
notes, or leaves it to Pillow; never guesses what a tag says.

Pillow reads some of them wrongly and without a word: channels of 16 bits that lie one behind the other, white as 0,
32 bits without a sign; others, grey with further channels apart, it does not know. tifffile reads them all. Where it
is not installed, what Pillow is known to read right is left to Pillow, and the rest is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from seewhy.errors import ImageError, reason
from seewhy.models._pixels import DRAWN_ON_WHITE

__all__ = ["FIRST_EXPLAINED", "Tags", "drawn_bands", "read_tags", "read_tiff", "tags_of", "trusted"]

#: how a note of several pictures in a file ends
FIRST_EXPLAINED = "the first is explained"

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: tag numbers
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _MOST = 258, 262, 274, 277, 281
_PLANAR, _EXTRA, _FORMAT = 284, 338, 339
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_PREMULTIPLIED, _OPACITY = 1, 2
#: what 16 bits hold when a camera has fewer: values that end below this are of so many bits
_FEWER = (255, 4095)
_GREY_AND_ALPHA, _COLOURS = 2, 3


@dataclass(frozen=True)
class Tags:
    """What the first picture of a TIFF says of itself."""

    bits: tuple[int, ...]
    formats: tuple[int, ...]
    photometric: int
    planar: int
    samples: int
    extra: tuple[int, ...]
    most: int | None
    orientation: int

    @property
    def deep(self) -> bool:
        """Whether it has more than 8 bits, or numbers of another kind."""
        return max(self.bits) > 8 or set(self.formats) != {_UNSIGNED}

    @property
    def banded(self) -> bool:
        """Whether it has more channels than colours and how opaque they are."""
        transparent = bool(set(self.extra) & {_PREMULTIPLIED, _OPACITY})
        return self.photometric <= _RGB and self.samples - transparent > _COLOURS


def read_tags(file: IO[bytes]) -> Tags | None:
    """The tags of an open file, None if it is no TIFF; the file is left at its start."""
    file.seek(0)
    header = file.read(8)
    if header[:4] not in _MAGIC:
        file.seek(0)
        return None
    if header[2:4] in (b"+\0", b"\0+"):
        header += file.read(8)
    directory = ImageFileDirectory_v2(header)
    file.seek(directory.next)
    directory.load(file)
    file.seek(0)
    return tags_of(directory)


def tags_of(directory: Any) -> Tags:
    """The tags in a directory that Pillow has read."""

    def several(tag: int, default: int) -> tuple[int, ...]:
        value = directory.get(tag, (default,))
        return tuple(int(number) for number in (value if isinstance(value, tuple) else (value,)))

    most = directory.get(_MOST)
    return Tags(
        several(_BITS, 1),
        several(_FORMAT, _UNSIGNED),
        several(_PHOTOMETRIC, _BLACK_IS_ZERO)[0],
        several(_PLANAR, 1)[0],
        several(_SAMPLES, 1)[0],
        several(_EXTRA, 0) if _EXTRA in directory else (),
        None if most is None else max(several(_MOST, 0)),
        several(_ORIENTATION, 1)[0],
    )


def trusted(tags: Tags) -> bool:
    """Whether Pillow is known to read such a TIFF right."""
    if tags.samples > _GREY_AND_ALPHA and tags.photometric != _RGB and tags.photometric <= _RGB:
        return False  # bands
    if not tags.deep:
        known = {_WHITE_IS_ZERO: (1,), _BLACK_IS_ZERO: (1,), _RGB: (3, 4) if tags.extra == (_OPACITY,) else (3,)}
        return tags.planar == 1 or tags.samples in known.get(tags.photometric, (tags.samples,))
    bits, kinds = set(tags.bits), set(tags.formats)
    if tags.samples == 1 and tags.photometric == _BLACK_IS_ZERO:
        return (bits, kinds) in (({12}, {1}), ({16}, {1}), ({16}, {2}), ({32}, {2}), ({32}, {3}))
    plain = bits == {16} and kinds == {_UNSIGNED}
    return plain and tags.photometric == _RGB and tags.planar == 1 and tags.samples in (3, 4)


def read_tiff(file: IO[bytes], tags: Tags, name: str) -> tuple[Image.Image, list[str], NDArray[Any] | None] | None:
    """The first picture, 8-bit RGB and upright, notes, and all channels where it has more than three; None where Pillow
    may read it instead.

    Raises `ImageError` where only tifffile can read it and is not installed, and for what is damaged.
    """
    try:
        import tifffile
    except ImportError:
        if trusted(tags):
            return None
        raise ImageError(
            f"cannot read {name}: {_kind(tags)}, which Pillow does not read right; pip install 'seewhy[tiff]'"
        ) from None
    file.seek(0, 2)
    length = file.tell()
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page, pages = tiff.pages[0], len(tiff.pages)
        ends = [at + count for at, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if not ends or max(ends) > length:
            raise ImageError(f"cannot read {name}: damaged or incomplete (its pixels end after the file does)")
        try:
            values = page.asarray()
        except (ValueError, ImportError) as error:  # a compression, or a width of bits, that takes imagecodecs
            if trusted(tags):
                return None
            raise ImageError(
                f"cannot read {name}: {_kind(tags)} ({reason(error)}); pip install imagecodecs, or save it uncompressed"
            ) from error
    more = [f"{pages} pictures in one file: {FIRST_EXPLAINED}"] if pages > 1 else []
    values = np.asarray(values)
    if tags.samples > 1 and tags.planar == 2:
        values = np.moveaxis(values, 0, -1)
    values = values.reshape(*values.shape[:2], -1)
    pixels, notes = _drawn(values, tags, name)
    bands = _turned(values, tags.orientation) if values.shape[2] > _COLOURS else None
    return _upright(pixels, tags.orientation), more + notes, bands


def _kind(tags: Tags) -> str:
    """In words."""
    number = {_SIGNED: "signed ", _FLOAT: "float "}.get(tags.formats[0], "")
    colour = {_WHITE_IS_ZERO: "white is 0", _BLACK_IS_ZERO: "grey", _RGB: "RGB"}.get(
        tags.photometric, f"colour space {tags.photometric}"
    )
    planes = ", channel by channel" if tags.planar == 2 and tags.samples > 1 else ""
    return f"a TIFF of {max(tags.bits)} bits ({number}{colour}{planes})"


def _drawn(values: NDArray[Any], tags: Tags, name: str) -> tuple[Image.Image, list[str]]:
    """Samples as they are in the file to 8-bit RGB."""
    if tags.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise ImageError(f"cannot read {name}: {_kind(tags)} cannot be converted to RGB; save it as RGB first")
    colours = _COLOURS if tags.photometric == _RGB or tags.banded else 1
    opaque = values.shape[2] == colours or not set(tags.extra) & {_PREMULTIPLIED, _OPACITY}
    shares, notes = _shares(values[..., :colours], tags)
    if tags.photometric == _WHITE_IS_ZERO:
        shares = 1 - shares
    picture = _eight(shares if colours == _COLOURS else np.repeat(shares, 3, 2))
    if values.shape[2] > colours + (not opaque):
        further = values.shape[2] - colours - (not opaque)
        notes.append(f"{further} further channel{'s are' if further > 1 else ' is'} not in the picture")
    if opaque:
        return Image.fromarray(picture), notes
    alpha, _ = _shares(values[..., colours : colours + 1], tags, whole=True)
    premultiplied = tags.extra[0] == _PREMULTIPLIED
    layers = Image.fromarray(np.concatenate([picture, _eight(alpha)], 2))
    if premultiplied:
        layers = Image.frombytes("RGBa", layers.size, layers.tobytes()).convert("RGBA")
    white = Image.new("RGBA", layers.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layers).convert("RGB"), [*notes, DRAWN_ON_WHITE]


def drawn_bands(bands: NDArray[Any], chosen: Sequence[int]) -> tuple[Image.Image, list[str]]:
    """Three of the channels [H, W, C] as red, green and blue, and how they were scaled.

    >>> drawn_bands(np.array([[[0, 10, 20, 255]]], dtype=np.uint8), (3, 1, 0))[0].getpixel((0, 0))
    (255, 10, 0)
    """
    kind = {"f": _FLOAT, "i": _SIGNED}.get(bands.dtype.kind, _UNSIGNED)
    tags = Tags((8 * bands.dtype.itemsize,), (kind,), _BLACK_IS_ZERO, 1, bands.shape[2], (), None, 1)
    shares, notes = _shares(bands[..., list(chosen)], tags)
    return Image.fromarray(_eight(shares)), notes


def _eight(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.rint(shares.clip(0, 1) * 255).astype(np.uint8)
    return levels


def _shares(values: NDArray[Any], tags: Tags, *, whole: bool = False) -> tuple[NDArray[np.float64], list[str]]:
    """Samples as shares of the largest there can be, and how that was found; ``whole``: of all bits, in any case."""
    floats = values.astype(np.float64)
    if not np.isfinite(floats).all():
        raise ImageError("a float picture with NaN or infinite values cannot be drawn; replace them first")
    bits, low, high = max(tags.bits), float(floats.min()), float(floats.max())
    colour = "colour" if values.shape[2] == 3 else "greyscale"
    if values.dtype.kind == "u" and bits <= 16:
        full = (1 << bits) - 1
        top, why = full, ""
        if tags.most is not None and high <= tags.most < full:
            top, why = tags.most, ", as the file says"
        elif bits == 16 and not whole and 0 < high <= _FEWER[-1]:
            top = next(limit for limit in _FEWER if high <= limit)
            why = f": no value is above {high:.0f}, so these are {top.bit_length()} bits in 16"
        if top == 255 and bits == 8:
            return floats / top, []
        return floats / top, [f"{bits}-bit {colour}: 0..{top} scaled to 0..255{why}"]
    if values.dtype.kind == "f" and (whole or (low >= 0 and high <= 1)):
        return floats, [f"float {colour}: 0..1 scaled to 0..255"]
    if whole:
        return floats / np.iinfo(values.dtype).max, []
    kind = "float" if values.dtype.kind == "f" else f"{bits}-bit"
    return (floats - low) / (high - low if high > low else 1.0), [
        f"{kind} {colour}: {low:.15g}..{high:.15g} stretched to 0..255"
    ]


def _upright(pixels: Image.Image, orientation: int) -> Image.Image:
    if orientation in (0, 1):
        return pixels
    pixels.getexif()[_ORIENTATION] = orientation
    return ImageOps.exif_transpose(pixels)


#: what each orientation has been through, as axes that were swapped and turned round
_TURNS: dict[int, tuple[bool, bool, bool]] = {
    2: (False, False, True), 3: (False, True, True), 4: (False, True, False), 5: (True, False, False),
    6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip


def _turned(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Samples [H, W, C] upright."""
    swapped, down, across = _TURNS.get(orientation, (False, False, False))
    values = values.swapaxes(0, 1) if swapped else values
    return np.ascontiguousarray(values[:: -1 if down else 1, :: -1 if across else 1])
