"""Takes specs, networks and photos, gives Models and Photos; never a method's formula, never a download."""

from __future__ import annotations

from seewhy.models.images import Photo, read_image, read_image_bytes
from seewhy.models.loader import load, wrap
from seewhy.models.model import Model
from seewhy.models.preprocess import Preprocess
from seewhy.models.volumes import Volume, is_scan, read_volume

__all__ = [
    "Model",
    "Photo",
    "Preprocess",
    "Volume",
    "is_scan",
    "load",
    "read_image",
    "read_image_bytes",
    "read_volume",
    "wrap",
]
