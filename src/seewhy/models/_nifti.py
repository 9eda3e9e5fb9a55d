"""NIfTI: takes a ``.nii`` or ``.nii.gz`` file, gives its values [D, H, W] in one orientation, where they are, and
notes; never believes a size before it has looked at it.

The axes are turned and swapped, nothing is interpolated: to the nearest of right, front, head (nibabel's closest
canonical, RAS+), and then read backwards, so that D grows towards the head, H towards the front and W towards the
patient's right.
"""

from __future__ import annotations

import gzip
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import ImageError, UsageError
from seewhy.models._quiet import quiet
from seewhy.models.measured import MOST_VOXELS, Measured, Places

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["SUFFIXES", "is_nifti", "read_nifti"]

SUFFIXES = (".nii", ".nii.gz")

#: bytes of the two headers, and how they end
_HEADERS = {348: (344, (b"n+1\0",)), 540: (4, (b"n+2\0",))}
#: where values may begin at the latest: what comes before, a file's own extensions, is read whole
_LATEST = 1 << 24
#: millimetres of a unit of length, by its number in the header
_MILLIMETRES = {1: 1000.0, 3: 0.001}


def is_nifti(path: Path) -> bool:
    """Whether a file calls itself one."""
    return path.name.lower().endswith(SUFFIXES)


def read_nifti(path: Path, name: str) -> tuple[Measured, Places, list[str]]:
    """The volume in a file. Raises `ImageError` for what cannot be read, `UsageError` without nibabel."""
    try:
        import nibabel
    except ImportError:
        raise UsageError("reading NIfTI files takes nibabel: pip install 'seewhy[medical]'") from None
    try:
        zooms = _check(path, name, nibabel)
        library: Any = nibabel
        image = library.load(path)
        header = image.header
        # a turn alone says nothing of lengths
        oriented = int(header["sform_code"]) > 0 or (int(header["qform_code"]) > 0 and bool((zooms > 0).all()))
        unit = _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
        image = image.slicer[..., *(0,) * (image.ndim - 3)] if image.ndim > 3 else image
        image = library.as_closest_canonical(image) if oriented else image
        with quiet():
            values = np.ascontiguousarray(np.asarray(image.dataobj).transpose(2, 1, 0), dtype=np.float32)
    except (ImageError, UsageError, MemoryError):
        raise
    except Exception as error:  # readers of damaged files raise anything, and quote what is in them
        raise ImageError(f"cannot read {name}: damaged or incomplete NIfTI ({type(error).__name__})") from error
    if not np.isfinite(values).all():
        raise ImageError(f"cannot read {name}: values that are NaN or infinite; replace them first (numpy.nan_to_num)")
    places, notes = _places(np.asarray(image.affine, dtype=np.float64), zooms, unit, oriented=oriented)
    return _shown(values, header), places, notes


def _places(
    affine: NDArray[np.float64], zooms: NDArray[np.float64], unit: float, *, oriented: bool
) -> tuple[Places, list[str]]:
    """Where voxels [D, H, W] are, of the file's own matrix for [W, H, D]."""
    if oriented and np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0:
        turned = affine[:, [2, 1, 0, 3]].copy()
        turned[:3] *= unit
        spacing = np.linalg.norm(turned[:3, :3], axis=0)
        return Places((float(spacing[0]), float(spacing[1]), float(spacing[2])), turned), []
    notes = ["the file does not say which way it lies: its axes are read backwards, as [D, H, W]"]
    if not (np.isfinite(zooms).all() and (zooms > 0).all()):
        return Places(), [*notes, "it does not say how far apart its voxels are: cuts are drawn as if they were cubes"]
    sides = zooms[::-1] * unit
    return Places((float(sides[0]), float(sides[1]), float(sides[2]))), notes


def _shown(values: NDArray[np.float32], header: Any) -> Measured:
    """The values with the part of them that the file wants shown, or all."""
    low, high = float(header["cal_min"]), float(header["cal_max"])
    if math.isfinite(low) and math.isfinite(high) and low < high:
        return Measured(values, "", low, high, "the file's window")
    return Measured(values, "", float(values.min()), float(values.max()))


def _check(path: Path, name: str, nibabel: Any) -> NDArray[np.float64]:
    """Look at the header before anything is made room for; gives the lengths of voxels, as they are written there:
    nibabel reads 0 as 1."""
    packed = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(max(_HEADERS))
    except (OSError, EOFError, zlib.error) as error:
        raise ImageError(f"cannot read {name}: damaged or incomplete ({type(error).__name__})") from error
    length = next((n for n in _HEADERS for order in ("little", "big") if head[:4] == n.to_bytes(4, order)), 0)
    at, magic = _HEADERS.get(length, (0, ()))
    if len(head) < length or head[at : at + 4] not in magic:
        raise ImageError(f"cannot read {name}: no NIfTI file of header and values in one; it starts with {head[:8]!r}")
    kind = nibabel.nifti1.Nifti1PairHeader if length == min(_HEADERS) else nibabel.nifti2.Nifti2PairHeader
    header = kind(head[:length], check=False)
    shape = tuple(int(side) for side in header.get_data_shape())
    said = " x ".join(map(str, shape))
    if len(shape) < 3 or min(shape, default=0) < 1:
        raise ImageError(f"cannot read {name}: {said or 'no'} values; a volume has three axes")
    if math.prod(shape[3:]) > 1:
        raise ImageError(
            f"cannot read {name}: {math.prod(shape[3:])} volumes in one file ({said}), times or channels; give one, by "
            "nibabel.four_to_three, or all as a float array [C, D, H, W]"
        )
    if math.prod(shape) > MOST_VOXELS:
        raise ImageError(
            f"cannot read {name}: {said} values, more than {MOST_VOXELS / 1e6:.0f} million; make it smaller first"
        )
    if header.get_data_dtype().kind not in "iuf":
        raise ImageError(f"cannot read {name}: values of type {header.get_data_dtype()}; a volume has plain numbers")
    begins = float(header["vox_offset"])
    if not 0 <= begins <= _LATEST:
        raise ImageError(
            f"cannot read {name}: its values begin at byte {begins:.6g}, after more than a file has to say"
        )
    least = math.prod(shape) * header.get_data_dtype().itemsize
    if not packed and path.stat().st_size < least:
        raise ImageError(f"cannot read {name}: damaged or incomplete (its values end after the file does)")
    return np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
