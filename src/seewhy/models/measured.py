"""Measured values: takes what a scanner counted and which of it is to be seen, gives the picture of it; never reads a
file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["MOST_VOXELS", "RAW", "Measured", "Places", "Values", "check_values"]

#: values that may become an input: a gigabyte of float32
MOST_VOXELS = 1 << 28

#: the word for values as they are in the file
RAW = "raw"

#: what of a file's values a network is given: None (the picture of them), ``"raw"``, or those from low to high
Values = str | tuple[float, float] | None


def check_values(values: Any) -> None:
    """Raise `UsageError` for what cannot be `Values`."""
    if values is None or values == RAW:
        return
    pair = isinstance(values, tuple) and len(values) == 2
    if not pair or not np.isfinite(np.asarray(values, dtype=float)).all() or not values[0] < values[1]:
        raise UsageError(
            f"values={values!r}: {RAW!r} for the file's values as they are, or those that become 0 and 1, the smaller "
            "one first, as in values=(-1000, 400)"
        )


@dataclass(frozen=True, eq=False)
class Measured:
    """Values that somebody measured, such as Hounsfield units: ``values`` float32 [H, W] or [D, H, W], their ``unit``,
    and the window of them that pictures show, black at ``low`` and white at ``high``, which comes from ``source``.

    A ``sigmoid`` window goes smoothly over its ends; of an ``inverted`` one (DICOM's MONOCHROME1) low values are
    bright. A ``table`` of greys from 0 to 1, one for every whole number from ``low`` to ``high``, takes the place of
    the window.

    >>> Measured(np.array([[-200.0, 40.0, 300.0]]), "HU", -160, 240).picture().tolist()
    [[0, 128, 255]]
    """

    values: NDArray[np.float32]
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    source: str = "the smallest and the largest"
    sigmoid: bool = False
    inverted: bool = False
    table: NDArray[np.float64] | None = None

    def shares(self, given: Values = None) -> NDArray[np.float32]:
        """The values in the window as numbers from 0 to 1; of ``given`` (low, high) those, never inverted."""
        low, high = (self.low, self.high) if given is None or isinstance(given, str) else given
        span = high - low
        values = self.values
        if self.table is not None and given is None:
            shares = self.table[np.clip(np.rint(values) - low, 0, len(self.table) - 1).astype(np.intp)]
        elif not span > 0:
            shares = (values > low).astype(np.float32)
        elif self.sigmoid and given is None:
            # PS3.3 C.11.2.1.3.1, of the centre (low + high) / 2 and the width high - low
            with np.errstate(over="ignore"):
                shares = 1 / (1 + np.exp(-4 * (values - (low + high) / 2) / span))
        else:
            shares = np.clip((values - low) / span, 0, 1)
        return np.asarray(1 - shares if self.inverted and given is None else shares, dtype=np.float32)

    def picture(self, given: Values = None) -> NDArray[np.uint8]:
        """The values in the window as grey from 0 to 255; uint8, of the shape of ``values``."""
        return np.asarray(np.rint(self.shares(None if given == RAW else given) * 255), dtype=np.uint8)

    def as_given(self, given: Values = None) -> NDArray[np.float32]:
        """What a network is given of them before mean and standard deviation: numbers from 0 to 1, of the picture where
        nothing else is asked for, or with ``"raw"`` the values."""
        if given == RAW:
            return self.values
        if given is None:
            return np.asarray(self.picture() / np.float32(255), dtype=np.float32)
        return self.shares(given)

    def note(self, given: Values = None) -> str:
        """What the network is given, and what the picture shows, in a sentence."""
        unit = f" {self.unit}" if self.unit else ""
        shown = f"{self.low:.6g}..{self.high:.6g}{unit} ({self.source}) as 0..255"
        turned = ", low values bright (MONOCHROME1)" if self.inverted else ""
        if given is None:
            return (
                f"the network is given the picture of the file's values, {shown}{turned}; --values raw, in Python "
                "Preprocess(values='raw'), gives it the values themselves"
            )
        if isinstance(given, str):
            return f"the network is given the file's values{unit and f' in{unit}'}; the picture shows {shown}{turned}"
        kept = " (MONOCHROME1: they are not inverted)" if self.inverted else ""
        return f"the network is given the file's values, {given[0]:.6g}..{given[1]:.6g}{unit} as 0 to 1{kept}"

    def of(self, index: int) -> Measured:
        """Those of one slice."""
        return replace(self, values=self.values[index])

    def permuted(self, axes: Sequence[int]) -> Measured:
        """With the axes in another order."""
        return replace(self, values=np.ascontiguousarray(self.values.transpose(axes)))


@dataclass(frozen=True, eq=False)
class Places:
    """Where voxels [D, H, W] are: millimetres from one to the next along each axis, and the matrix from an index (d, h,
    w, 1) to the patient's right, front and head in millimetres; None where the file does not say."""

    spacing: tuple[float, float, float] | None = None
    affine: NDArray[np.float64] | None = None
