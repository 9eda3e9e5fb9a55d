"""Takes a path, the bytes of a file, a picture or an array, gives an upright RGB photo with notes; never downloads."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from seewhy.errors import ImageError, UsageError, one_line, reason
from seewhy.models._dicom import in_colour, proportions, read_picture
from seewhy.models._dicom_file import is_dicom
from seewhy.models._dicom_series import NoVolume
from seewhy.models._held import Held
from seewhy.models._missing_files import missing_file
from seewhy.models._pixels import to_rgb
from seewhy.models._quiet import quiet
from seewhy.models._tiff import FIRST_EXPLAINED, read_tags, read_tiff, tags_of, trusted
from seewhy.models.measured import Measured
from seewhy.models.volumes import is_scan, read_volume, slice_of

__all__ = ["SUFFIXES", "Coarse", "Photo", "frames_in", "photo_in", "read_frame", "read_image", "read_image_bytes"]

#: what photos' names end in
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"))

_ORIENTATION = 0x0112
#: values of it where rows and columns change places
_LYING = (5, 6, 7, 8)
_COLOURS = 3
#: modes of Pillow's with four channels
_FOUR = ("RGBA", "RGBX", "CMYK")
#: formats of which several pictures are frames of one animation
_MOVING = {"GIF", "WEBP", "PNG", "AVIF"}


@dataclass(frozen=True)
class Photo:
    """A photo as a person sees it: ``pixels`` upright RGB, what it is called, what was done to it.

    ``path`` is None for a picture that came from memory. ``bands`` are all channels of a picture with more than three,
    [H, W, C] as they are in it; ``channels`` is how many it has. ``measured`` are the values that a file of one value a
    place (DICOM, a slice of a volume) measures, of which the pixels are a picture. Each of ``notes`` is one
    sentence about something that the pixels no longer show: scaled 16-bit values, transparency, further frames.
    """

    pixels: Image.Image
    name: str
    path: str | None = None
    notes: tuple[str, ...] = ()
    bands: np.ndarray[Any, Any] | None = None
    channels: int = _COLOURS
    measured: Measured | None = None
    #: those of the notes that are about how colours were made of bands
    of_colours: tuple[str, ...] = ()


#: gives the least (height, width) that a picture of such a size has to be decoded at
Coarse = Callable[[int, int], tuple[int, int]]


def read_image(source: str | Path | Image.Image | np.ndarray[Any, Any] | Photo, coarse: Coarse | None = None) -> Photo:
    """The photo at a path, in a PIL image or in a uint8 array [H, W] or [H, W, C]; of more than three channels, the
    first three are shown (four are colours and how opaque they are), and all are kept as ``bands``.

    EXIF rotation is applied, any colour mode becomes RGB, 16-bit values are scaled (65535 becomes 255), TIFFs of more
    than 8 bits are read by tifffile where that is installed, and those that Pillow reads wrongly only then,
    transparent parts are drawn on white, the first of several frames is taken; ``notes`` says which of these
    happened. DICOM files are shown in their window (extra ``medical``); ``scan.nii.gz#12`` and ``series#12`` are slices
    of volumes. Nothing is downloaded. A JPEG is decoded at a half, a quarter or an eighth of its size where ``coarse``
    says that this is enough: in as much less time, and nearly the same. Raises `ImageError` if there is no readable
    picture, `UsageError` for an array or object that is no picture: float arrays and tensors are inputs, already
    preprocessed.

    >>> read_image(np.zeros((2, 3), dtype=np.uint8)).pixels.size
    (3, 2)
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, np.ndarray):
        photo = _photo(_array_image(source), "array", None)
        return replace(photo, bands=source.copy()) if source.ndim == 3 and source.shape[2] > _COLOURS else photo
    if isinstance(source, Image.Image):
        _check_opened(source)
        given = str(getattr(source, "filename", "") or "")
        name = Path(given).name if given else "image"
        with quiet():
            return _decoded(lambda: _photo(source, name, None), repr(name))
    other: Any = source
    if isinstance(other, str | Path):
        return _read_file(other, coarse)
    kind = f"{type(other).__module__}.{type(other).__name__}"
    raise UsageError(
        f"cannot take a picture from {kind}; give a path, a PIL image or a uint8 array "
        "(float arrays and tensors are taken as already preprocessed input)"
    )


def read_image_bytes(data: bytes, name: str, coarse: Coarse | None = None) -> Photo:
    """The photo in the bytes of a file, read as `read_image` reads the file itself.

    ``name`` is what the file is called, by which errors call it and formats without a mark are known; the photo has its
    last part as ``name`` and no ``path``. Raises `ImageError` if the bytes are no readable picture.

    >>> file = io.BytesIO()
    >>> Image.new("RGB", (3, 2)).save(file, "png")
    >>> read_image_bytes(file.getvalue(), "cats/1.png").pixels.size
    (3, 2)
    """
    return _read(Held(data, name), name, None, coarse)


def photo_in(given: bytes | Path | Photo, name: str, coarse: Coarse | None = None) -> Photo:
    """The photo in what a source of pictures gives: a file called ``name``, what is in one, or the picture itself.
    Raises what `read_image` does."""
    if isinstance(given, bytes):
        return read_image_bytes(given, name, coarse)
    return read_image(given, coarse)


def _check_opened(image: Image.Image) -> None:
    """Refuse a TIFF in hand that Pillow has read, or will read, wrongly."""
    directory = getattr(image, "tag_v2", None)
    if image.format == "TIFF" and directory is not None and not trusted(tags_of(directory)):
        given = getattr(image, "filename", "") or "its path"
        raise ImageError(f"this TIFF was opened by Pillow, which reads its kind wrongly; give the file itself: {given}")


def _array_image(array: np.ndarray[Any, Any]) -> Image.Image:
    if np.issubdtype(array.dtype, np.floating):
        raise UsageError(
            f"a {array.dtype} array is taken as already preprocessed input, not as a picture; "
            "for a picture give uint8 [H, W] or [H, W, 3]"
        )
    if array.dtype != np.uint8:
        raise UsageError(f"a picture's array is uint8, got {array.dtype}; scale it to 0..255 and convert it")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 3 and _COLOURS + 1 < array.shape[2] < min(array.shape[:2]):
        array = array[:, :, :_COLOURS]  # of bands, those are shown
    if 0 in array.shape or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        hint = "; channels come last: array.transpose(1, 2, 0)" if first else ""
        raise UsageError(
            f"a picture's array is [H, W], [H, W, 1], [H, W, 3], [H, W, 4] or [H, W, bands], got "
            f"{list(array.shape)}{hint}"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _read_file(source: str | Path, coarse: Coarse | None) -> Photo:
    text = str(source)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|data:", text):
        raise ImageError(f"{one_line(text, 80)!r} is an address; nothing is downloaded: save it and give the file")
    path = Path(text).expanduser()
    if (named := slice_of(text)) is not None:
        return _slice(*named)
    missing = missing_file(path)
    if missing:
        raise ImageError(f"cannot read {text!r}: {missing}")
    if is_scan(path):
        depth, height, width = read_volume(text).size
        raise ImageError(
            f"cannot read {text!r} as a picture: it holds {depth} slices of {height} x {width}; '{text}#{depth // 2}' "
            "is the one in the middle"
        )
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise ImageError(f"cannot read {text!r}: it is {kind}; give one picture file")

    return _read(path, text, text, coarse)


def _read(path: Path | Held, text: str, given: str | None, coarse: Coarse | None) -> Photo:
    """The photo in a file, on a disk or in memory."""

    def read() -> Photo:
        if path.stat().st_size == 0:
            raise ImageError(f"cannot read {text!r}: the file is empty (0 bytes)")
        # Somebody may have told Pillow to shrug at missing data; a half-grey picture must not be explained.
        lenient = ImageFile.LOAD_TRUNCATED_IMAGES
        with _Strict(_bytes(path)) if lenient else path.open("rb") as file, Image.open(file) as image:
            if coarse is not None and image.format == "JPEG":
                _coarser(image, coarse)
            if isinstance(file, _Strict):
                _verify_png(image, file.getvalue())
                file.strict = True
                image.load()
                file.strict = False
            return _photo(image, path.name, given)

    def read_deep() -> Photo | None:
        """What a TIFF that Pillow may read wrongly shows; None for all else, and for what Pillow reads right."""
        with path.open("rb") as file:
            tags = read_tags(file)
            doubtful = tags if tags is not None and (tags.deep or tags.banded or not trusted(tags)) else None
            decoded = None if doubtful is None else read_tiff(file, doubtful, repr(text))
        if decoded is None or tags is None:
            return None
        notes = tuple(decoded[1])
        of_colours = tuple(note for note in notes if tags.banded and not note.endswith(FIRST_EXPLAINED))
        return Photo(decoded[0], path.name, given, notes, decoded[2], tags.samples, of_colours=of_colours)

    if is_dicom(path):
        pixels, measured, notes = read_picture(path, repr(text))
        return Photo(
            pixels, path.name, given, tuple(notes), channels=_COLOURS if measured is None else 1, measured=measured
        )
    with quiet():
        return _decoded(lambda: read_deep() or read(), repr(text), path)


def _coarser(image: Image.Image, coarse: Coarse) -> None:
    """Have a JPEG that was opened, and not decoded yet, be decoded at a fraction of its size."""
    lies = image.getexif().get(_ORIENTATION, 1) in _LYING
    height, width = coarse(*(image.size if lies else image.size[::-1]))
    image.draft(None, (height, width) if lies else (width, height))


def _bytes(path: Path | Held) -> bytes:
    with path.open("rb") as file:
        return file.read()


def frames_in(path: Path) -> int:
    """How many frames an animated picture has; 1 for any other file, whether or not it can be read."""
    try:
        with quiet(), Image.open(path) as image:
            return int(getattr(image, "n_frames", 1)) if image.format in _MOVING else 1
    except Exception:  # whatever decoders raise of damaged files: whoever reads the picture says what is wrong
        return 1


def pixels_of(file: Path | bytes) -> int:
    """How many pixels a picture has, by the first bytes of its file; 0 where those do not say."""
    try:
        with quiet(), Image.open(file if isinstance(file, Path) else io.BytesIO(file)) as image:
            return image.width * image.height
    except Exception:  # as above
        return 0


def read_frame(path: Path, at: int, source: str) -> Photo:
    """One frame of an animated picture, by its number from 0. Raises `ImageError` for what cannot be read."""

    def read() -> Photo:
        with path.open("rb") as file, Image.open(file) as image:
            image.seek(at)
            return _photo(image, f"{path.stem}-{at}{path.suffix}", f"{source}#{at}")

    with quiet():
        return _decoded(read, f"frame {at} of {source!r}", path)


def _slice(source: str, number: int) -> Photo:
    """One slice of a volume as a picture, or one of several pictures in colour."""
    path = Path(source).expanduser()
    if path.is_file() and is_dicom(path) and in_colour(path):
        picture, _, said = read_picture(path, f"'{source}#{number}'", number)
        return Photo(picture, f"{path.name}#{number}", f"{source}#{number}", tuple(said), channels=_COLOURS)
    try:
        volume = read_volume(source)
    except NoVolume as error:
        if not path.is_file():
            raise
        # the frames of one file are its own whether or not they make a volume; they are counted as they lie in it
        picture, measured, said = read_picture(path, f"'{source}#{number}'", number)
        said.append(f"the file's frames make no volume ({str(error).partition(': ')[2]}): this is frame {number} in it")
        return Photo(picture, f"{path.name}#{number}", f"{source}#{number}", tuple(said), channels=1, measured=measured)
    if number >= volume.size[0]:
        raise ImageError(
            f"cannot read '{source}#{number}': it holds {volume.size[0]} slices, 0 to {volume.size[0] - 1}"
        )
    measured = volume.measured.of(number)
    pixels = Image.fromarray(measured.picture()).convert("RGB")
    name = f"{volume.name}#{number}"
    notes = (*volume.notes, *(proportions(*volume.spacing[1:]) if volume.spacing else ()))
    return Photo(pixels, name, f"{source}#{number}", notes, channels=1, measured=measured)


def _decoded(read: Any, name: str, path: Path | Held | None = None) -> Photo:
    """What ``read`` gives; whatever a decoder raises becomes one `ImageError`."""
    try:
        photo: Photo = read()
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        start = path.open("rb").read(12) if path else b""
        raise ImageError(
            f"cannot read {name}: no picture format that Pillow knows; it starts with {start!r}"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"cannot read {name}: {_bomb(error)}") from error
    except Exception as error:  # decoders of damaged files raise anything from SyntaxError to struct.error
        raise ImageError(f"cannot read {name}: damaged or incomplete ({reason(error)})") from error
    return photo


def _bomb(error: Exception) -> str:
    match = re.search(r"\((\d+) pixels\)", str(error))
    size = f"{int(match[1]) / 1e6:.0f} megapixels" if match else one_line(error)
    limit = f"{2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f}"
    return f"{size}, more than Pillow's limit of {limit}; make it smaller first"


def _photo(image: Image.Image, name: str, path: str | None) -> Photo:
    notes = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        moving = image.format in _MOVING
        what = "animated, {} frames" if moving else "{} pictures in one file"
        here = image.tell()  # a picture in hand may stand at a later frame: that one was meant
        notes.append(f"{what.format(frames)}: {f'number {here + 1}' if here else 'the first'} is explained")
    image.load()
    try:
        turned = image.getexif().get(_ORIENTATION, 1) not in (0, 1)
        image = ImageOps.exif_transpose(image) if turned else image
    except Exception as error:  # a broken EXIF block says nothing about the pixels
        notes.append(f"the EXIF block cannot be read, taken as upright ({reason(error, 80)})")
    pixels, more = to_rgb(image)
    bands = np.array(image) if image.mode in _FOUR else None
    return Photo(pixels, name, path, (*notes, *more), bands, len(image.getbands()))


def _verify_png(image: Image.Image, data: bytes) -> None:
    """Checksums of every chunk, on a second look at the file: verifying uses an image up."""
    if image.format == "PNG":
        with Image.open(io.BytesIO(data)) as again:
            again.verify()


class _Strict(io.BytesIO):
    """A file that refuses to end while a decoder still wants data."""

    strict = False

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if self.strict and not data and size != 0:
            raise OSError("image file is truncated")
        return data
