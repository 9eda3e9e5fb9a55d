"""NIfTI out: takes an explanation of a volume, gives a file that lies where the input lies; never says who that was."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seewhy.errors import UsageError
from seewhy.render import write_bytes

if TYPE_CHECKING:
    import os

    from seewhy.explanation.result import Explanation

__all__ = ["SUFFIXES", "save"]

SUFFIXES = (".nii", ".nii.gz")
_MILLIMETRES = 2


def save(explanation: Explanation, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """The file written: `Explanation.volume` with the axes backwards, [W, H, D], as NIfTI has them, and the place of
    its voxels as far as it is known. Raises `UsageError` where there is no volume, without nibabel, and for a file that
    exists already unless ``force``."""
    volume = explanation.volume
    try:
        import nibabel
    except ImportError:
        raise UsageError("writing NIfTI files takes nibabel: pip install 'seewhy[medical]'") from None
    scan = explanation.scan
    affine = None if scan is None or scan.affine is None else scan.affine[:, [2, 1, 0, 3]]
    make: Any = nibabel.Nifti1Image
    image = make(volume.transpose(2, 1, 0), affine)
    if scan is not None and scan.spacing is not None:
        image.header.set_zooms(scan.spacing[::-1])
        image.header["xyzt_units"] = _MILLIMETRES
    image.header["descrip"] = f"seewhy {explanation.method}"[:79].encode("ascii", "replace")
    data = image.to_bytes()
    packed = Path(path).suffix.lower() == ".gz"
    return write_bytes(gzip.compress(data, mtime=0) if packed else data, path, force=force)
