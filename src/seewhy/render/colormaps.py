"""Takes the name of a colormap, gives its 256 colours; never draws anything.

seewhy's own maps are paths through OKLCh (Ottosson's OKLab in polar form) along which lightness is exactly
linear, so equal steps in value look like equal steps in brightness and survive a grey printer. A colour
that sRGB cannot show keeps its lightness and hue and gives up chroma. Any other name is matplotlib's, when
installed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DIVERGING", "SEQUENTIAL", "colormap", "colormap_names", "hues", "lightness"]

#: the colormap of maps without a sign
SEQUENTIAL = "ember"
#: the colormap of signed maps, centred on zero
DIVERGING = "blue-red"

_Floats = NDArray[np.float64]

_FROM_OKLAB = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_LMS_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)

# (position, chroma, hue in degrees); lightness is the straight line between the two numbers in front
_EMBER = (
    (0.0, 0.07, 292.0),
    (0.22, 0.15, 312.0),
    (0.45, 0.195, 368.0),
    (0.66, 0.18, 403.0),
    (0.84, 0.145, 438.0),
)
_FERN = (
    (0.0, 0.10, 300.0),
    (0.25, 0.10, 262.0),
    (0.5, 0.095, 196.0),
    (0.72, 0.14, 154.0),
    (1.0, 0.17, 108.0),
)


def colormap_names() -> tuple[str, ...]:
    """The names of seewhy's own colormaps, the default first; each also exists reversed, with ``_r``."""
    return tuple(_OWN)


def colormap(name: str) -> NDArray[np.uint8]:
    """The 256 colours of ``name``, uint8 ``[256, 3]``, sRGB, lowest value first; the array is read-only.

    Names that are not seewhy's own are looked up in matplotlib, if it is installed. Raises `UnknownName`.

    >>> colormap("gray")[[0, 255]].tolist()
    [[0, 0, 0], [255, 255, 255]]
    """
    own = name.removesuffix("_r")
    if own not in _OWN:
        return _matplotlib(name)
    table = _table(own)
    return table if own == name else np.flip(table, axis=0)


def lightness(colours: NDArray[Any]) -> _Floats:
    """The OKLab lightness (0 black, 1 white) of uint8 sRGB colours ``[..., 3]``.

    >>> lightness(np.array([[0, 0, 0], [255, 255, 255]], dtype=np.uint8)).round(3).tolist()
    [0.0, 1.0]
    """
    encoded = np.asarray(colours, dtype=np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    lms = np.cbrt(linear @ np.linalg.inv(_LMS_TO_RGB).T)
    return np.asarray((lms @ np.linalg.inv(_FROM_OKLAB).T)[..., 0])


def hues(count: int) -> NDArray[np.uint8]:
    """``count`` colours, uint8 ``[count, 3]``, of one lightness and evenly spread hues.

    >>> hues(6).shape, lightness(hues(6)).round(1).tolist()
    ((6, 3), [0.7, 0.7, 0.7, 0.7, 0.7, 0.7])
    """
    angles = np.deg2rad(25 + 360 * np.arange(count) / max(count, 1))
    rgb = np.clip(_linear_rgb(np.full(count, 0.72), np.full(count, 0.13), angles), 0, 1)
    return np.asarray(np.rint(_encoded(rgb) * 255), dtype=np.uint8)


def _encoded(rgb: _Floats) -> _Floats:
    """Linear light in [0, 1] as sRGB."""
    return np.where(rgb <= 0.0031308, rgb * 12.92, 1.055 * rgb ** (1 / 2.4) - 0.055)


def _linear_rgb(light: _Floats, chroma: _Floats, hue: _Floats) -> _Floats:
    lab = np.stack([light, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    return np.asarray((lab @ _FROM_OKLAB.T) ** 3 @ _LMS_TO_RGB.T)


def _srgb(light: _Floats, chroma: _Floats, hue: _Floats) -> NDArray[np.uint8]:
    """sRGB bytes of OKLCh colours; where sRGB ends, at most the chroma it has at that lightness and hue."""
    low, high = np.zeros_like(chroma), np.full_like(chroma, 0.4)
    for _ in range(40):
        middle = (low + high) / 2
        rgb = _linear_rgb(light, middle, hue)
        inside = ((rgb >= -1e-9) & (rgb <= 1 + 1e-9)).all(axis=-1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    # Running along the edge of sRGB would show its corners as bands: smooth what fits, then fit again.
    window = np.hanning(43)[1:-1]
    padded = np.pad(np.minimum(chroma, low), 20, mode="reflect", reflect_type="odd")
    chroma = np.clip(np.convolve(padded, window / window.sum(), mode="valid"), 0, low)
    rgb = np.clip(_linear_rgb(light, chroma, hue), 0, 1)
    return np.asarray(np.rint(_encoded(rgb) * 255), dtype=np.uint8)


def _along(position: _Floats, stops: tuple[tuple[float, float, float], ...]) -> tuple[_Floats, _Floats]:
    """Chroma and hue (radians) at ``position``: straight between the stops, rounded so that no kink shows."""
    reach = 0.12
    offsets = np.linspace(-reach, reach, 33)
    weights = np.cos(offsets / reach * np.pi / 2) ** 2
    at, chroma, hue = (np.array(column) for column in zip(*stops, strict=True))
    spread = position[:, None] + offsets
    smooth = [np.interp(spread, at, column) @ weights / weights.sum() for column in (chroma, hue)]
    return smooth[0], np.deg2rad(smooth[1])


def _ember() -> NDArray[np.uint8]:
    t = np.linspace(0, 1, 256)
    return _srgb(0.15 + 0.81 * t, *_along(t, (*_EMBER, (1.0, 0.11, 462.0))))


def _fern() -> NDArray[np.uint8]:
    t = np.linspace(0, 1, 256)
    return _srgb(0.24 + 0.69 * t, *_along(t, _FERN))


def _gray() -> NDArray[np.uint8]:
    t = np.linspace(0, 1, 256)
    return _srgb(t, np.zeros_like(t), np.zeros_like(t))


def _blue_red() -> NDArray[np.uint8]:
    # Two entries, 127 and 128, are the neutral middle: zero falls between them and must show no hue.
    t = np.linspace(0, 1, 128)
    light, chroma = 0.955 - 0.525 * t, np.minimum(0.2, 0.2 * np.sin(1.9 * t) / np.sin(1.9))
    blue = _srgb(light, chroma, np.deg2rad(262.0 - 4 * t))
    red = _srgb(light, chroma, np.deg2rad(35.0 - 8 * t))
    return np.concatenate([blue[::-1], red])


_OWN: dict[str, Callable[[], NDArray[np.uint8]]] = {
    SEQUENTIAL: _ember,
    "fern": _fern,
    "gray": _gray,
    DIVERGING: _blue_red,
}


@cache
def _table(name: str) -> NDArray[np.uint8]:
    table = _OWN[name]()
    table.setflags(write=False)
    return table


def _matplotlib(name: str) -> NDArray[np.uint8]:
    try:
        from matplotlib import colormaps
    except ImportError:
        where = " (matplotlib's are found when it is installed: pip install 'seewhy[plot]')"
        raise UnknownName("colormap", name, _OWN, "seewhy.render.colormap_names()", where) from None
    if name not in colormaps:
        known = [*_OWN, *colormaps]
        raise UnknownName("colormap", name, known, "seewhy.render.colormap_names() or matplotlib.colormaps")
    table = np.asarray(np.rint(colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255), dtype=np.uint8)
    table.setflags(write=False)
    return table
