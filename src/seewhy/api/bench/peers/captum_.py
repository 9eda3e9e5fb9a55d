"""Captum: takes a question, gives its answers at the batch sizes worth trying; computes nothing of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.api.bench.peers import Asked
from seewhy.api.bench.racing import Contestant

__all__ = ["LIBRARY", "PACKAGE", "contestants"]

LIBRARY, PACKAGE = "captum", "captum"

#: of integrated gradients' path, and of occlusion's windows: samples in one forward
_PATH_BATCHES, _WINDOW_BATCHES = (8, 16, 32), (1, 8, 16, 32)
#: how Captum calls our quadrature rules with the same nodes; its trapezoid has one node less
_RULES = {
    "gauss-legendre": "gausslegendre",
    "riemann-left": "riemann_left",
    "riemann-middle": "riemann_middle",
    "riemann-right": "riemann_right",
}
_GRADIENTS = {
    "saliency": ("Saliency", {"abs": False}),
    "input-x-gradient": ("InputXGradient", {}),
    "guided-backprop": ("GuidedBackprop", {}),
    "deconvnet": ("Deconvolution", {}),
}


def contestants(asked: Asked) -> list[Contestant]:
    """Gradient methods, Grad-CAM, integrated gradients (the best of three batch sizes) and occlusion (of four).

    Raises `ImportError` where Captum is not installed. Rules that Captum has not, or with other nodes, give nothing.
    """
    attr = import_module("captum.attr")
    target = list(asked.target)
    if asked.method in _GRADIENTS:
        name, given = _GRADIENTS[asked.method]
        peer = getattr(attr, name)(asked.module)
        return [Contestant(LIBRARY, lambda: _array(peer.attribute(asked.x.clone(), target, **given)))]
    if asked.method == "grad-cam":
        cam = attr.LayerGradCam(asked.module, asked.place)
        return [Contestant(LIBRARY, lambda: _array(cam.attribute(asked.x, target))[:, 0])]
    if asked.method == "integrated-gradients":
        return _path(attr.IntegratedGradients(asked.module), asked, target)
    if asked.method == "occlusion":
        return _windows(attr.Occlusion(asked.module), asked, target)
    return []


def _path(peer: Any, asked: Asked, target: list[int]) -> list[Contestant]:
    rule = _RULES.get(asked.settings.get("rule", ""))
    if rule is None:
        return []
    steps, baseline = asked.settings.get("steps", 50), asked.settings.get("baseline", 0)

    def run(batch: int, steps: int) -> NDArray[Any]:
        return _array(
            peer.attribute(
                asked.x, baselines=baseline, target=target, method=rule, n_steps=steps,
                internal_batch_size=batch,
            )
        )  # fmt: skip

    few = min(steps, max(_PATH_BATCHES))
    return [_sized("internal_batch_size", batch, partial(run, batch, steps), partial(run, batch, few))
            for batch in _PATH_BATCHES]  # fmt: skip


def _windows(peer: Any, asked: Asked, target: list[int]) -> list[Contestant]:
    size, channels = tuple(asked.x.shape[2:]), asked.x.shape[1]
    window, stride = (_each(asked.settings[name], len(size)) for name in ("window", "stride"))
    fill = asked.settings.get("fill", 0)
    # a grid of seven large windows an axis fills every batch that is tried
    large = tuple(max(1, n // 7) for n in size)

    def run(batch: int, window: tuple[int, ...], stride: tuple[int, ...]) -> NDArray[Any]:
        attributions = peer.attribute(
            asked.x, sliding_window_shapes=(channels, *window), strides=(channels, *stride), baselines=fill,
            target=target, perturbations_per_eval=batch,
        )  # fmt: skip
        # all channels are hidden together, so each has the same
        return _array(attributions)[:, 0]

    return [_sized("perturbations_per_eval", batch, partial(run, batch, window, stride),
                   partial(run, batch, large, large)) for batch in _WINDOW_BATCHES]  # fmt: skip


def _sized(name: str, batch: int, run: Callable[[], NDArray[Any]], probe: Callable[[], NDArray[Any]]) -> Contestant:
    return Contestant(LIBRARY, run, setting=f"{name}={batch}", probe=probe)


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _array(tensor: Any) -> NDArray[Any]:
    return np.asarray(tensor.detach().cpu().numpy())
