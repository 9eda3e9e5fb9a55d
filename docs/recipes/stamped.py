"""A small network that tells digits apart: what shortcuts.py trains, and what the command line builds before it reads
the weights that the recipe left."""

from __future__ import annotations

from torch import nn

__all__ = ["network"]


def network() -> nn.Sequential:
    """Three convolutions, a mean over positions, one linear layer."""

    def stage(before: int, after: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]

    body = [*stage(3, 16, 1), *stage(16, 32, 2), *stage(32, 48, 2)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10))
