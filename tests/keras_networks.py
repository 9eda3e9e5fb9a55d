"""The same small network in Keras and in PyTorch: takes a seed, gives both with equal weights; never trains."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from torch import nn

# Keras chooses its backend when it is imported, which the tests do before seewhy would
os.environ.setdefault("KERAS_BACKEND", "torch")
keras: Any = pytest.importorskip("keras", exc_type=ImportError)
if keras.config.backend() != "torch":
    pytest.skip("Keras runs on another backend here", allow_module_level=True)

__all__ = ["HEADS", "keras", "pair"]

HEADS = ("softmax", "sigmoid", "linear", "layer")


class _Torch(nn.Module):
    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6, eps=1e-3)
        self.conv2, self.two = nn.Conv2d(6, 8, 3, stride=2), nn.ReLU()
        self.three = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(8, eps=1e-3)
        self.act, self.pool, self.dense = act, nn.MaxPool2d(2), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [B, 5]."""
        x = torch.relu(self.norm(self.one(x)))
        x = self.two(self.conv2(x))
        x = self.act(self.norm3(self.three(x)) + x)
        return self.dense(self.pool(x).mean((2, 3)))


def pair(head: str = "softmax", seed: int = 0, act: str = "relu", size: int = 16) -> tuple[Any, nn.Module]:
    """(Keras model, PyTorch module without the final activation). ``head``: the last layer's activation, or ``"layer"``
    for a softmax of its own. (On torch, Keras computes means and batch norms in float32 even where asked for float64.)
    """
    layers = keras.layers
    inside = keras.Input((size, size, 3), name="photo")
    x = layers.Conv2D(6, 3, padding="same", name="one")(inside)
    x = layers.Activation("relu", name="relu")(layers.BatchNormalization(name="norm")(x))
    skip = layers.Conv2D(8, 3, strides=2, activation="relu", name="two")(x)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="three")(skip)
    x = layers.Add(name="sum")([layers.BatchNormalization(name="norm3")(x), skip])
    x = layers.Activation(act, name="last")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(layers.MaxPooling2D(2, name="pool")(x))
    x = layers.Dropout(0.5, name="drop", seed=3)(x)
    x = layers.Dense(5, activation=None if head in ("linear", "layer") else head, name="dense")(x)
    model = keras.Model(inside, layers.Softmax(name="soft")(x) if head == "layer" else x, name="small")
    ours = _Torch({"relu": nn.ReLU(), "silu": nn.SiLU(), "relu6": nn.ReLU6()}[act]).eval()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in ours.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=draw) * 0.3)
                if name.endswith("running_var") or (name.startswith("norm") and name.endswith("weight")):
                    value.abs_().add_(0.5)
    state = ours.state_dict()
    for name, theirs in (("one", "one"), ("conv2", "two"), ("three", "three")):
        model.get_layer(theirs).kernel.assign(state[f"{name}.weight"].permute(2, 3, 1, 0))
        if f"{name}.bias" in state:
            model.get_layer(theirs).bias.assign(state[f"{name}.bias"])
    for name in ("norm", "norm3"):
        weights = [state[f"{name}.{part}"].numpy() for part in ("weight", "bias", "running_mean", "running_var")]
        model.get_layer(name).set_weights(weights)
    model.get_layer("dense").set_weights([state["dense.weight"].T.numpy(), state["dense.bias"].numpy()])
    return model, ours
