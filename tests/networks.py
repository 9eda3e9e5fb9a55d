"""Small networks for tests: takes a name and a seed, gives a module in eval mode and its layers; never trains.

Every network is a tree of `Sequential` and `Residual` around plain layers, so that a reference can walk it by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["CLASSES", "NETWORKS", "Case", "Residual", "SharedReLU", "image", "make"]

CLASSES = 4


class Residual(nn.Module):
    """``x + body(x)``, then a ReLU in place, as in torchvision's ResNets."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        out = self.body(x)
        out += x
        return self.act(out)


class SharedReLU(nn.Module):
    """One ReLU object, in place, called three times, once only for its side effect."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 4, 3, padding=1, stride=2)
        self.three = nn.Conv2d(4, 5, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, K]."""
        x = self.relu(self.one(x))
        x = self.two(x)
        self.relu(x)  # the result is thrown away: only the rewriting counts
        x = self.relu(self.three(x))
        return self.head(x.amax((2, 3)))


@dataclass(frozen=True)
class Case:
    """A network with its layers: ``layer`` the last one with positions, ``early`` one before it."""

    net: nn.Module
    layer: str
    early: str
    pooled: bool
    """Whether the head is mean pooling and one linear layer."""


def _pool_linear(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)]


def _conv_bn_relu() -> Case:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        *_pool_linear(5),
    )
    return Case(net, "6", "2", pooled=True)


def _relu6() -> Case:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU6(inplace=True),
        nn.Conv2d(4, 5, 3, stride=2),
        nn.BatchNorm2d(5),
        nn.ReLU6(inplace=True),
        nn.Flatten(),
        nn.Linear(5 * 3 * 3, CLASSES),
    )
    return Case(net, "4", "1", pooled=False)


def _silu() -> Case:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.SiLU(inplace=True),
        nn.Conv2d(4, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.SiLU(),
        *_pool_linear(5),
    )
    return Case(net, "4", "1", pooled=True)


def _gelu() -> Case:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(4, 5, 3),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(5 * 2 * 2, 6),
        nn.GELU(),
        nn.Linear(6, CLASSES),
    )
    return Case(net, "3", "1", pooled=False)


def _residual() -> Case:
    body = nn.Sequential(
        nn.Conv2d(5, 5, 3, padding=1, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(inplace=True),
        nn.Conv2d(5, 5, 3, padding=1, bias=False),
        nn.BatchNorm2d(5),
    )
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(inplace=True),
        Residual(body),
        *_pool_linear(5),
    )
    return Case(net, "3", "2", pooled=True)


def _bias_free() -> Case:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, CLASSES, bias=False),
    )
    return Case(net, "4", "1", pooled=True)


def _one_position() -> Case:
    net = nn.Sequential(nn.Conv2d(3, 6, 8), nn.ReLU(), nn.Conv2d(6, 5, 1), nn.ReLU(), *_pool_linear(5))
    return Case(net, "3", "1", pooled=True)


def _shared() -> Case:
    return Case(SharedReLU(), "relu", "one", pooled=False)


#: the networks that a reference walks layer by layer
NETWORKS: dict[str, Callable[[], Case]] = {
    "conv-bn-relu": _conv_bn_relu,
    "relu6-in-place": _relu6,
    "silu": _silu,
    "gelu": _gelu,
    "residual": _residual,
}
_OTHERS: dict[str, Callable[[], Case]] = {
    "bias-free": _bias_free,
    "one-position": _one_position,
    "shared-relu": _shared,
}


def make(name: str, seed: int = 0, dtype: torch.dtype = torch.float64) -> Case:
    """A network with weights, biases and batch norm statistics drawn from ``seed`` (drawn in float64, then cast)."""
    with torch.random.fork_rng([]):
        case = (NETWORKS | _OTHERS)[name]()
    draw = torch.Generator().manual_seed(seed)

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=draw, dtype=torch.float64)

    case.net.double().eval()
    with torch.no_grad():
        for part in case.net.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                fan = part.weight[0].numel()
                part.weight.copy_(normal(part.weight) * (2 / fan) ** 0.5)
                if part.bias is not None:
                    part.bias.copy_(0.3 * normal(part.bias))
            if isinstance(part, nn.BatchNorm2d):
                part.weight.copy_(1 + 0.3 * normal(part.weight).clamp(-2, 2))
                part.bias.copy_(0.3 * normal(part.bias))
                part.running_mean.copy_(0.3 * normal(part.running_mean))
                part.running_var.copy_(0.5 + normal(part.running_var).abs())
    case.net.to(dtype)
    return case


def image(seed: int = 0, batch: int = 2, size: int = 8, dtype: torch.dtype = torch.float64) -> Tensor:
    """A batch [B, 3, size, size] of inputs that float32 holds exactly, so that both precisions see the same one."""
    draw = torch.Generator().manual_seed(1000 + seed)
    return torch.randn(batch, 3, size, size, generator=draw).to(dtype)
