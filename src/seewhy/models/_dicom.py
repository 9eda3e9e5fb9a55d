"""DICOM: takes files of one picture or of one series, gives measured values, pictures, places and notes; never runs
what is in them, and repeats nothing of what they say about a person.

What tags mean stands in PS3.3 of the standard: rescaling in C.11.1, windows in C.11.2, places in C.7.6.2, photometric
interpretations in C.7.6.3.1.2, frames of one file in C.7.6.16.
"""

from __future__ import annotations

import math
import mimetypes
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from seewhy.errors import ImageError, UsageError
from seewhy.models._quiet import quiet
from seewhy.models.measured import Measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "MOST_BYTES",
    "MOST_VOXELS",
    "Places",
    "files_in",
    "frames_of",
    "is_dicom",
    "proportions",
    "read_picture",
    "read_series",
]

#: what one file may hold, and what may become an input: a gigabyte of float32
MOST_BYTES, MOST_VOXELS = 2 << 30, 1 << 28

_MAGIC_AT, _MAGIC = 128, b"DICM"
_SUFFIXES = (".dcm", ".dicom")
#: what lists the files of a medium, and is none of them
_LISTING = "DICOMDIR"
#: part of a step between slices that may be rounding
_EVEN = 0.01
#: where a window comes from that nobody gave
_ALL = Measured.source
#: how far from parallel directions may be
_PARALLEL = 1e-3
#: the patient's left, back and head, in which DICOM counts, in right, front and head
_TO_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Places:
    """Where voxels [D, H, W] are: millimetres from one to the next along each axis, and the matrix from an index (d, h,
    w, 1) to the patient's right, front and head in millimetres; None where the file does not say."""

    spacing: tuple[float, float, float] | None = None
    affine: NDArray[np.float64] | None = None


def is_dicom(path: Path) -> bool:
    """Whether a file calls itself one, by its name or by its first bytes."""
    if path.name.upper() == _LISTING or not path.is_file():
        return False
    if path.suffix.lower() in _SUFFIXES:
        return True
    if mimetypes.guess_type(path.name)[0] is not None:  # a folder of photos is not opened file by file
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
    return _frames(_header(path, repr(str(path))))


def read_picture(path: Path, name: str) -> tuple[Image.Image, Measured | None, list[str]]:
    """The picture in a file: 8-bit RGB; the values that it was made of, where it is grey; notes.

    Raises `ImageError` for what cannot be read, `UsageError` without pydicom.
    """
    with _safely(name):
        header = _header(path, name)
        if (frames := _frames(header)) > 1:
            raise ImageError(
                f"cannot read {name} as a picture: it holds {frames} slices; '{path}#{frames // 2}' is the one in "
                "the middle"
            )
        data = _whole(path, name)
        pixels = _pixels(data, name)
        if header.SamplesPerPixel > 1 or header.PhotometricInterpretation == "PALETTE COLOR":
            return _coloured(pixels, data, name), None, []
        measured = _measured(pixels, data, name)
        sides = _Slice(path.name, header, 0, measured).pixel_spacing
        notes = [] if sides is None else proportions(float(sides[0]), float(sides[1]))
        return Image.fromarray(measured.picture()).convert("RGB"), measured, notes


def proportions(high: float, wide: float) -> list[str]:
    """What is to be said of pixels that are so many millimetres high and wide, where they are drawn as squares."""
    if abs(high - wide) <= _EVEN * max(high, wide):
        return []
    return [f"pixels are {high:.3g} mm high and {wide:.3g} mm wide in the file; the picture shows them as squares"]


def read_series(files: Sequence[Path], name: str) -> tuple[Measured, Places, list[str]]:
    """The volume that files of one slice each make, or the frames of one file: values [D, H, W] in the order of their
    places, where they are, and notes.

    Raises `ImageError` for slices that make no volume, each reason in one line, and `UsageError` without pydicom.
    """
    with _safely(name):
        headers = [_header(path, repr(str(path))) for path in files]
        several = [path for path, header in zip(files, headers, strict=True) if _frames(header) > 1]
        if several and len(files) > 1:
            raise ImageError(f"cannot read {name}: {several[0].name!r} holds a volume by itself; give that file alone")
        _check_alike(files, headers, name)
        rows, columns = headers[0].Rows, headers[0].Columns
        _check_size(len(files) if not several else _frames(headers[0]), rows, columns, name)
        slices: list[_Slice] = []
        for path, header in zip(files, headers, strict=True):
            pixels = _pixels(_whole(path, repr(str(path))), repr(str(path)))
            frames = pixels if _frames(header) > 1 else pixels[None]
            slices += [
                _Slice(path.name, header, n, _measured(frame, header, name, n)) for n, frame in enumerate(frames)
            ]
        ordered, places, notes = _in_place(slices, name)
        return _together([each.measured for each in ordered], notes), places, notes


@dataclass(frozen=True, eq=False)
class _Slice:
    """One slice: its file, what that says, which of its frames it is, and its values."""

    name: str
    data: Any
    frame: int
    measured: Measured

    def number(self, keyword: str) -> Any:
        return getattr(self.data, keyword, None)

    @property
    def position(self) -> NDArray[np.float64] | None:
        return _vector(_of_frame(self.data, self.frame, "PlanePositionSequence", "ImagePositionPatient"), 3)

    @property
    def direction(self) -> NDArray[np.float64] | None:
        """Unit vectors [2, 3] along a row and along a column."""
        given = _vector(_of_frame(self.data, self.frame, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
        return None if given is None or not given.any() else given.reshape(2, 3)

    @property
    def pixel_spacing(self) -> NDArray[np.float64] | None:
        """Millimetres between rows, and between columns."""
        given = _vector(_of_frame(self.data, self.frame, "PixelMeasuresSequence", "PixelSpacing"), 2)
        return given if given is not None and (given > 0).all() else None


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError:
        raise UsageError("reading DICOM files takes pydicom: pip install 'seewhy[medical]'") from None
    return pydicom


@contextmanager
def _safely(name: str) -> Iterator[None]:
    """Whatever a damaged file makes of a reader is one `ImageError`, without what the reader says of it: its words
    quote the file's, names of people among them."""
    try:
        with quiet():
            yield
    except (ImageError, UsageError, MemoryError):
        raise
    except Exception as error:
        raise ImageError(f"cannot read {name}: damaged or incomplete DICOM ({type(error).__name__})") from error


def _header(path: Path, name: str) -> Any:
    """What a file says of its picture, checked, before any pixel is read."""
    pydicom = _pydicom()
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ImageError(f"cannot read {name}: {size / 2**30:.1f} GiB; DICOM files up to {MOST_BYTES >> 30} GiB are")
    with _safely(name):
        with path.open("rb") as file:
            told = file.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC
        meta = pydicom.filereader.read_file_meta_info(path) if told else None
        if getattr(
            getattr(meta, "TransferSyntaxUID", None), "is_deflated", False
        ):  # unpacked whole before anything of it can be looked at
            raise ImageError(f"cannot read {name}: a deflated DICOM file; save it uncompressed (dcmconv +te)")
        header = pydicom.dcmread(path, stop_before_pixels=True, force=path.suffix.lower() in _SUFFIXES)
        shape = [getattr(header, word, None) for word in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
        if not all(isinstance(number, int) and number > 0 for number in shape):
            raise ImageError(f"cannot read {name}: this DICOM file holds no picture (no rows, columns and bits)")
        _check_size(_frames(header), header.Rows, header.Columns, name)
    return header


def _check_size(frames: int, rows: int, columns: int, name: str) -> None:
    if frames * rows * columns > MOST_VOXELS:
        raise ImageError(
            f"cannot read {name}: {frames} x {rows} x {columns} values, more than {MOST_VOXELS / 1e6:.0f} million; "
            "make it smaller first"
        )


def _frames(header: Any) -> int:
    return max(1, int(getattr(header, "NumberOfFrames", None) or 1))


def _whole(path: Path, name: str) -> Any:
    """The file with its pixels, if something can decode them."""
    pydicom = _pydicom()
    with _safely(name):
        data = pydicom.dcmread(path, force=path.suffix.lower() in _SUFFIXES)
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


def _pixels(data: Any, name: str) -> NDArray[Any]:
    """Stored values [H, W], [N, H, W], or with colours last, as RGB."""
    pydicom = _pydicom()
    with _safely(name):
        return np.asarray(pydicom.pixels.pixel_array(data, raw=False))


def _coloured(pixels: NDArray[Any], data: Any, name: str) -> Image.Image:
    pydicom = _pydicom()
    kind = str(data.PhotometricInterpretation)
    with _safely(name):
        if kind == "PALETTE COLOR":
            pixels = pydicom.pixels.apply_color_lut(pixels, data)
            most = float(np.iinfo(pixels.dtype).max)
        elif kind.startswith(("RGB", "YBR")):
            most = float((1 << int(data.BitsStored)) - 1)
        else:
            raise ImageError(f"cannot read {name}: colours of kind {kind}; save it as RGB first")
    shares = pixels[..., :3].astype(np.float64) / most
    return Image.fromarray(np.rint(shares.clip(0, 1) * 255).astype(np.uint8))


def _of_frame(data: Any, frame: int, group: str, keyword: str) -> Any:
    """What a file says of one of its frames: there, of all of them together, or of the file."""
    for groups, at in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        held = getattr(data, groups, None)
        inner = getattr(held[at], group, None) if held and at < len(held) else None
        if inner and keyword in inner[0]:
            return getattr(inner[0], keyword)
    return getattr(data, keyword, None)


def _vector(given: Any, length: int) -> NDArray[np.float64] | None:
    if given is None or isinstance(given, str) or not isinstance(given, Iterable):
        return None
    numbers = np.array([float(number) for number in given], dtype=np.float64)
    return numbers if numbers.shape == (length,) and np.isfinite(numbers).all() else None


def _measured(stored: NDArray[Any], data: Any, name: str, frame: int = 0) -> Measured:
    """The values of one frame [H, W], rescaled, and their window."""
    pydicom = _pydicom()
    if stored.ndim != 2:
        raise ImageError(f"cannot read {name} as a volume: its slices are in colour; give each as a picture")
    kind = str(getattr(data, "PhotometricInterpretation", "MONOCHROME2"))
    if not kind.startswith("MONOCHROME"):
        raise ImageError(f"cannot read {name}: one sample a pixel of kind {kind}; save it as MONOCHROME2 first")
    with _safely(name):
        slope = _of_frame(data, frame, "PixelValueTransformationSequence", "RescaleSlope")
        shift = _of_frame(data, frame, "PixelValueTransformationSequence", "RescaleIntercept")
        if "ModalityLUTSequence" in data:
            values = np.asarray(pydicom.pixels.apply_modality_lut(stored, data), dtype=np.float64)
        else:
            values = stored.astype(np.float64) * float(1 if slope is None else slope) + float(shift or 0)
        unit = str(_of_frame(data, frame, "PixelValueTransformationSequence", "RescaleType") or "")
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
    centre = _first(_of_frame(data, frame, "FrameVOILUTSequence", "WindowCenter"))
    width = _first(_of_frame(data, frame, "FrameVOILUTSequence", "WindowWidth"))
    function = str(_of_frame(data, frame, "FrameVOILUTSequence", "VOILUTFunction") or "LINEAR").upper()
    if centre is None or width is None or not width > 0 or (function == "LINEAR" and width < 1):
        return float(values.min()), float(values.max()), _ALL, False
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


def _check_alike(files: Sequence[Path], headers: Sequence[Any], name: str) -> None:
    """Refuse files that are not slices of one series."""
    series: dict[str, list[str]] = {}
    sizes: dict[str, list[str]] = {}
    for path, header in zip(files, headers, strict=True):
        series.setdefault(str(getattr(header, "SeriesInstanceUID", "")), []).append(path.name)
        sizes.setdefault(f"{header.Rows} x {header.Columns}", []).append(path.name)
    if len(series) > 1:
        told = " and ".join(f"{len(names)} ({names[0]!r}...)" for names in list(series.values())[:2])
        raise ImageError(f"cannot read {name}: it holds {len(series)} series, of {told} files; a folder for each")
    if len(sizes) > 1:
        told = " and ".join(f"{size} ({names[0]!r})" for size, names in list(sizes.items())[:2])
        raise ImageError(f"cannot read {name}: slices of {len(sizes)} sizes, {told}; keep those of one size")


def _in_place(slices: list[_Slice], name: str) -> tuple[list[_Slice], Places, list[str]]:
    """Slices in the order of their places along the normal of the first, where the voxels are, and notes."""
    first = slices[0]
    inside, direction = first.pixel_spacing, first.direction
    positions = [each.position for each in slices]
    known = [position for position in positions if position is not None]
    if direction is None or len(known) < len(slices):
        return _by_number(slices, inside)
    for each in slices:
        if each.direction is None or np.abs(each.direction - direction).max() > _PARALLEL:
            raise ImageError(
                f"cannot read {name}: slices that are not parallel, {first.name!r} and {each.name!r}; keep those of "
                "one direction"
            )
    normal = np.cross(direction[0], direction[1])
    along = np.array([float(position @ normal) for position in known])
    order = np.argsort(along, kind="stable")
    ordered, steps = [slices[n] for n in order], np.diff(along[order])
    if len(slices) == 1:
        thick = _of_frame(first.data, first.frame, "PixelMeasuresSequence", "SliceThickness")
        spacing, step = float(thick or 0), normal * float(thick or 0)
    else:
        twice = int(steps.argmin())
        if steps[twice] <= _EVEN * max(float(np.median(steps)), 1e-6):
            raise ImageError(
                f"cannot read {name}: two slices at one place, {ordered[twice].name!r} and {ordered[twice + 1].name!r}"
                ": several times or echoes in one series; keep one of each"
            )
        step = (known[order[-1]] - known[order[0]]) / (len(slices) - 1)
        spacing = float(np.linalg.norm(step))
    notes = []
    if len(steps) and np.ptp(steps) > _EVEN * float(np.median(steps)):
        notes.append(
            f"slices are {steps.min():.3g} to {steps.max():.3g} mm apart (is one missing?); they are taken as "
            f"{spacing:.3g} mm apart"
        )
    if inside is None or not spacing > 0:
        return ordered, Places(), [*notes, _UNKNOWN]
    affine = np.eye(4)
    columns = (step, direction[1] * inside[0], direction[0] * inside[1])
    affine[:3, :3] = np.stack(columns, 1) * _TO_RAS[:, None]
    affine[:3, 3] = known[order[0]] * _TO_RAS
    return ordered, Places((spacing, float(inside[0]), float(inside[1])), affine), notes


#: what is said where nobody knows how far apart voxels are
_UNKNOWN = "the file does not say how far apart its voxels are: cuts are drawn as if they were cubes"


def _by_number(slices: list[_Slice], inside: NDArray[np.float64] | None) -> tuple[list[_Slice], Places, list[str]]:
    """Slices without places: in the order of their numbers, or of their names."""
    numbers = [each.number("InstanceNumber") for each in slices]
    counted = len(slices) > 1 and all(number is not None for number in numbers) and len(set(numbers)) == len(slices)
    ordered = [slices[n] for n in sorted(range(len(slices)), key=lambda n: int(numbers[n]))] if counted else slices
    between = slices[0].number("SpacingBetweenSlices") or slices[0].number("SliceThickness")
    how = "" if len(slices) == 1 else "numbers" if counted else "names" if slices[-1].frame == 0 else "frames"
    notes = [f"the file does not say where its slices are: they are in the order of their {how}"] if how else []
    if inside is None or not between or not float(between) > 0:
        return ordered, Places(), [*notes, _UNKNOWN]
    return ordered, Places((float(between), float(inside[0]), float(inside[1]))), notes


def _together(slices: Sequence[Measured], notes: list[str]) -> Measured:
    """Slices as one volume, with one window for all: where they have their own, from the lowest end to the highest."""
    first = slices[0]
    low, high = min(each.low for each in slices), max(each.high for each in slices)
    alike = all((each.low, each.high, each.source) == (low, high, first.source) for each in slices)
    if not alike and any(each.source != _ALL for each in slices):
        notes.append("slices have windows of their own: pictures show all of them in one")
    values = np.stack([each.values for each in slices])
    tables = [each.table for each in slices if each.table is not None]
    if alike and (not tables or all(np.array_equal(table, tables[0]) for table in tables)):
        return replace(first, values=values)
    return replace(first, values=values, low=low, high=high, sigmoid=False, table=None)
