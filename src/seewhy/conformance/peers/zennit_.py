"""zennit: takes nothing, gives its composites and attributors as explainers; computes nothing of ours."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from seewhy.conformance._unit import SIDE, Scene
from seewhy.conformance.explainers import Explainer
from seewhy.conformance.peers._formulas import of_formula

__all__ = ["PACKAGE", "explainers"]

PACKAGE = "zennit"

#: our method of the same formula; relevance starts from the score of the target
_COMPOSITES = {
    "EpsilonPlus": "lrp",
    "EpsilonPlusFlat": "lrp",
    "EpsilonGammaBox": "lrp",
    "EpsilonAlpha2Beta1": "lrp",
    "EpsilonAlpha2Beta1Flat": "lrp",
    "GuidedBackprop": "guided-backprop",
    "DeconvNet": "deconvnet",
    "ExcitationBackprop": "excitation-backprop",
}
#: those whose rule for the first layer has the pixels as a factor
_OF_PIXELS = ("EpsilonPlus", "EpsilonAlpha2Beta1", "ExcitationBackprop")
_TIMES_INPUT = {"input-shift": "the first layer's rule multiplies by the input"}
_NODES = 200


def explainers() -> Iterator[Explainer]:
    """Composites, and the gradient, smoothed, integrated and by occlusion. Raises `ImportError` where zennit is not
    installed."""
    attribution, composites = import_module("zennit.attribution"), import_module("zennit.composites")
    canonizers = import_module("zennit.canonizers")

    def start(scene: Scene, relevance: bool, out: Tensor) -> Tensor:
        rows = torch.zeros_like(out)
        rows[:, scene.target] = out.detach()[:, scene.target] if relevance else 1.0
        return rows

    def by_rules(name: str, ours: str, scene: Scene) -> Any:
        given: dict[str, Any] = {"canonizers": [canonizers.SequentialMergeBatchNorm()]}
        if name == "EpsilonGammaBox":
            given |= {"low": scene.x.min().expand(scene.x.shape), "high": scene.x.max().expand(scene.x.shape)}
        composite = getattr(composites, name)(**given)
        first = partial(start, scene, ours == "lrp")
        with attribution.Gradient(scene.module, composite, attr_output=first) as attributor:
            return attributor(scene.x.clone().requires_grad_())[1]

    def smooth(scene: Scene) -> Any:
        first = partial(start, scene, False)
        with attribution.SmoothGrad(scene.module, noise_level=0.15, n_iter=200, attr_output=first) as attributor:
            return attributor(scene.x.clone())[1]

    def path(scene: Scene) -> Any:
        first = partial(start, scene, False)
        with attribution.IntegratedGradients(scene.module, n_iter=_NODES, attr_output=first) as attributor:
            return attributor(scene.x.clone())[1]

    def occlusion(scene: Scene) -> Any:
        first = partial(start, scene, True)
        with attribution.Occlusion(scene.module, window=SIDE, stride=SIDE, attr_output=first) as attributor:
            return attributor(scene.x.clone())[1]

    def plain(scene: Scene) -> Any:
        with attribution.Gradient(scene.module, attr_output=partial(start, scene, False)) as attributor:
            return attributor(scene.x.clone().requires_grad_())[1]

    yield of_formula("Gradient", "saliency", plain)
    yield of_formula("SmoothGrad", "smooth-grad", smooth, drawn=True)
    yield of_formula("IntegratedGradients", "integrated-gradients", path, error=1 / _NODES)
    yield of_formula("Occlusion", "occlusion", occlusion)
    for name, ours in _COMPOSITES.items():
        also = _TIMES_INPUT if name in _OF_PIXELS else None
        yield of_formula(name, ours, partial(by_rules, name, ours), also=also)
