"""Networks whose maps are judged: takes a folder of data, gives models with photos and classes, trained here in minutes
or with the weights of a package; two groups, one that sets thresholds and one that they are reported on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import seewhy
from seewhy import Model

__all__ = ["GROUPS", "Judged", "judged"]

#: which networks set the thresholds, and which they are reported on
GROUPS = {
    "setting": ("vgg", "vit", "pooled-vit"),
    "reported": ("builtin", "resnet", "deeper-pooled-vit", "deeper-vit"),
}

_MEAN, _STD = (
    (value).reshape(3, 1, 1) for value in (torch.tensor([0.49, 0.48, 0.45]), torch.tensor([0.25, 0.24, 0.26]))
)
#: photos of CIFAR-10 that networks are trained on; of the others each group has half
_TRAINED_ON = 4000


@dataclass(frozen=True, eq=False)
class Judged:
    """A model, the name of its first layer with positions, and photos with what they are called."""

    model: Model
    first: str
    photos: list[tuple[Any, int | str]]


def judged(name: str, data: Path, work: Path) -> Judged:
    """The network called ``name``: of ImageNet with the photos of ``data``, or trained on its CIFAR-10, which is kept
    in ``work``."""
    group = next(group for group, names in GROUPS.items() if name in names)
    if name == "builtin":
        photos = sorted((data / "photos").glob("*.JPEG"))
        called = [photo.stem.split("_", 1)[1].replace("_", " ").lower() for photo in photos]
        return Judged(seewhy.load(name), "blocks.0", list(zip(photos, called, strict=True)))
    build, first, epochs, rate, seed = _TRAINED[name]
    images, classes, order = _cifar(data)
    network = _trained(build, images, classes, order[:_TRAINED_ON], epochs, rate, seed, work / f"{name}.pt")
    rest = order[_TRAINED_ON:]
    mine = rest[: len(rest) // 2] if group == "setting" else rest[len(rest) // 2 :]
    photos = [(images[i], int(classes[i])) for i in mine]
    return Judged(seewhy.wrap(network), first, photos)


def _cifar(data: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, classes, and the order in which they are dealt out."""
    with np.load(data / "cifar10-6000.npz", allow_pickle=False) as file:
        images = torch.from_numpy(file["images"]).permute(0, 3, 1, 2).float() / 255
        classes = torch.from_numpy(file["labels"]).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return (images - _MEAN) / _STD, classes, order


def _trained(
    build: Callable[[], nn.Module], x: Tensor, y: Tensor, these: Tensor, epochs: int, rate: float, seed: int, path: Path
) -> nn.Module:
    torch.manual_seed(seed)
    network = build()
    if path.exists():
        network.load_state_dict(torch.load(path, weights_only=True))
        return network.eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.05)
    batches = len(these) // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * batches)
    for epoch in range(epochs):
        network.train()
        for batch in these[torch.randperm(len(these))][: batches * 64].split(64):
            images = torch.where((torch.rand(64) < 0.5).reshape(-1, 1, 1, 1), x[batch].flip(3), x[batch])
            dy, dx = torch.randint(-3, 4, (2,)).tolist()
            loss = nn.functional.cross_entropy(network(torch.roll(images, (dy, dx), (2, 3))), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        print(f"{path.stem}: epoch {epoch + 1} of {epochs}, loss {float(loss.detach()):.2f}", flush=True)
    torch.save(network.state_dict(), path)
    return network.eval()


def _conv(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())


class Vgg(nn.Module):
    """Six convolutions, two poolings, a mean, a linear head."""

    def __init__(self, w: int = 24) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _conv(3, w), _conv(w, w), nn.MaxPool2d(2), _conv(w, 2 * w), _conv(2 * w, 2 * w), nn.MaxPool2d(2),
            _conv(2 * w, 4 * w), _conv(4 * w, 4 * w),
        )  # fmt: skip
        self.head = nn.Linear(4 * w, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of ten classes."""
        return self.head(self.features(x).mean((2, 3)))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.a = _conv(channels, out, stride)
        self.b = nn.Sequential(nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))
        self.c = nn.Identity() if channels == out and stride == 1 else nn.Conv2d(channels, out, 1, stride)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """The block."""
        return self.act(self.b(self.a(x)) + self.c(x))  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """Three residual blocks at three scales."""

    def __init__(self, w: int = 24) -> None:
        super().__init__()
        self.stem = _conv(3, w)
        self.stages = nn.Sequential(Residual(w, w), Residual(w, 2 * w, 2), Residual(2 * w, 4 * w, 2))
        self.head = nn.Linear(4 * w, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of ten classes."""
        return self.head(self.stages(self.stem(x)).mean((2, 3)))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention, then a dense part, each with a way around."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(d)
        self.attn = nn.MultiheadAttention(d, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(d)
        self.mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    def forward(self, x: Tensor) -> Tensor:
        """The block."""
        n = self.norm1(x)
        x = x + self.attn(n, n, n, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class ViT(nn.Module):
    """A vision transformer on 8 x 8 tokens that two convolutions make; its head reads a class token or, ``pooled``, the
    mean of all."""

    def __init__(self, d: int = 96, depth: int = 3, heads: int = 4, *, pooled: bool = False) -> None:
        super().__init__()
        self.pooled = pooled
        self.embed = nn.Sequential(
            nn.Conv2d(3, d // 2, 3, 2, 1), nn.BatchNorm2d(d // 2), nn.ReLU(), nn.Conv2d(d // 2, d, 3, 2, 1)
        )
        if not pooled:
            self.token = nn.Parameter(torch.zeros(1, 1, d))
        self.pos = nn.Parameter(0.02 * torch.randn(1, 64 if pooled else 65, d))
        self.blocks = nn.Sequential(*[Layer(d, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of ten classes."""
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        if not self.pooled:
            tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        tokens = self.norm(self.blocks(tokens + self.pos))
        return self.head(tokens.mean(1) if self.pooled else tokens[:, 0])  # type: ignore[no-any-return]


#: how each is built, its first layer with positions, epochs, learning rate, seed
_TRAINED: dict[str, tuple[Callable[[], nn.Module], str, int, float, int]] = {
    "vgg": (Vgg, "features.0", 20, 3e-3, 1),
    "vit": (ViT, "blocks.0.norm1", 22, 1.5e-3, 2),
    "resnet": (ResNet, "stem", 20, 3e-3, 3),
    "deeper-vit": (lambda: ViT(depth=4), "blocks.0.norm1", 22, 1.5e-3, 4),
    "pooled-vit": (lambda: ViT(pooled=True), "blocks.0.norm1", 22, 1.5e-3, 5),
    "deeper-pooled-vit": (lambda: ViT(depth=4, pooled=True), "blocks.0.norm1", 22, 1.5e-3, 6),
}
