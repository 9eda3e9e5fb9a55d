"""Takes a map, and a photo to lay it on, gives coloured pixels; never decides what a map means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import UsageError, nearest
from seewhy.render.colormaps import DIVERGING, SEQUENTIAL, colormap
from seewhy.render.contours import draw_contours
from seewhy.render.scale import limits as find_limits
from seewhy.render.scale import resize

__all__ = ["MODES", "Mode", "Pixels", "greyed", "heatmap", "overlay", "relief", "side_by_side", "tinted"]

Pixels = NDArray[np.uint8]
Mode = Literal["alpha", "blend", "mask"]
#: how a map can be laid on a photo
MODES: tuple[str, ...] = get_args(Mode)

_OPACITY = {"alpha": 0.88, "blend": 0.55, "mask": 0.96}
_UNKNOWN = 128  # the grey of pixels whose value is not finite
_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


def heatmap(
    map: NDArray[Any],
    *,
    cmap: str | None = None,
    limits: tuple[float, float] | None = None,
    signed: bool | None = None,
    size: tuple[int, int] | None = None,
) -> Pixels:
    """``map`` ``[h, w]`` in colours: uint8 ``[H, W, 3]`` at ``size`` (default: the map's own).

    ``signed`` (default: whether any value is negative) picks the colormap and, where ``limits`` are not
    given, a range that is symmetric about zero. Values beyond the limits get the end colours; limits ``(0,
    0)`` draw nothing: the lowest colour, or the neutral middle of a signed map. Pixels that are not finite
    are mid-grey. Raises `UsageError` for a wrong shape and `UnknownName` for an unknown colormap.

    >>> heatmap(np.array([[0.0, 1.0]]), cmap="gray", limits=(0, 1)).tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    values = _at_size(map, size)
    if signed is None:
        signed = bool((values < 0).any())
    low, high = _range(values, signed, limits)
    return _colours(values, cmap, signed, low, high)


def overlay(
    image: Pixels,
    map: NDArray[Any],
    *,
    opacity: float | None = None,
    cmap: str | None = None,
    signed: bool = False,
    limits: tuple[float, float] | None = None,
    contour: float | Sequence[float] | None = None,
    mode: Mode = "alpha",
) -> Pixels:
    """``map`` ``[h, w]`` laid on ``image`` (uint8 ``[H, W, 3]`` or ``[H, W]``): uint8 ``[H, W, 3]``.

    ``mode`` is ``"alpha"``: opacity grows with the magnitude, on a slightly greyed photo, so that colour is
    evidence and the rest is still a photo; ``"blend"``: the same opacity everywhere; ``"mask"``: the photo
    shows only where evidence is. ``opacity`` in [0, 1] is the highest one (default: 0.88, 0.55 and 0.96 in
    that order; for a mask, that of the veil). An unsigned map shows values above zero, a signed one both
    signs. ``limits`` are as in `heatmap`; ``contour`` draws lines where the magnitude is that fraction, in
    (0, 1), of the limit. Pixels of the map that are not finite show the photo. Raises `UsageError` and
    `UnknownName`.

    >>> photo = np.full((2, 2, 3), 200, dtype=np.uint8)
    >>> int(overlay(photo, np.zeros((1, 1)), mode="alpha").std())
    0
    """
    if mode not in MODES:
        close = nearest(str(mode), MODES)
        hint = f"nearest: {close[0]!r}; " if close else ""
        raise UsageError(f"no overlay mode {mode!r}; {hint}use one of {', '.join(MODES)}")
    opacity = _OPACITY[mode] if opacity is None else opacity
    if not 0 <= opacity <= 1:
        raise UsageError(f"opacity {opacity:g} is outside [0, 1]; 0 shows the photo alone, 1 the map alone")
    photo = _photo(image)
    shape = (photo.shape[0], photo.shape[1])
    values = _at_size(map, shape)
    low, high = _range(values, signed, limits)
    top = max(abs(low), abs(high))
    strength = _strength(values, signed, low, high)[..., None]
    if mode == "mask":
        veil = opacity * (1 - np.minimum(1, strength * 1.6) ** 0.8)
        mixed = photo * (1 - veil) + np.float32(244) * veil
    else:
        base = _muted(photo) if mode == "alpha" else photo
        share = opacity * strength if mode == "alpha" else np.float32(opacity)
        share = np.where(np.isfinite(values)[..., None], share, 0)
        mixed = base * (1 - share) + _colours(values, cmap, signed, low, high) * share
    pixels: Pixels = np.asarray(np.rint(np.clip(mixed, 0, 255)), dtype=np.uint8)
    if contour is None:
        return pixels
    return draw_contours(pixels, np.asarray(map), _levels(contour), top, signed=signed)


def tinted(
    image: Pixels | None, maps: Sequence[NDArray[Any]], colours: NDArray[np.uint8], limits: Sequence[float]
) -> Pixels:
    """Several maps >= 0 ``[h, w]``, each in a colour of its own, on the grey ``image``: uint8 ``[H, W, 3]``.

    ``colours`` is uint8 ``[K, 3]``; map k is all but opaque where it reaches ``limits[k]``; where maps overlap, the
    stronger one's colour prevails. Smaller maps are enlarged smoothly. Without an image the ground is white and the
    size that of the first map. A limit of 0 draws nothing.

    >>> tinted(None, [np.eye(2)], np.array([[200, 0, 0]], dtype=np.uint8), [1.0])[0].tolist()
    [[200, 0, 0], [255, 255, 255]]
    """
    first = np.asarray(maps[0])
    if image is None:
        ground = np.full((*first.shape, 3), 255, dtype=np.float32)
    else:
        photo = _photo(image)
        ground = np.repeat((photo @ _LUMA * 0.75 + 32)[..., None], 3, axis=2)
    shape = (ground.shape[0], ground.shape[1])
    shares = np.stack(
        [_strength(resize(m, shape, "bicubic"), False, 0.0, top) for m, top in zip(maps, limits, strict=True)]
    )
    opacity = shares.max(0) * (1.0 if image is None else 0.9)
    weights = shares**2  # where one map is ahead, its colour is
    mixed = (
        np.tensordot(weights, colours.astype(np.float32), axes=(0, 0)) / np.maximum(weights.sum(0), 1e-12)[..., None]
    )
    pixels = ground * (1 - opacity[..., None]) + mixed * opacity[..., None]
    return np.asarray(np.rint(np.clip(pixels, 0, 255)), dtype=np.uint8)


def relief(
    values: NDArray[Any],
    *,
    limit: float | None = None,
    size: tuple[int, int] | None = None,
    part: tuple[slice, slice] | None = None,
) -> Pixels:
    """Signed ``values`` ``[3, h, w]`` of red, green and blue as colours about mid-grey: uint8 ``[H, W, 3]``.

    0 is grey 0.5, +-``limit`` (default: the percentile of `limits`) full or no light, as in the figures of the papers
    on guided backpropagation. ``size`` is ``(H, W)`` (default: the values' own), of which ``part`` is drawn, as in
    `resize`. Values that are not finite are grey. Raises `UsageError` for another shape.

    >>> relief(np.array([[[1.0]], [[0.0]], [[-1.0]]]), limit=1.0).tolist()
    [[[255, 128, 0]]]
    """
    planes = np.asarray(values)
    if planes.ndim != 3 or planes.shape[0] != 3:
        raise UsageError(f"a relief shows red, green and blue, values of shape (3, h, w); these have {planes.shape}")
    top = find_limits([planes], signed=True)[1] if limit is None else float(limit)
    drawn = [resize(plane, size or plane.shape, "bicubic", part) for plane in planes]
    share = np.nan_to_num(np.stack(drawn, axis=-1) / top, nan=0.0) if top > 0 else np.zeros((*drawn[0].shape, 3))
    return np.asarray(np.rint(127.5 * (1 + np.clip(share, -1, 1))), dtype=np.uint8)


def greyed(image: Pixels) -> Pixels:
    """``image`` without colour and pale: the ground under a caption that says why there is no map."""
    grey = _photo(image) @ _LUMA
    return np.repeat(np.rint(120 + grey * 0.42).astype(np.uint8)[..., None], 3, axis=2)


def side_by_side(image: Pixels, overlay: Pixels, *, gap: int = 8) -> Pixels:
    """``image`` and ``overlay`` (both uint8 ``[H, W, 3]``, equal heights) with a white ``gap`` between them.

    Raises `UsageError` if the heights differ.

    >>> tile = np.zeros((2, 3, 3), dtype=np.uint8)
    >>> side_by_side(tile, tile, gap=4).shape
    (2, 10, 3)
    """
    left, right = (_photo(picture).astype(np.uint8) for picture in (image, overlay))
    if left.shape[0] != right.shape[0]:
        raise UsageError(f"pictures side by side need one height; got {left.shape[0]} and {right.shape[0]}")
    return np.concatenate([left, np.full((left.shape[0], gap, 3), 255, np.uint8), right], axis=1)


def _photo(image: NDArray[Any]) -> NDArray[np.float32]:
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise UsageError(f"a photo is uint8 (H, W, 3); got {pixels.dtype} {np.asarray(image).shape}")
    return pixels.astype(np.float32)


def _muted(photo: NDArray[np.float32]) -> NDArray[np.float32]:
    """A little less colour and light, so that what is colourful and bright afterwards is evidence."""
    grey = (photo @ _LUMA)[..., None]
    return np.asarray((photo * 0.7 + grey * 0.3) * 0.92 + 8, dtype=np.float32)


def _at_size(map: NDArray[Any], size: tuple[int, int] | None) -> NDArray[Any]:
    values = np.asarray(map)
    return resize(values, size or (values.shape if values.ndim == 2 else (1, 1)))


def _range(values: NDArray[Any], signed: bool, given: tuple[float, float] | None) -> tuple[float, float]:
    low, high = find_limits([values], signed=signed) if given is None else map_limits(given)
    if signed and given is not None and low != -high:
        raise UsageError(f"a signed map needs limits about zero; got ({low:g}, {high:g}), try ({-high:g}, {high:g})")
    return low, high


def map_limits(given: tuple[float, float]) -> tuple[float, float]:
    """``given`` as two floats; raises `UsageError` unless they are finite and in order."""
    low, high = (float(end) for end in given)
    if not (np.isfinite([low, high]).all() and low <= high):
        raise UsageError(f"limits are (low, high), finite and in order; got ({low:g}, {high:g})")
    return low, high


def _strength(values: NDArray[Any], signed: bool, low: float, high: float) -> NDArray[np.float32]:
    """How far a value is on the way to its limit, in [0, 1]; nothing where the map is not finite."""
    sizes = np.abs(values) if signed else values - low
    span = high if signed else high - low
    share = np.zeros(values.shape) if span <= 0 else np.clip(np.nan_to_num(sizes / span, posinf=0), 0, 1)
    return share.astype(np.float32)


def _colours(values: NDArray[Any], cmap: str | None, signed: bool, low: float, high: float) -> Pixels:
    table = colormap(cmap or (DIVERGING if signed else SEQUENTIAL))
    finite = np.isfinite(values)
    span = high - low
    rest = 0.5 if signed else 0.0
    safe = np.where(finite, values, low).astype(np.float64)
    share = np.clip((safe - low) / span, 0, 1) if span > 0 else np.full(values.shape, rest)
    pixels: Pixels = table[np.rint(share * 255).astype(np.intp)]
    pixels[~finite] = _UNKNOWN
    return pixels


def _levels(contour: float | Sequence[float]) -> tuple[float, ...]:
    levels = tuple(contour) if isinstance(contour, Sequence) else (contour,)
    for level in levels:
        if not 0 < level < 1:
            raise UsageError(f"a contour is a fraction of the limit in (0, 1); got {level:g}")
    return levels
