"""Takes explanations and a folder, gives files in it; never computes a map and never overwrites unasked."""

from __future__ import annotations

from seewhy.report.folder import FORMATS, GALLERY_FORMATS, Folder

__all__ = ["FORMATS", "GALLERY_FORMATS", "Folder"]
