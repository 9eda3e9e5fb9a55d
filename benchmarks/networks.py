"""Networks and inputs: takes a name, gives a network whose batch norms have statistics of their own, its layer, and
batches of photos; downloads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import seewhy

__all__ = ["LAYERS", "NETWORKS", "Subject", "photos", "subject"]

#: the layer of class activation maps; None has one chosen
LAYERS: dict[str, str | None] = {
    "resnet50": "layer4",
    "vgg16": "features.29",  # the last rectifier before the pool
    "mobilenet_v2": "features",
    "builtin": None,
}
NETWORKS = tuple(LAYERS)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class Subject:
    """What is explained: a model and the layer of its class activation maps."""

    name: str
    model: seewhy.Model
    layer: str


def subject(name: str) -> Subject:
    """A network in eval mode: the built-in one as it is, torchvision's untrained, from seed 0."""
    model = seewhy.load("builtin") if name == "builtin" else seewhy.wrap(_untrained(name), name=name)
    layer = LAYERS[name] or next(each.name for each in seewhy.layers(model) if each.chosen)
    return Subject(name, model, layer)


def _untrained(name: str) -> nn.Module:
    """Batch norm statistics are those of photos and noise, layer by layer: folding them must change something."""
    import torchvision

    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net: nn.Module = torchvision.models.get_model(name, weights=None)
        norms = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
        for part in norms:
            part.momentum = None  # a plain mean over the batches below
            nn.init.normal_(part.bias, std=0.2)
            nn.init.uniform_(part.weight, 0.7, 1.3)
        net.eval()
        for part in norms:
            part.train()
        with torch.no_grad():
            for seed in range(2 if norms else 0):
                net(torch.cat([photos(6, seed=10 + seed), torch.randn(2, 3, 224, 224)]))
        for part in norms:
            part.momentum = 0.1
    return net.eval()


def photos(batch: int, size: int = 224, seed: int = 1) -> Tensor:
    """Random crops of the photos that come along, normalised as ImageNet's: [batch, 3, size, size]."""
    draw = np.random.default_rng(seed)
    crops = []
    for n in range(batch):
        with (
            resources.as_file(resources.files("seewhy.photos") / ("chelsea.png", "coffee.png")[n % 2]) as path,
            Image.open(path) as file,
        ):
            photo = file.convert("RGB")
        side = int(draw.integers(200, min(photo.size) + 1))
        left, top = (int(draw.integers(0, full - side + 1)) for full in photo.size)
        crop = photo.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BILINEAR)
        crops.append(np.asarray(crop, np.float32).transpose(2, 0, 1) / 255)
    mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in (_MEAN, _STD))
    return (torch.from_numpy(np.stack(crops)) - mean) / std
