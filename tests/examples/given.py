"""What the examples of README and docs take for granted: a network in hand, a model, a photo, a batch, a function."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision  # type: ignore[import-untyped]
from PIL import Image
from torch import Tensor, nn

import seewhy

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras  # type: ignore[import-untyped]

module: nn.Module = nn.Sequential(
    nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 2)
).eval()
network: nn.Module = torchvision.models.resnet18().eval()
transformer: nn.Module = torchvision.models.VisionTransformer(64, 16, 2, 3, 24, 32)
transformer.heads = nn.Identity()
transformer.eval()
model: seewhy.Model = replace(  # its labels, and a network and a size that are quicker
    seewhy.load("builtin"),
    preprocess=seewhy.Preprocess(size=(80, 80), resize=88),
    module=nn.Sequential(
        nn.Conv2d(3, 8, 7, stride=4), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(16, 1000),
    ).eval(),
)  # fmt: skip
keras_model: Any = keras.Sequential(
    [
        keras.Input((64, 64, 3)),
        keras.layers.Conv2D(8, 3, name="conv"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2),
    ]
)
photo = Path("photo.jpg")
image: Tensor = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
batch: Tensor = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def to_tensor(picture: Image.Image) -> Tensor:
    """A picture as `module` takes it."""
    return torch.from_numpy(np.array(picture.convert("RGB").resize((32, 32)))).movedim(-1, 0) / 255


def scores(inputs: Tensor) -> Tensor:
    """Any function from a batch to scores [B, K]."""
    return torch.stack([inputs.mean((1, 2, 3)), inputs.amax((1, 2, 3))], 1)


class Siamese(nn.Module):
    """How alike two pictures are, in two ways."""

    def __init__(self) -> None:
        super().__init__()
        self.back = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        self.head = nn.Linear(8, 2)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores [B, 2]."""
        a, b = (self.head(self.back(side).mean((2, 3))) for side in (left, right))
        alike: Tensor = a * b
        return alike


class LateFusion(nn.Module):
    """A picture, and what else is known of a patient."""

    def __init__(self) -> None:
        super().__init__()
        self.back = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        self.hospital, self.head = nn.Embedding(9, 8), nn.Linear(8, 2)

    def forward(self, image: Tensor, hospital: Tensor, *, age: Tensor, invert: bool = False) -> Tensor:
        """Scores [B, 2]."""
        pooled = self.back(-image if invert else image).mean((2, 3))
        fused: Tensor = self.head(pooled * self.hospital(hospital)) + age
        return fused


class Towers(nn.Module):
    """A picture beside prompts, as CLIP has them."""

    def __init__(self) -> None:
        super().__init__()
        self.see, self.words = nn.Sequential(nn.Conv2d(3, 8, 16, stride=16), nn.ReLU()), nn.Embedding(100, 8)

    def forward(self, input_ids: Tensor, pixel_values: Tensor) -> dict[str, Tensor]:
        """``logits_per_image`` [B, prompts]."""
        return {"logits_per_image": self.see(pixel_values).mean((2, 3)) @ self.words(input_ids).mean(1).T}


class Film(nn.Module):
    """A network of pictures, frame by frame."""

    def __init__(self) -> None:
        super().__init__()
        self.back = nn.Sequential(nn.Conv2d(3, 8, 16, stride=16), nn.ReLU())
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 2] of [B, T, C, H, W]."""
        each: Tensor = self.head(self.back(x.flatten(0, 1)).mean((2, 3)))
        return each.reshape(*x.shape[:2], -1).mean(1)


volume_net: nn.Module = nn.Sequential(
    nn.Conv3d(1, 4, 3), nn.ReLU(), nn.Conv3d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)
).eval()
siamese, late_fusion, clip = Siamese().eval(), LateFusion().eval(), Towers().eval()
video_network = Film().eval()
frames: Any = np.random.default_rng(0).integers(0, 255, (4, 240, 320, 3), dtype=np.uint8)
first, second = batch[:1], batch[1:]
prompts: Tensor = torch.tensor([[1, 2, 3], [1, 2, 4]])
