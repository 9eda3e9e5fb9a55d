"""What other libraries would have returned: takes an explanation's raw values, gives their post-processing of them;
never computes a map.

Values here are signed and untouched; other libraries cut, stretch and resize what they return. The formulas, with
norm(x, eps) = (x - min x) / (max x - min x + eps):

====================  ================================================================================================
``captum``            ``attribute(...)``: the values with their channels, [C, H, W]; Saliency gives magnitudes;
                      LayerGradCam [1, h, w], and with ``upsample`` LayerAttribution.interpolate (nearest) [1, H, W]
``pytorch-grad-cam``  norm(resize(norm(max(map, 0), 1e-7)), 1e-7), [H, W]; the resize is OpenCV's, bilinear; of volumes
                      norm(max(zoom(norm(max(map, 0))), 0)), [D, H, W], SciPy's cubic spline. Full-Grad's own map is
                      stretched part by part before it is summed, which no finished map gives back
``torchcam``          norm(max(map, 0), 1e-8) at the layer's resolution, [h, w]; CAM itself without the max
``keras-vis``         ``visualize_saliency``: norm(max over channels of modified(g), 1e-7), [H, W]; ``visualize_cam``:
                      norm(zoom(max(map, 0)), 1e-7), [H, W]; the zoom is SciPy's cubic spline, overshoots and all
====================  ================================================================================================

Each was read from the library's source: Captum 0.9, pytorch-grad-cam 1.5.7, torchcam 0.5, keras-vis 0.5 (0.4 zoomed
with PIL and returned the colours of a jet map).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import CapabilityError, UnknownName, UsageError
from seewhy.render import resize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seewhy.explanation.result import Explanation

__all__ = ["CONVENTIONS", "convention"]

#: what keras-vis' ``K.epsilon()`` is
_EPSILON = 1e-7
#: axes of a volume
_VOLUME = 3
#: keras-vis' gradient modifiers
_MODIFIERS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "none": lambda g: g,
    "absolute": np.abs,
    "negate": np.negative,
    "relu": lambda g: np.maximum(g, 0),
    "invert": lambda g: 1 / (g + _EPSILON),
    "small_values": lambda g: np.abs(1 / (g + _EPSILON)),
}


def convention(explanation: Explanation, library: str, **options: Any) -> NDArray[Any]:
    """The array that ``library`` would have returned for this explanation; see the table above.

    ``options``: ``upsample=True`` (captum, maps of a layer), ``grad_modifier="absolute"`` (keras-vis; ``None`` for
    maps of a layer). Raises `UnknownName` for another library, `UsageError` where the values no longer hold what the
    library's formula needs, `CapabilityError` for keras-vis' zoom without SciPy.
    """
    if library not in CONVENTIONS:
        raise UnknownName("convention", library, tuple(CONVENTIONS), f"one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[library](explanation, **options)


def _captum(explanation: Explanation, *, upsample: bool = False) -> NDArray[Any]:
    values = explanation.values
    if _is_cam(explanation):
        values = _map(explanation, "captum")[None]
        return _nearest(values, explanation.size) if upsample else values
    if upsample:
        raise UsageError(f"upsample=True is for maps of a layer; {explanation.method} is at the input")
    reduced = explanation.parameters.get("reduce", "none")
    if reduced != "none":
        raise UsageError(f"captum keeps the channels, and here they were taken together ({reduced}): reduce='none'")
    return np.abs(values) if explanation.method == "saliency" else values.copy()


def _pytorch_grad_cam(explanation: Explanation) -> NDArray[Any]:
    small = _stretched(np.maximum(_map(explanation, "pytorch-grad-cam"), 0), _EPSILON).astype(np.float32)
    if small.ndim == _VOLUME:
        full = np.maximum(_zoomed(small, explanation.size), 0)
    else:
        full = resize(small, _size(explanation))
    return _stretched(full, _EPSILON).astype(np.float32)


def _torchcam(explanation: Explanation) -> NDArray[Any]:
    values = _map(explanation, "torchcam")
    return _stretched(values if explanation.method == "cam" else np.maximum(values, 0), 1e-8)


def _keras_vis(explanation: Explanation, *, grad_modifier: str | None = "") -> NDArray[Any]:
    """``grad_modifier`` as there: by default ``"absolute"`` for gradients and None for maps of a layer, where only
    ``"negate"`` can still be told from the map. keras-vis also divides by the layer's largest gradient, which turns a
    map over where all are negative; that is not repeated."""
    cam = _is_cam(explanation)
    word = ("none" if cam else "absolute") if grad_modifier == "" else str(grad_modifier or "none").replace("-", "_")
    if word not in _MODIFIERS:
        raise UnknownName("gradient modifier", word, tuple(_MODIFIERS), f"one of {', '.join(_MODIFIERS)}")
    modify = _MODIFIERS[word]
    if cam:
        if word not in ("none", "negate"):
            raise UsageError(
                f"grad_modifier={word!r} changes every gradient before the mean, which a map no longer holds"
            )
        return _stretched(_zoomed(np.maximum(modify(_map(explanation, "keras-vis")), 0), _size(explanation)), _EPSILON)
    values = explanation.values
    if explanation.channels:
        return _stretched(modify(values).max(axis=0), _EPSILON)
    reduced = explanation.parameters.get("reduce")
    if word == "absolute" and reduced == "max-abs":
        return _stretched(values, _EPSILON)
    raise UsageError(f"keras-vis with grad_modifier={word!r} takes every channel's gradient: reduce='none'")


def _is_cam(explanation: Explanation) -> bool:
    """Whether it is one map of a layer, whose channels were weighed and summed; those of gradients were reduced."""
    return explanation.layer is not None and "reduce" not in explanation.parameters


def _map(explanation: Explanation, library: str) -> NDArray[Any]:
    """One number for each position, of as many axes as the input has."""
    one = _is_cam(explanation) or explanation.method == "full-grad"
    if explanation.values.ndim != len(explanation.size) or not one:
        raise UsageError(f"{library} makes maps of a layer, such as grad-cam; this is {explanation.method}")
    return explanation.values


def _size(explanation: Explanation) -> tuple[int, int]:
    if len(explanation.size) != 2:
        raise UsageError(f"an input with {len(explanation.size)} spatial axes has no picture")
    return explanation.size[0], explanation.size[1]


def _stretched(values: NDArray[Any], epsilon: float) -> NDArray[Any]:
    """From 0 to (nearly) 1; what is equal everywhere becomes 0."""
    low = values - values.min()
    return np.asarray(low / (low.max() + epsilon))


def _nearest(values: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    """[C, *positions] at ``size``: the value at floor(position * h / H) along every axis, as torch's nearest."""
    picked = [np.arange(full) * have // full for full, have in zip(size, values.shape[1:], strict=True)]
    return values[(slice(None), *np.ix_(*picked))]


def _zoomed(values: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    try:
        from scipy.ndimage import zoom
    except ImportError as error:
        raise CapabilityError("this zoom is SciPy's: pip install 'seewhy[segment]'") from error
    return np.asarray(zoom(values, [full / have for full, have in zip(size, values.shape, strict=True)]))


#: library -> its post-processing
CONVENTIONS: dict[str, Callable[..., NDArray[Any]]] = {
    "captum": _captum,
    "pytorch-grad-cam": _pytorch_grad_cam,
    "torchcam": _torchcam,
    "keras-vis": _keras_vis,
}
