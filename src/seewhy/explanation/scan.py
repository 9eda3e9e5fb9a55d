"""The volume under a map: voxels as they are drawn, and where they are; never reads a file and draws nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Scan"]

#: what voxels are taken to be like where nobody knows how far apart they are
_CUBES = (1.0, 1.0, 1.0)

#: the ends of the axes that places are counted along
_ENDS = ("the patient's right", "front", "head")


@dataclass(frozen=True, eq=False)
class Scan:
    """What a model saw of a volume: ``voxels`` uint8 [D, H, W] in grey, ``spacing`` in millimetres along each axis, and
    the ``affine`` [4, 4] from an index (d, h, w, 1) to millimetres towards the patient's right, front and head; None
    where nobody knows.

    Raises `UsageError` for voxels of another shape or type, a spacing that is not three positive numbers, and an affine
    that is not 4 x 4.

    >>> Scan(np.zeros((2, 4, 4), dtype=np.uint8), (3.0, 1.0, 1.0)).sides
    (3.0, 1.0, 1.0)
    """

    voxels: NDArray[np.uint8]
    spacing: tuple[float, float, float] | None = None
    affine: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.voxels.dtype != np.uint8 or self.voxels.ndim != len(_CUBES):
            raise UsageError(f"a scan's voxels are uint8 (D, H, W); got {self.voxels.dtype} {self.voxels.shape}")
        spacing: Any = self.spacing
        if spacing is not None and (len(spacing) != len(_CUBES) or not all(0 < side < np.inf for side in spacing)):
            raise UsageError(f"a scan's spacing is three numbers of millimetres, all above 0; got {spacing}")
        if self.affine is not None and (self.affine.shape != (4, 4) or not np.isfinite(self.affine).all()):
            raise UsageError(f"a scan's affine is 4 x 4 finite numbers; got {self.affine.shape}")

    @property
    def sides(self) -> tuple[float, float, float]:
        """The sides of a voxel, in millimetres, or in voxels where nobody knows."""
        return self.spacing or _CUBES

    @property
    def ends(self) -> tuple[str, str, str] | None:
        """What each axis is drawn from: the patient's right, front or head, or what is nearest to that."""
        if self.affine is None:
            return None
        depth, height, width = (_ENDS[int(np.abs(column).argmax())] for column in self.affine[:3, :3].T)
        return depth, height, width

    @property
    def towards_ras(self) -> tuple[bool, bool, bool]:
        """Of each axis, whether it grows towards the patient's right, front or head: it is drawn from its end."""
        if self.affine is None:
            return False, False, False
        columns = self.affine[:3, :3].T
        depth, height, width = (bool(column[np.abs(column).argmax()] > 0) for column in columns)
        return depth, height, width
