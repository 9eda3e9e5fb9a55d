"""Networks as files: takes a torch module, gives ONNX files and exported programs of it; never trains."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

__all__ = ["graph", "save_onnx", "small"]


def small(softmax: bool = True) -> nn.Sequential:
    """A convolutional classifier of 32 x 32 pixels with every usual kind of layer, its statistics not those of a start."""
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5),
            *([nn.Softmax(1)] if softmax else []),
        ).eval()  # fmt: skip
        with torch.no_grad():
            net[1].running_mean.normal_(0, 0.1)  # type: ignore[operator, union-attr]
            net[1].running_var.uniform_(0.5, 2)  # type: ignore[operator, union-attr]
            net[4].weight.mul_(4)  # type: ignore[operator, union-attr]
    return net


def save_onnx(module: nn.Module, path: Path, size: int = 32, *, legacy: bool = False, batch: int = 1) -> Path:
    """What torch's exporter writes for batches of one size; the older of its two, if ``legacy``."""
    pytest.importorskip("onnx")
    if not legacy:
        pytest.importorskip("onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own remarks about its future
        torch.onnx.export(module, (torch.rand(batch, 3, size, size),), str(path), dynamo=not legacy, verbose=False)
    return path


def graph(nodes: list[Any], weights: dict[str, np.ndarray], shape: list[Any], path: Path, **more: Any) -> Path:
    """A hand-made ONNX file that takes ``x`` of ``shape`` and gives ``y``."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    kind = more.pop("kind", onnx.TensorProto.FLOAT)
    metadata = more.pop("metadata", {})
    opsets = [helper.make_opsetid("", 17), *[helper.make_opsetid(name, 1) for name in more.pop("domains", [])]]
    inside = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape), *more.pop("inputs", [])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, more.pop("out", ["n", 5]))],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(inside, opset_imports=opsets, ir_version=8)
    helper.set_model_props(model, metadata)
    path.write_bytes(model.SerializeToString())
    return path
