"""A DICOM file: takes a path, gives what the file says of its picture, checked, and its stored values; never runs what
is in it, and repeats nothing of what it says about a person.

Frames of one file are told apart as PS3.3 C.7.6.16 says.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import ImageError, UsageError
from seewhy.models._quiet import quiet
from seewhy.models.measured import MOST_VOXELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from seewhy.models._held import Held

__all__ = [
    "check_size", "files_in", "frames_in", "frames_of", "header_of", "is_dicom", "library", "of_frame", "pixels_of",
    "safely", "vector", "whole",
]  # fmt: skip

#: what one file may hold
MOST_BYTES = 2 << 30

_MAGIC_AT, _MAGIC = 128, b"DICM"
_SUFFIXES = (".dcm", ".dicom")
#: what lists the files of a medium, and is none of them
_LISTING = "DICOMDIR"


def is_dicom(path: Path | Held) -> bool:
    """Whether a file calls itself one, by its name or by its first bytes."""
    if path.name.upper() == _LISTING or not path.is_file():
        return False
    if path.suffix.lower() in _SUFFIXES:
        return True
    kind = mimetypes.guess_type(path.name)[0] or ""
    if kind.startswith(("image/", "video/")):  # a folder of photos is not opened file by file
        return False
    try:
        with path.open("rb") as file:
            return file.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC
    except OSError:
        return False


def files_in(folder: Path) -> list[Path]:
    """The DICOM files that lie in a folder itself, by name."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and is_dicom(path))


def frames_of(path: Path) -> int:
    """How many pictures a file says that it holds."""
    return frames_in(header_of(path, repr(str(path))))


def library() -> Any:
    """pydicom; raises `UsageError` where it is missing."""
    try:
        import pydicom
    except ImportError:
        raise UsageError("reading DICOM files takes pydicom: pip install 'seewhy[medical]'") from None
    return pydicom


@contextmanager
def safely(name: str) -> Iterator[None]:
    """Whatever a damaged file makes of a reader is one `ImageError`, without what the reader says of it: its words
    quote the file's, names of people among them."""
    try:
        with quiet():
            yield
    except (ImageError, UsageError, MemoryError):
        raise
    except Exception as error:
        raise ImageError(f"cannot read {name}: damaged or incomplete DICOM ({type(error).__name__})") from error


def header_of(path: Path | Held, name: str) -> Any:
    """What a file says of its picture, checked, before any pixel is read."""
    pydicom = library()
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ImageError(f"cannot read {name}: {size / 2**30:.1f} GiB; DICOM files up to {MOST_BYTES >> 30} GiB are")
    with safely(name):
        meta = None
        with path.open("rb") as file:
            if file.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC:
                # group 2 stands there uncompressed, in explicit form, whatever follows it
                meta = pydicom.filereader.read_dataset(
                    file, False, True, stop_when=lambda tag, vr, length: tag.group > 2
                )
        if getattr(
            getattr(meta, "TransferSyntaxUID", None), "is_deflated", False
        ):  # unpacked whole before anything of it can be looked at
            raise ImageError(f"cannot read {name}: a deflated DICOM file; save it uncompressed (dcmconv +te)")
        header = _parsed(path, stop_before_pixels=True)
        shape = [getattr(header, word, None) for word in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
        if not all(isinstance(number, int) and number > 0 for number in shape):
            raise ImageError(f"cannot read {name}: this DICOM file holds no picture (no rows, columns and bits)")
        check_size(frames_in(header), header.Rows, header.Columns, name)
    return header


def _parsed(path: Path | Held, **words: bool) -> Any:
    """What pydicom makes of a file; of one without a mark where its name says that it is one."""
    with path.open("rb") as file:
        return library().dcmread(file, force=path.suffix.lower() in _SUFFIXES, **words)


def check_size(frames: int, rows: int, columns: int, name: str) -> None:
    """Refuse, by `ImageError`, more values than may become an input."""
    if frames * rows * columns > MOST_VOXELS:
        raise ImageError(
            f"cannot read {name}: {frames} x {rows} x {columns} values, more than {MOST_VOXELS / 1e6:.0f} million; "
            "make it smaller first"
        )


def frames_in(header: Any) -> int:
    """How many pictures a header says that its file holds, at least one."""
    return max(1, int(getattr(header, "NumberOfFrames", None) or 1))


def whole(path: Path | Held, name: str) -> Any:
    """The file with its pixels, if something can decode them."""
    pydicom = library()
    with safely(name):
        data = _parsed(path)
        if not any(word in data for word in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
            raise ImageError(f"cannot read {name}: this DICOM file holds no picture (no pixel data)")
        syntax = getattr(data.file_meta, "TransferSyntaxUID", None)
        if syntax is None:
            syntax = data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        try:
            decodes = not syntax.is_compressed or pydicom.pixels.get_decoder(syntax).is_available
        except NotImplementedError:
            decodes = False
        if not decodes:
            raise ImageError(
                f"cannot read {name}: its pixels are compressed ({syntax.name}), and nothing here decodes that: pip "
                "install 'pylibjpeg[all]', or save it uncompressed"
            )
    return data


def pixels_of(data: Any, name: str) -> NDArray[Any]:
    """Stored values [H, W], [N, H, W], or with colours last, as RGB."""
    pydicom = library()
    with safely(name):
        return np.asarray(pydicom.pixels.pixel_array(data, raw=False))


def of_frame(data: Any, frame: int, group: str, keyword: str) -> Any:
    """What a file says of one of its frames: there, of all of them together, or of the file."""
    for groups, at in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        held = getattr(data, groups, None)
        inner = getattr(held[at], group, None) if held and at < len(held) else None
        if inner and keyword in inner[0]:
            return getattr(inner[0], keyword)
    return getattr(data, keyword, None)


def vector(given: Any, length: int) -> NDArray[np.float64] | None:
    """Several numbers as a vector of that ``length``; None for anything else, and where one is not finite."""
    if given is None or isinstance(given, str) or not isinstance(given, Iterable):
        return None
    numbers = np.array([float(number) for number in given], dtype=np.float64)
    return numbers if numbers.shape == (length,) and np.isfinite(numbers).all() else None
