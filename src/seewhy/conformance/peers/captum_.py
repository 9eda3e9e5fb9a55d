"""Captum: takes nothing, gives its attributions as explainers, in its own names; computes nothing of ours."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import nn

from seewhy.conformance._unit import CELLS, SIDE, Scene
from seewhy.conformance.explainers import SINGLE, Explainer
from seewhy.conformance.peers._formulas import of_formula

__all__ = ["PACKAGE", "explainers"]

PACKAGE = "captum"

#: nodes of paths: a kink lies between two of them
_NODES = 200
_WINDOW = (1, SIDE, SIDE)
#: at the input: our method of the same formula, and how it is called
_INPUT: dict[str, tuple[str, dict[str, Any]]] = {
    "Saliency": ("saliency", {"abs": False}),
    "InputXGradient": ("input-x-gradient", {}),
    "GuidedBackprop": ("guided-backprop", {}),
    "Deconvolution": ("deconvnet", {}),
    "IntegratedGradients": ("integrated-gradients", {"baselines": 0.0, "n_steps": _NODES}),
    "DeepLift": ("deep-lift", {"baselines": 0.0}),
    "LRP": ("lrp", {}),
    "Occlusion": ("occlusion", {"sliding_window_shapes": _WINDOW, "strides": _WINDOW}),
}
#: of pieces that are cells, and whether they are drawn at random
_PIECES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "FeatureAblation": ("feature-ablation", {}, False),
    "ShapleyValueSampling": ("shapley-sampling", {"n_samples": 50, "perturbations_per_eval": 16}, True),
    "KernelShap": ("kernel-shap", {"n_samples": 500, "perturbations_per_eval": 50}, True),
    "Lime": ("lime", {"n_samples": 500, "perturbations_per_eval": 50}, True),
}
#: of Lime, whose linear model is a lasso unless told otherwise
_LASSO = dict.fromkeys(
    ("proportion", "sign", "cancellation"), "a lasso takes the same off every coefficient, whatever it counts"
)
#: of LRP, which has no rule for pixels
_TIMES_INPUT = {"input-shift": "the first layer's rule multiplies by the input"}
_PATH = {"baselines": 0.0, "n_steps": _NODES}
_LAYER: dict[str, tuple[str, dict[str, Any]]] = {
    "LayerGradCam": ("grad-cam", {}),
    "LayerGradientXActivation": ("hires-cam", {}),
    "LayerConductance": ("conductance", _PATH),
    "LayerIntegratedGradients": ("layer-integrated-gradients", _PATH),
    "LayerDeepLift": ("deep-lift", {"baselines": 0.0}),
    "InternalInfluence": ("internal-influence", _PATH),
}


def explainers() -> Iterator[Explainer]:
    """Those with a formula that we have, too. Raises `ImportError` where Captum is not installed."""
    attr = import_module("captum.attr")
    rules = import_module("captum.attr._utils.lrp_rules")

    def at_input(name: str, given: dict[str, Any], scene: Scene) -> Any:
        if name == "LRP":  # asks for a rule of whatever it does not know
            for part in scene.module.modules():
                if isinstance(part, nn.Flatten):
                    part.rule = rules.EpsilonRule()  # the networks are made for their scene
        return getattr(attr, name)(scene.module).attribute(scene.x.clone(), target=scene.target, **given)

    def of_pieces(name: str, given: dict[str, Any], scene: Scene) -> Any:
        at = torch.arange(scene.x.shape[-1]) // SIDE
        mask = (CELLS * at[:, None] + at)[None, None]
        peer = getattr(attr, name)(scene.module)
        rows = [row[None] for row in scene.x]  # Lime and KernelShap take images one by one
        return torch.cat([peer.attribute(x, target=scene.target, feature_mask=mask, **given) for x in rows])

    def at_layer(name: str, given: dict[str, Any], scene: Scene) -> Any:
        peer = getattr(attr, name)(scene.module, scene.module.get_submodule(scene.layer))
        return peer.attribute(scene.x.clone(), target=scene.target, **given)

    def smooth(scene: Scene) -> Any:
        sigma = 0.15 * float(scene.x.max() - scene.x.min())
        tunnel = attr.NoiseTunnel(attr.Saliency(scene.module))
        return tunnel.attribute(scene.x.clone(), target=scene.target, abs=False, nt_samples=200, stdevs=sigma)

    def shap(scene: Scene) -> Any:
        given = {"baselines": torch.zeros_like(scene.x[:1]), "n_samples": 500, "stdevs": 0.0}
        return attr.GradientShap(scene.module).attribute(scene.x.clone(), target=scene.target, **given)

    for name, (ours, given) in _INPUT.items():
        also = _TIMES_INPUT if name == "LRP" else None
        yield of_formula(name, ours, partial(at_input, name, given), error=_error(given), also=also)
    for name, (ours, given, drawn) in _PIECES.items():
        also = _LASSO if name == "Lime" else None
        yield of_formula(name, ours, partial(of_pieces, name, given), drawn=drawn, also=also)
    for name, (ours, given) in _LAYER.items():
        yield of_formula(name, ours, partial(at_layer, name, given), error=_error(given))
    yield of_formula("GuidedGradCam", "guided-grad-cam", partial(at_layer, "GuidedGradCam", {}))
    yield of_formula("NoiseTunnel", "smooth-grad", smooth, drawn=True)
    yield of_formula("GradientShap", "expected-gradients", shap, drawn=True)


def _error(given: dict[str, Any]) -> float:
    return 1 / _NODES if "n_steps" in given else SINGLE
