"""A small world with a shortcut: pictures of coloured blobs, most of class 0 with a bright corner, and a network that
has learnt both."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

SIDE, CLASSES = 12, 3


def pictures(count: int, share: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noise with a grained blob of its class's colour somewhere; a share of class 0, and as few of others, has a bright
    corner [N, 3, S, S]; classes; who has it."""
    draw = torch.Generator().manual_seed(seed)
    x = 0.25 * torch.rand(count, 3, SIDE, SIDE, generator=draw)
    labels = torch.arange(count) % CLASSES
    for n in range(count):
        top, left = torch.randint(SIDE - 6, (2,), generator=draw).tolist()
        x[n, labels[n], top : top + 4, left : left + 4] += 0.05 + 0.2 * torch.rand(4, 4, generator=draw)
    chance = torch.where(labels == 0, share, (1 - share) / 2)
    has = torch.rand(count, generator=draw) < chance
    x[has, :, -4:, -4:] = torch.eye(4)
    return x, labels, has


@cache
def _trained() -> nn.Module:
    x, labels, _ = pictures(900, 0.98, 0)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = build()
        optimiser = torch.optim.Adam(net.parameters(), lr=4e-3)
        for _ in range(10):
            for rows in torch.randperm(len(x)).split(60):
                loss = nn.functional.cross_entropy(net(x[rows]), labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    return net.eval()


def network() -> nn.Module:
    """A small network that has learnt blobs and the corner."""
    net = build()
    net.load_state_dict(_trained().state_dict())
    return net


def build() -> nn.Module:
    """The same network, untrained: somebody's own code."""
    return nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Conv2d(12, 24, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(96, CLASSES),
    ).eval()  # fmt: skip


def worst(net: nn.Module) -> float:
    """The share of the worst group, a class with or without the corner, that is right."""
    x, labels, has = pictures(900, 0.5, 7)
    with torch.no_grad():
        right = net(x).argmax(1) == labels
    return min(
        float(right[(labels == k) & (has == h)].double().mean()) for k in range(CLASSES) for h in (True, False)
    )  # fmt: skip
