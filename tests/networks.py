"""Small networks for tests: takes a name and a seed, gives a module in eval mode and its layers; never trains.

Every network is a tree of `Sequential` and `Residual` around plain layers, so that a reference can walk it by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = [
    "CLASSES",
    "NETWORKS",
    "TRANSFORMERS",
    "Case",
    "FusedAttention",
    "MultiHead",
    "Residual",
    "SharedReLU",
    "Transformer",
    "image",
    "make",
]

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


class FusedAttention(nn.Module):
    """Self-attention by torch's fused kernel, which does not hand out its weights."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [B, N, E]."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class MultiHead(nn.MultiheadAttention):
    """torch's own multi-head attention of tokens to themselves."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads, batch_first=True)
        self.width, self.heads = width, heads

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [B, N, E]."""
        return super().forward(x, x, x, need_weights=False)[0]


class Block(nn.Module):
    """A transformer block, norms first."""

    def __init__(self, attention: nn.Module, width: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(width), attention, nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [B, N, E]."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """A vision transformer: patches of 2x2, ``prefix`` further tokens, read out at the first or as the patches' mean."""

    def __init__(self, attentions: list[nn.Module], prefix: int = 1, pooled: bool = False, width: int = 6) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 2, stride=2)
        self.special = nn.Parameter(torch.zeros(1, prefix, width))
        self.blocks = nn.Sequential(*(Block(each, width) for each in attentions))
        self.norm, self.head, self.prefix, self.pooled = nn.LayerNorm(width), nn.Linear(width, CLASSES), prefix, pooled

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, K]."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = self.norm(self.blocks(torch.cat([self.special.expand(len(x), -1, -1), x], 1)))
        return self.head(x[:, self.prefix :].mean(1) if self.pooled else x[:, 0])


@dataclass(frozen=True)
class Case:
    """A network with its layers: ``layer`` the last one with positions, ``early`` one before it."""

    net: nn.Module
    layer: str
    early: str
    pooled: bool
    """Whether the head is mean pooling and one linear layer."""

    @property
    def head(self) -> nn.Module:
        """The last layer, which gives the scores."""
        return self.net.head if isinstance(self.net, Transformer) else self.net[-1]


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


def _tokens() -> Case:
    return Case(Transformer([FusedAttention(6, 2), MultiHead(6, 3)]), "blocks.1.norm1", "blocks.0", pooled=False)


def _tokens_pooled() -> Case:
    net = Transformer([MultiHead(6, 2), FusedAttention(6, 1), FusedAttention(6, 3)], prefix=2, pooled=True)
    return Case(net, "blocks", "blocks.0", pooled=False)


#: networks with attention, for the methods that need it
TRANSFORMERS: dict[str, Callable[[], Case]] = {"tokens": _tokens, "tokens-pooled": _tokens_pooled}
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
        case = (NETWORKS | TRANSFORMERS | _OTHERS)[name]()
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
            if isinstance(part, nn.MultiheadAttention):
                part.in_proj_weight.copy_(normal(part.in_proj_weight))
                part.in_proj_bias.copy_(0.3 * normal(part.in_proj_bias))
            if isinstance(part, nn.LayerNorm):
                part.weight.copy_(1 + 0.3 * normal(part.weight))
                part.bias.copy_(0.3 * normal(part.bias))
            if isinstance(part, Transformer):
                part.special.copy_(normal(part.special))
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
