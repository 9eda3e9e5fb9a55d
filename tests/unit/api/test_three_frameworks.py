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
from keras_networks import keras, pair
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


def test_three_frameworks_give_one_card(tmp_path: Path) -> None:
    """Levels alike and numbers to rounding: also those of shuffled weights, which lie in another order in Keras. (Of a
    norm that an exporter merged into its convolution a file lists no weights, and its shuffle is another.)"""
    layers = keras.layers
    theirs = keras.Sequential(
        [
            keras.Input((16, 16, 3)), layers.Conv2D(6, 3, activation="relu"), layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalAveragePooling2D(), layers.Dense(3),
        ]
    )  # fmt: skip
    with torch.random.fork_rng([]):
        torch.manual_seed(4)
        ours = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 3),
        ).eval()  # fmt: skip
    for layer, own in zip(theirs.layers, [ours[0], ours[2], None, ours[6]], strict=True):
        if own is not None:  # [out, in, *size] there, [*size, in, out] here
            axes = (2, 3, 1, 0)[: own.weight.ndim] if own.weight.ndim > 2 else (1, 0)
            layer.set_weights([own.weight.detach().permute(axes).numpy(), own.bias.detach().numpy()])
    save_onnx(ours, tmp_path / "net.onnx", 16)
    pixels = Preprocess.preset("unit", (16, 16))
    models = {
        "torch": seewhy.wrap(ours, preprocess=pixels),
        "keras": seewhy.wrap(theirs, preprocess=pixels),
        "onnx": seewhy.load(f"onnx:{tmp_path / 'net.onnx'}", preprocess=pixels),
    }
    picture = np.random.default_rng(7).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for method in ("grad-cam", "input-x-gradient", "occlusion"):
        asked: dict[str, Any] = {"method": method, "target": 2, "trust": True, "cache": False, "prepare": False}
        made = {name: seewhy.explain(model, picture, **asked) for name, model in models.items()}
        cards = {
            name: (one.trust, seewhy.trust(models[name], picture, one, target=2, prepare=False))
            for name, one in made.items()
        }
        for framework in ("keras", "onnx"):
            for other, right in zip(cards[framework], cards["torch"], strict=True):
                assert other is not None
                assert right is not None
                assert other.level == right.level
                assert [(each.name, each.level) for each in other] == [(each.name, each.level) for each in right]
                for each in right:  # places of nearly equal values change their order by rounding
                    found = other[each.name].value
                    assert found == pytest.approx(each.value, abs=5e-3, nan_ok=True), (framework, method, each.name)


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
