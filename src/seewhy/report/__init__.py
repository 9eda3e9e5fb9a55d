"""Takes explanations and a folder, gives files in it; never computes a map and never overwrites unasked."""

from __future__ import annotations

from seewhy.report.contact import ContactSheet, strip
from seewhy.report.folder import FORMATS, GALLERY_FORMATS, NUMBERS, Folder
from seewhy.report.record import Record, question_of

__all__ = ["FORMATS", "GALLERY_FORMATS", "NUMBERS", "ContactSheet", "Folder", "Record", "question_of", "strip"]
