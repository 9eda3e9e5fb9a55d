"""DICOM series: takes files of one slice each, or one of several frames, gives the volume that they make, where its
voxels are, and notes; never guesses a place.

Places of slices stand in PS3.3 C.7.6.2, those of frames in C.7.6.16.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import ImageError
from seewhy.models._dicom import measured_of, pixel_spacing
from seewhy.models._dicom_file import check_size, frames_in, header_of, of_frame, pixels_of, safely, vector, whole
from seewhy.models.measured import Measured, Places

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["NoVolume", "read_series"]

#: part of a step between slices that may be rounding
_EVEN = 0.01
#: how far from parallel directions may be
_PARALLEL = 1e-3
#: the patient's left, back and head, in which DICOM counts, in right, front and head
_TO_RAS = np.array([-1.0, -1.0, 1.0])
#: what is said where nobody knows how far apart voxels are
_UNKNOWN = "the file does not say how far apart its voxels are: cuts are drawn as if they were cubes"


def read_series(files: Sequence[Path], name: str) -> tuple[Measured, Places, list[str]]:
    """The volume that files of one slice each make, or the frames of one file: values [D, H, W] in the order of their
    places, where they are, and notes.

    Raises `ImageError` for slices that make no volume, each reason in one line, and `UsageError` without pydicom.
    """
    with safely(name):
        headers = [header_of(path, repr(str(path))) for path in files]
        several = [path for path, header in zip(files, headers, strict=True) if frames_in(header) > 1]
        if several and len(files) > 1:
            raise ImageError(f"cannot read {name}: {several[0].name!r} holds a volume by itself; give that file alone")
        _check_alike(files, headers, name)
        rows, columns = headers[0].Rows, headers[0].Columns
        check_size(len(files) if not several else frames_in(headers[0]), rows, columns, name)
        slices: list[_Slice] = []
        for path, header in zip(files, headers, strict=True):
            pixels = pixels_of(whole(path, repr(str(path))), repr(str(path)))
            frames = pixels if frames_in(header) > 1 else pixels[None]
            slices += [
                _Slice(path.name, header, n, measured_of(frame, header, name, n)) for n, frame in enumerate(frames)
            ]
        ordered, places, notes = _in_place(slices, name)
        return _together([each.measured for each in ordered], notes), places, notes


class NoVolume(ImageError):
    """Slices can be read, one by one, and make no volume."""


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
        return vector(of_frame(self.data, self.frame, "PlanePositionSequence", "ImagePositionPatient"), 3)

    @property
    def direction(self) -> NDArray[np.float64] | None:
        """Unit vectors [2, 3] along a row and along a column."""
        given = vector(of_frame(self.data, self.frame, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
        return None if given is None or not given.any() else given.reshape(2, 3)


def _check_alike(files: Sequence[Path], headers: Sequence[Any], name: str) -> None:
    """Refuse files that are not slices of one series."""
    series: dict[str, list[str]] = {}
    sizes: dict[str, list[str]] = {}
    spacings: dict[str, list[str]] = {}
    kinds: dict[str, list[str]] = {}
    for path, header in zip(files, headers, strict=True):
        series.setdefault(str(getattr(header, "SeriesInstanceUID", "")), []).append(path.name)
        sizes.setdefault(f"{header.Rows} x {header.Columns}", []).append(path.name)
        if (sides := pixel_spacing(header, 0)) is not None:
            spacings.setdefault(f"{sides[0]:.3g} x {sides[1]:.3g} mm", []).append(path.name)
        inverted = getattr(header, "PhotometricInterpretation", "") == "MONOCHROME1"
        kinds.setdefault("low values bright" if inverted else "low values dark", []).append(path.name)
    if len(series) > 1:
        told = " and ".join(f"{len(names)} ({names[0]!r}...)" for names in list(series.values())[:2])
        raise ImageError(f"cannot read {name}: it holds {len(series)} series, of {told} files; a folder for each")
    for what, those, found in (
        ("sizes", "size", sizes),
        ("sizes of pixels", "size of pixels", spacings),
        ("kinds", "kind", kinds),
    ):
        if len(found) > 1:
            told = " and ".join(f"{one} ({names[0]!r})" for one, names in list(found.items())[:2])
            raise ImageError(f"cannot read {name}: slices of {len(found)} {what}, {told}; keep those of one {those}")


def _in_place(slices: list[_Slice], name: str) -> tuple[list[_Slice], Places, list[str]]:
    """Slices in the order of their places along the normal of the first, where the voxels are, and notes."""
    first = slices[0]
    inside, direction = pixel_spacing(first.data, first.frame), first.direction
    positions = [each.position for each in slices]
    known = [position for position in positions if position is not None]
    if direction is None or len(known) < len(slices):
        return _by_number(slices, inside)
    for each in slices:
        if each.direction is None or np.abs(each.direction - direction).max() > _PARALLEL:
            raise NoVolume(
                f"cannot read {name}: slices that are not parallel, {_told(first, each, name)}; keep those of one "
                "direction"
            )
    normal = np.cross(direction[0], direction[1])
    along = np.array([float(position @ normal) for position in known])
    order = np.argsort(along, kind="stable")
    ordered, steps = [slices[n] for n in order], np.diff(along[order])
    if len(slices) == 1:
        thick = of_frame(first.data, first.frame, "PixelMeasuresSequence", "SliceThickness")
        spacing, step = float(thick or 0), normal * float(thick or 0)
    else:
        twice = int(steps.argmin())
        if steps[twice] <= _EVEN * max(float(np.median(steps)), 1e-6):
            both = _told(ordered[twice], ordered[twice + 1], name)
            raise NoVolume(
                f"cannot read {name}: two slices at one place, {both}: several times or echoes in one series; keep one "
                "of each"
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
    straight = known[order[0]] + np.arange(len(slices))[:, None] * step
    aside = np.stack([known[n] for n in order]) - straight
    aside -= (aside @ normal)[:, None] * normal
    if (most := float(np.linalg.norm(aside, axis=1).max())) > float(inside.min()):
        notes.append(
            f"slices are shifted against each other, by up to {most:.3g} mm; they are drawn one behind the other"
        )
    affine = np.eye(4)
    columns = (step, direction[1] * inside[0], direction[0] * inside[1])
    affine[:3, :3] = np.stack(columns, 1) * _TO_RAS[:, None]
    affine[:3, 3] = known[order[0]] * _TO_RAS
    return ordered, Places((spacing, float(inside[0]), float(inside[1])), affine), notes


def _told(one: _Slice, other: _Slice, name: str) -> str:
    """Two slices by the names of their files, or by what each is called as a picture where they are of one file."""
    if one.name != other.name:
        return f"{one.name!r} and {other.name!r}"
    return f"{name[:-1]}#{one.frame}' and {name[:-1]}#{other.frame}'"


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
    if not alike and any(each.source != Measured.source for each in slices):
        notes.append("slices have windows of their own: pictures show all of them in one")
    values = np.stack([each.values for each in slices])
    tables = [each.table for each in slices if each.table is not None]
    if alike and (not tables or all(np.array_equal(table, tables[0]) for table in tables)):
        return replace(first, values=values)
    return replace(first, values=values, low=low, high=high, sigmoid=False, table=None)
