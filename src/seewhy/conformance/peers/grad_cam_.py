"""pytorch-grad-cam: takes nothing, gives its maps before its ReLU, min-max and resizing as explainers; computes nothing
of ours."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from torch import Tensor

from seewhy.conformance._unit import CELLS, Scene
from seewhy.conformance.explainers import Explainer
from seewhy.conformance.peers._formulas import of_formula

__all__ = ["PACKAGE", "explainers"]

PACKAGE = "grad-cam"

#: our method of the same formula
_CAMS = {
    "GradCAM": "grad-cam",
    "HiResCAM": "hires-cam",
    "GradCAMElementWise": "grad-cam-elementwise",
    "GradCAMPlusPlus": "grad-cam-pp",
    "XGradCAM": "xgrad-cam",
    "LayerCAM": "layer-cam",
    "ShapleyCAM": "shapley-cam",
    "EigenCAM": "eigen-cam",
    "EigenGradCAM": "eigen-grad-cam",
    "KPCA_CAM": "kpca-cam",
    "FEM": "fem",
    "ScoreCAM": "score-cam",
    "AblationCAM": "ablation-cam",
}


def explainers() -> Iterator[Explainer]:
    """Class activation maps and guided backpropagation. Raises `ImportError` where the library is not installed."""
    library = import_module("pytorch_grad_cam")
    goal = import_module("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget

    def cam(kind: str, scene: Scene) -> Any:
        kept: list[Any] = []
        layers = [scene.module.get_submodule(scene.layer)]
        with (
            contextlib.redirect_stderr(io.StringIO()),
            getattr(library, kind)(scene.module, layers) as made,
        ):
            raw = made.get_cam_image

            def keep(*given: Any, **named: Any) -> Any:
                kept.append(np.array(raw(*given, **named)))
                return kept[-1]

            made.get_cam_image = keep
            made(scene.x.clone(), targets=[goal(scene.target)] * len(scene.x))
        return kept[0].reshape(len(scene.x), CELLS, CELLS)

    def guided(scene: Scene) -> Any:
        peer = library.GuidedBackpropReLUModel(scene.module, device="cpu")
        return np.stack([_first(peer(row[None].clone(), target_category=scene.target)) for row in scene.x.unbind()])

    for kind, ours in _CAMS.items():
        yield of_formula(kind, ours, partial(cam, kind))
    yield of_formula("GuidedBackpropReLUModel", "guided-backprop", guided)


def _first(picture: Any) -> Any:
    """The one channel of a map [H, W, 1] (or [H, W])."""
    values = np.asarray(picture.detach() if isinstance(picture, Tensor) else picture)
    return values[..., 0] if values.ndim > 2 else values
