"""torchcam: takes nothing, gives its maps after its ReLU and before its min-max as explainers; computes nothing of
ours."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import nn

from seewhy.conformance._unit import Scene
from seewhy.conformance.explainers import Explainer
from seewhy.conformance.peers._formulas import of_formula

__all__ = ["PACKAGE", "explainers"]

PACKAGE = "torchcam"

#: our method of the same formula, and whether it is drawn at random
_CAMS = {
    "CAM": ("cam", False),
    "GradCAM": ("grad-cam", False),
    "GradCAMpp": ("grad-cam-pp", False),
    "SmoothGradCAMpp": ("smooth-grad-cam-pp", True),
    "XGradCAM": ("xgrad-cam", False),
    "LayerCAM": ("layer-cam", False),
    "ScoreCAM": ("score-cam", False),
    "SSCAM": ("ss-cam", True),
    "ISCAM": ("is-cam", False),
}
#: of maps after a ReLU
_RELU = dict.fromkeys(("sign", "cancellation"), "the ReLU at the end cuts what speaks against the target")
#: those that take no gradient
_FORWARD = ("CAM", "ScoreCAM", "SSCAM", "ISCAM")


def explainers() -> Iterator[Explainer]:
    """Class activation maps. Raises `ImportError` where the library is not installed."""
    methods = import_module("torchcam.methods")

    def cam(kind: str, scene: Scene) -> Any:
        given: dict[str, Any] = {"target_layer": scene.layer, "input_shape": tuple(scene.x.shape[1:])}
        heads = [name for name, part in scene.module.named_modules() if isinstance(part, nn.Linear)]
        if kind == "CAM" and len(heads) == 1:  # it finds that one by itself, and says so
            given["fc_layer"] = heads[0]
        with getattr(methods, kind)(scene.module, **given) as extractor, torch.set_grad_enabled(kind not in _FORWARD):
            scores = scene.module(scene.x.clone())
            return extractor([scene.target] * len(scene.x), scores, normalized=False)[0]

    for kind, (ours, drawn) in _CAMS.items():
        yield of_formula(kind, ours, partial(cam, kind), drawn=drawn, also=_RELU)
