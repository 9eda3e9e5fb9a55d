"""Takes explanations and a folder, gives files in it; never computes a map and never overwrites unasked."""

from __future__ import annotations

from seewhy.reports.contact import ContactSheet, strip, tiles_strip
from seewhy.reports.folder import FORMATS, GALLERY_FORMATS, NUMBERS, Folder

__all__ = ["FORMATS", "GALLERY_FORMATS", "NUMBERS", "ContactSheet", "Folder", "strip", "tiles_strip"]
