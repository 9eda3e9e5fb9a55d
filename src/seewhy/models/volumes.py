"""Volumes: takes a NIfTI file, a folder of DICOM slices or a file of several, gives values [D, H, W] with where they
are; never resamples them."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import ImageError
from seewhy.models import _dicom_file, _nifti
from seewhy.models._dicom_series import read_series
from seewhy.models._missing_files import missing_file
from seewhy.models.measured import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["SUFFIXES", "Volume", "holds_series", "is_scan", "read_volume", "slice_of"]

#: what names of files end in that hold volumes, or slices of them
SUFFIXES = (*_nifti.SUFFIXES, ".dcm")


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume as a scanner measured it: ``measured`` values [D, H, W], what it is called, ``spacing`` in millimetres
    along each axis and the ``affine`` [4, 4] from an index (d, h, w, 1) to millimetres towards the patient's right,
    front and head; None where nobody knows. Each of ``notes`` is one sentence about something that they do not show.
    """

    measured: Measured
    name: str
    path: str | None = None
    spacing: tuple[float, float, float] | None = None
    affine: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int, int]:
        """(D, H, W)."""
        depth, height, width = self.measured.values.shape
        return depth, height, width

    def permuted(self, axes: Sequence[int]) -> Volume:
        """The same volume with its axes in another order."""
        spacing, affine = self.spacing, self.affine
        first, second, third = axes
        return replace(
            self,
            measured=self.measured.permuted(axes),
            spacing=None if spacing is None else (spacing[first], spacing[second], spacing[third]),
            affine=None if affine is None else affine[:, [*axes, 3]],
        )

    def resampled(self, measured: Measured, factors: Sequence[float], start: Sequence[float]) -> Volume:
        """The same place with other voxels: ``factors`` of the old ones long each, the first of them beginning at the
        edge ``start``, in old voxels."""
        spacing, affine = self.spacing, self.affine
        if spacing is not None:
            depth, height, width = (side * factor for side, factor in zip(spacing, factors, strict=True))
            spacing = depth, height, width
        if affine is not None:
            # the middle of new voxel n is at start + (n + 1/2) factor from the old edge, which is at -1/2
            into = np.diag([*factors, 1.0])
            into[:3, 3] = [at + factor / 2 - 0.5 for at, factor in zip(start, factors, strict=True)]
            affine = affine @ into
        return replace(self, measured=measured, spacing=spacing, affine=affine)


def is_scan(source: Any) -> bool:
    """Whether ``source`` is the path of a volume: a NIfTI file, a folder with DICOM files, a DICOM file of several
    slices.

    >>> is_scan("photo.jpg")
    False
    """
    if not isinstance(source, str | Path):
        return False
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return holds_series(path)
        if _nifti.is_nifti(path):
            return path.is_file()
        return _dicom_file.is_dicom(path) and _dicom_file.frames_of(path) > 1
    except (OSError, ValueError, RuntimeError):  # a name too long, a NUL in it, nobody's home: no volume
        return False


def holds_series(folder: Path) -> bool:
    """Whether DICOM files lie in a folder itself, and no pictures among them."""
    try:
        files = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError:  # a folder that may not be listed: whoever reads it says so
        return False
    photos = any((mimetypes.guess_type(path.name)[0] or "").startswith("image/") for path in files)
    return not photos and any(map(_dicom_file.is_dicom, files))


def read_volume(source: str | Path) -> Volume:
    """The volume at a path: a NIfTI file (``.nii``, ``.nii.gz``), a folder that holds the DICOM slices of one series,
    or a DICOM file of several slices.

    Values are rescaled as the file says (Hounsfield units of a CT), float32 [D, H, W]. DICOM slices are in the order
    of their places along their normal, with rows and columns as they are; the axes of NIfTI files grow towards head,
    front and right. Volumes of more than 268 million values are refused. Raises `ImageError` for what cannot be read,
    and `UsageError` where pydicom or nibabel is missing.
    """
    text, path = str(source), Path(source).expanduser()
    if missing := missing_file(path):
        raise ImageError(f"cannot read {text!r}: {missing}")
    if _nifti.is_nifti(path):
        measured, places, notes = _nifti.read_nifti(path, repr(text))
    else:
        files = _dicom_file.files_in(path) if path.is_dir() else [path]
        if not files:
            raise ImageError(
                f"cannot read {text!r}: no DICOM files in this folder; name one with the slices of a series"
            )
        measured, places, notes = read_series(files, repr(text))
    return Volume(measured, path.name, text, places.spacing, places.affine, tuple(notes))


def slice_of(text: str) -> tuple[str, int] | None:
    """The volume and the number that ``scan.nii.gz#12`` means, where there is such a volume and no file of that name;
    None for all else."""
    match = re.fullmatch(r"(.+)#(\d+)", text)
    return (match[1], int(match[2])) if match and is_scan(match[1]) and not Path(text).exists() else None
