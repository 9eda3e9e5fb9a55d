"""Takes specs, networks and photos, gives Models and Photos; never a method's formula, never a download."""

from __future__ import annotations

from seewhy.models.images import Photo, read_image
from seewhy.models.loader import load, wrap
from seewhy.models.model import Model
from seewhy.models.preprocess import Preprocess

__all__ = ["Model", "Photo", "Preprocess", "load", "read_image", "wrap"]
