"""Takes arrays, gives pixels, figures and picture files; never touches a model or a tensor."""

from __future__ import annotations

from seewhy.render.bars import Colorbar
from seewhy.render.card import card
from seewhy.render.colormaps import DIVERGING, SEQUENTIAL, colormap, colormap_names, hues, lightness
from seewhy.render.embedded import embedded
from seewhy.render.figure import Cell, caption, grid, grid_pdf, grid_svg
from seewhy.render.files import SUFFIXES, check, write, write_bytes
from seewhy.render.heatmap import MODES, Mode, greyed, heatmap, overlay, relief, side_by_side, tinted
from seewhy.render.kernels import kernel
from seewhy.render.scale import ENLARGEMENTS, PERCENTILE, limits, resize, stretch
from seewhy.render.sheet import png

__all__ = [
    "DIVERGING",
    "ENLARGEMENTS",
    "MODES",
    "PERCENTILE",
    "SEQUENTIAL",
    "SUFFIXES",
    "Cell",
    "Colorbar",
    "Mode",
    "caption",
    "card",
    "check",
    "colormap",
    "colormap_names",
    "embedded",
    "greyed",
    "grid",
    "grid_pdf",
    "grid_svg",
    "heatmap",
    "hues",
    "kernel",
    "lightness",
    "limits",
    "overlay",
    "png",
    "relief",
    "resize",
    "side_by_side",
    "stretch",
    "tinted",
    "write",
    "write_bytes",
]
