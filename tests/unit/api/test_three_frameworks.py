"""One network as a PyTorch module, a Keras file and an ONNX file: one answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from exports import save_onnx
from keras_networks import pair
from seewhy.models import Preprocess

#: a gradient, a rule, CAMs, propagations and perturbations, with what they are asked
ASKED: dict[str, dict[str, Any]] = {
    "saliency": {"reduce": "sum"},
    "integrated-gradients": {"steps": 8, "rule": "trapezoid", "reduce": "sum"},
    "guided-backprop": {"reduce": "sum"},
    "grad-cam": {"layer": ("last", "act")},
    "hires-cam": {"layer": ("last", "act")},
    "lrp": {},
    "deep-lift": {},
    "occlusion": {"window": 6, "stride": 4},
    "rise": {"n": 60, "cells": 4},
    "lime": {"n": 60, "segments": "grid"},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, seewhy.Model]:
    """By framework, each with the same preprocessing; Keras and ONNX by way of their files."""
    folder: Path = tmp_path_factory.mktemp("models")
    theirs, ours = pair("softmax", 3)
    theirs.save(folder / "net.keras")
    whole = nn.Sequential(ours, nn.Softmax(1)).eval()
    save_onnx(whole, folder / "net.onnx", 16)
    pixels = Preprocess.preset("unit", (16, 16))
    return {
        "torch": seewhy.wrap(ours, preprocess=pixels),
        "keras": seewhy.load(f"keras:{folder / 'net.keras'}", preprocess=pixels),
        "onnx": seewhy.load(f"onnx:{folder / 'net.onnx'}", preprocess=pixels),
    }


def _onnx_layer(model: seewhy.Model) -> str:
    """The node that is the last ReLU: exporters name nodes as they like."""
    spatial = [layer for layer in seewhy.layers(model, torch.rand(1, 3, 16, 16)) if layer.kind == "ReLU"]
    return spatial[-1].name


@pytest.mark.parametrize("name", ASKED)
def test_three_frameworks_give_one_map(models: dict[str, seewhy.Model], name: str) -> None:
    """To 1e-4 of the largest value, for the same picture."""
    picture = np.random.default_rng(7).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    maps = {}
    for framework, model in models.items():
        given = dict(ASKED[name])
        if "layer" in given:
            keras, ours = given["layer"]
            given["layer"] = {"torch": ours, "keras": keras}.get(framework) or _onnx_layer(model)
        found = seewhy.explain(model, picture, method=name, target=2, **given)
        maps[framework] = found.values
        assert found.status.code not in ("zero-gradient", "non-finite")
    largest = np.abs(maps["torch"]).max()
    assert largest > 0
    for framework in ("keras", "onnx"):
        assert np.abs(maps[framework] - maps["torch"]).max() <= 1e-4 * largest, framework
