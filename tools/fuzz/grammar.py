"""Grammar: takes a random generator, gives small networks of blocks that real networks are made of; runs nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

__all__ = ["BLOCKS", "ENDS", "HEADS", "Network", "draw_network"]


class Apply(nn.Module):
    """A function as a module, with parts that it may use."""

    def __init__(self, function: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        """The function of ``x``."""
        return self.function(x, *self.parts)


class Gain(nn.Module):
    """Multiplies by what stands in a container, on its class and in a list."""

    share = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.cfg: dict[str, Any] = {"gain": 1.25, "more": [1.0, 2.0]}

    def forward(self, x: Tensor) -> Tensor:
        """``x``, larger."""
        return x * (self.cfg["gain"] * self.cfg["more"][0] * self.share)


class Shared(nn.Module):
    """One weight for two convolutions that move in other ways."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width, 3, 3) / (3 * width**0.5))

    def forward(self, x: Tensor) -> Tensor:
        """At dilation 1, then 2."""
        return F.conv2d(F.conv2d(x, self.weight, padding=1).relu(), self.weight, padding=2, dilation=2)


class Attention(nn.Module):
    """Self-attention of positions, fused or step by step."""

    def __init__(self, width: int, fused: bool) -> None:
        super().__init__()
        self.qkv, self.out, self.fused = nn.Linear(width, 3 * width), nn.Linear(width, width), fused

    def forward(self, x: Tensor) -> Tensor:
        """Added to ``x`` [B, C, H, W]."""
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).chunk(3, -1)
        if self.fused:
            mixed = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        else:
            mixed = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1) @ v
        return x + self.out(mixed).transpose(1, 2).reshape(x.shape)


def _conv(a: int, b: int, kernel: Any = 3, **how: Any) -> nn.Conv2d:
    how.setdefault("padding", kernel // 2 if isinstance(kernel, int) else tuple(k // 2 for k in kernel))
    return nn.Conv2d(a, b, kernel, **how)


def _added(x: Tensor, *parts: nn.Module) -> Tensor:
    y = x
    for part in parts:
        y = part(y)
    return x + y


def _added_in_place(x: Tensor, *parts: nn.Module) -> Tensor:
    y = x
    for part in parts:
        y = part(y)
    y += x
    return F.relu_(y)


def _shuffled(x: Tensor) -> Tensor:
    return x.view(len(x), 2, x.shape[1] // 2, *x.shape[2:]).transpose(1, 2).reshape(x.shape)


def _normed_last(x: Tensor, norm: nn.Module) -> Tensor:
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _split(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    left, right = x.chunk(2, 1)
    return torch.cat([a(left), b(right)], 1)


Draw = random.Random
#: by name: what makes a block of so many channels, which it keeps (all widths are multiples of 4)
BLOCKS: dict[str, Callable[[int, Draw], nn.Module]] = {
    "conv": lambda c, r: _conv(c, c),
    "conv 1x1": lambda c, r: _conv(c, c, 1),
    "conv 5x5": lambda c, r: _conv(c, c, 5),
    "conv 1x3": lambda c, r: _conv(c, c, (1, 3)),
    "conv 2x2": lambda c, r: nn.Conv2d(c, c, 2, padding=1),
    "conv without bias": lambda c, r: _conv(c, c, bias=False),
    "conv strided": lambda c, r: _conv(c, c, stride=2),
    "conv strided unequally": lambda c, r: _conv(c, c, stride=(1, 2)),
    "conv dilated": lambda c, r: _conv(c, c, dilation=2, padding=2),
    "conv in groups": lambda c, r: _conv(c, c, groups=4),
    "conv depthwise": lambda c, r: _conv(c, c, groups=c),
    "conv depthwise strided": lambda c, r: _conv(c, c, groups=c, stride=2),
    "conv separable": lambda c, r: nn.Sequential(_conv(c, c, groups=c, bias=False), _conv(c, c, 1)),
    "conv transposed": lambda c, r: nn.ConvTranspose2d(c, c, 3, stride=1, padding=1),
    "conv transposed strided": lambda c, r: nn.Sequential(_conv(c, c, stride=2), nn.ConvTranspose2d(c, c, 2, stride=2)),
    "conv reflected": lambda c, r: _conv(c, c, padding_mode="reflect"),
    "conv replicated": lambda c, r: _conv(c, c, padding_mode="replicate"),
    "conv circular": lambda c, r: _conv(c, c, padding_mode="circular"),
    "conv same": lambda c, r: nn.Conv2d(c, c, 3, padding="same"),
    "conv of one weight twice": lambda c, r: Shared(c),
    "conv weight norm": lambda c, r: weight_norm(_conv(c, c)),
    "conv spectral norm": lambda c, r: spectral_norm(_conv(c, c)),
    "conv as linear": lambda c, r: Apply(_normed_last, nn.Linear(c, c)),
    "conv bn relu": lambda c, r: nn.Sequential(_conv(c, c, bias=False), nn.BatchNorm2d(c), nn.ReLU(inplace=True)),
    "conv bn relu6": lambda c, r: nn.Sequential(_conv(c, c), nn.BatchNorm2d(c), nn.ReLU6(inplace=True)),
    "conv silu": lambda c, r: nn.Sequential(_conv(c, c), nn.SiLU(inplace=True)),
    "batch norm": lambda c, r: nn.BatchNorm2d(c),
    "batch norm without weights": lambda c, r: nn.BatchNorm2d(c, affine=False),
    "group norm": lambda c, r: nn.GroupNorm(4, c),
    "layer norm": lambda c, r: Apply(_normed_last, nn.LayerNorm(c)),
    "instance norm": lambda c, r: nn.InstanceNorm2d(c, affine=True),
    "response norm": lambda c, r: nn.LocalResponseNorm(3),
    "relu": lambda c, r: nn.ReLU(),
    "relu in place": lambda c, r: nn.ReLU(inplace=True),
    "relu function": lambda c, r: Apply(lambda x: F.relu(x)),
    "relu method in place": lambda c, r: Apply(lambda x: (1 * x).relu_()),
    "relu6": lambda c, r: nn.ReLU6(),
    "leaky relu": lambda c, r: nn.LeakyReLU(0.1),
    "prelu": lambda c, r: nn.PReLU(c),
    "elu": lambda c, r: nn.ELU(),
    "selu": lambda c, r: nn.SELU(),
    "celu": lambda c, r: nn.CELU(),
    "gelu": lambda c, r: nn.GELU(),
    "silu": lambda c, r: nn.SiLU(),
    "mish": lambda c, r: nn.Mish(),
    "hardswish": lambda c, r: nn.Hardswish(),
    "hardtanh": lambda c, r: nn.Hardtanh(-0.5, 2.0),
    "clamp": lambda c, r: Apply(lambda x: x.clamp(0.0, 3.0)),
    "softplus": lambda c, r: nn.Softplus(),
    "tanh": lambda c, r: nn.Tanh(),
    "sigmoid gate": lambda c, r: Apply(lambda x: x * x.sigmoid()),
    "square": lambda c, r: Apply(lambda x: x.square().add(0.1).sqrt()),
    "max pool": lambda c, r: nn.MaxPool2d(2),
    "max pool overlapping": lambda c, r: nn.MaxPool2d(3, 1, padding=1),
    "max pool ceiling": lambda c, r: nn.MaxPool2d(2, ceil_mode=True),
    "average pool": lambda c, r: nn.AvgPool2d(2),
    "average pool without padding": lambda c, r: nn.AvgPool2d(3, 1, padding=1, count_include_pad=False),
    "average pool padded": lambda c, r: nn.AvgPool2d(3, 1, padding=1),
    "adaptive pool": lambda c, r: nn.AdaptiveAvgPool2d(5),
    "adaptive max pool": lambda c, r: nn.AdaptiveMaxPool2d((4, 5)),
    "residual": lambda c, r: Apply(_added, _conv(c, c), nn.BatchNorm2d(c), nn.ReLU()),
    "residual in place": lambda c, r: Apply(_added_in_place, _conv(c, c), nn.BatchNorm2d(c)),
    "residual inverted": lambda c, r: Apply(_added, _conv(c, 8, 1), nn.ReLU6(), _conv(8, 8, groups=8), _conv(8, c, 1)),
    "dense": lambda c, r: Apply(lambda x, a, b: b(torch.cat([x, a(x)], 1)), _conv(c, 4), _conv(c + 4, c, 1)),
    "two branches": lambda c, r: Apply(_split, _conv(c // 2, c // 2), _conv(c // 2, c // 2, 1)),
    "maximum of branches": lambda c, r: Apply(lambda x, a, b: torch.maximum(a(x), b(x)), _conv(c, c), _conv(c, c, 1)),
    "squeeze and excite": lambda c, r: Apply(
        lambda x, a, b: x * b(a(x.mean((2, 3), keepdim=True)).relu()).sigmoid(), _conv(c, 4, 1), _conv(4, c, 1)
    ),
    "gate of rows": lambda c, r: Apply(lambda x, a: x * a(x.mean((2, 3))).sigmoid()[..., None, None], nn.Linear(c, c)),
    "gate of places": lambda c, r: Apply(lambda x, a: x * a(x.amax(1, keepdim=True)).sigmoid(), _conv(1, 1, 5)),
    "softmax of channels": lambda c, r: Apply(lambda x: x * x.softmax(1) * 4),
    "attention": lambda c, r: Attention(c, fused=False),
    "attention fused": lambda c, r: Attention(c, fused=True),
    "shuffled channels": lambda c, r: Apply(_shuffled),
    "pixels to channels": lambda c, r: nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.PixelUnshuffle(2), _conv(4 * c, c, 1)),
    "channels to pixels": lambda c, r: nn.Sequential(_conv(c, 4 * c, 1), nn.PixelShuffle(2), nn.AvgPool2d(2)),
    "upsampled": lambda c, r: nn.Sequential(nn.AvgPool2d(2), nn.Upsample(scale_factor=2)),
    "upsampled bilinear": lambda c, r: nn.Sequential(nn.MaxPool2d(2), nn.Upsample(size=(9, 7), mode="bilinear")),
    "rolled": lambda c, r: Apply(lambda x: torch.roll(x, (1, 1), (2, 3))),
    "flipped": lambda c, r: Apply(lambda x: x + x.flip(3)),
    "margin": lambda c, r: nn.ZeroPad2d((1, 0, 0, 2)),
    "margin reflected": lambda c, r: nn.ReflectionPad2d(1),
    "cropped": lambda c, r: Apply(lambda x: x[:, :, :-1, :-1]),
    "dropout": lambda c, r: nn.Dropout2d(0.5),
    "gain": lambda c, r: Gain(),
    "scale": lambda c, r: Apply(lambda x: x * 0.7 + 0.1),
    "difference": lambda c, r: Apply(lambda x: x - x.mean((2, 3), keepdim=True)),
    "same relu twice": lambda c, r: (lambda relu, conv: nn.Sequential(relu, conv, relu))(
        nn.ReLU(inplace=True), _conv(c, c)
    ),
}

#: by name: from maps of so many channels to so many scores
HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    "mean, linear": lambda c, k: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, k)),
    "mean function, linear": lambda c, k: Apply(lambda x, head: head(x.mean((2, 3))), nn.Linear(c, k)),
    "maximum, linear": lambda c, k: Apply(lambda x, head: head(x.amax((2, 3))), nn.Linear(c, k)),
    "flatten, two linear": lambda c, k: nn.Sequential(
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(9 * c, 12), nn.ReLU(inplace=True), nn.Linear(12, k)
    ),
    "convolution, mean": lambda c, k: nn.Sequential(_conv(c, k, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "view of the batch": lambda c, k: Apply(
        lambda x, head: head(F.adaptive_avg_pool2d(x, 1).view(x.shape[0], -1)), nn.Linear(c, k)
    ),
    "cosine": lambda c, k: Apply(
        lambda x, head: 8 * F.linear(F.normalize(x.mean((2, 3))), head.weight), nn.Linear(c, k)
    ),
}

#: by name: what follows the scores
ENDS: dict[str, Callable[[Tensor], Any]] = {
    "nothing": lambda y: y,
    "softmax": lambda y: y.softmax(1),
    "sigmoid": torch.sigmoid,
    "log-softmax": lambda y: F.log_softmax(y, -1),
    "temperature": lambda y: (y / 0.5).softmax(-1),
    "a dictionary": lambda y: {"logits": y},
    "a tuple": lambda y: (y, y.detach().mean()),
}


class Network(nn.Module):
    """A stem, blocks, a head, an end; ``words`` say of what it is made."""

    def __init__(self, channels: int, width: int, blocks: list[str], head: str, end: str, draw: Draw) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*(BLOCKS[name](width, draw) for name in blocks))
        self.head, self.end = HEADS[head](width, 5), end
        self.words = f"{channels} channels, width {width}: {', '.join(blocks)}; {head}; {end}"

    def forward(self, x: Tensor) -> Any:
        """Scores [B, 5], or what holds them."""
        return ENDS[self.end](self.head(self.blocks(self.stem(x))))


def draw_network(draw: Draw) -> tuple[Network, tuple[int, int]]:
    """A network in eval mode, with weights and statistics that matter, and the size of its pictures."""
    torch.manual_seed(draw.randrange(2**31))
    blocks = draw.choices(list(BLOCKS), k=draw.randint(2, 7))
    net = Network(
        draw.choice((1, 3, 3, 4)),
        draw.choice((4, 8, 16)),
        blocks,
        draw.choice(list(HEADS)),
        draw.choice(list(ENDS)),
        draw,
    )
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, 0, 0.3)
    size = draw.randint(17, 26), draw.randint(17, 26)
    return net.eval(), size
