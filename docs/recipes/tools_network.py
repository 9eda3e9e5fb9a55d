"""A small network that tells one tool from another: what two_objects.py trains, and what the command line builds before
it reads the weights that the recipe left."""

from __future__ import annotations

from torch import nn

__all__ = ["network"]


def network() -> nn.Sequential:
    """Four convolutions on 64x64 pixels; it ends in pooling and one linear layer."""

    def stage(before: int, after: int, stride: int, kernel: int = 3) -> list[nn.Module]:
        conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
        return [conv, nn.BatchNorm2d(after, momentum=0.3), nn.ReLU()]

    body = [*stage(3, 16, 2, 5), *stage(16, 32, 2), *stage(32, 48, 1), *stage(48, 48, 1)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 2))
