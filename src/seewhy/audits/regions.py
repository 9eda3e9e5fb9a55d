"""Places in pictures: takes a size, gives windows, frames and their like; takes pictures, exchanges such places."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Window", "blurred", "fills", "frame", "pasted", "windows"]


@dataclass(frozen=True)
class Window:
    """A rectangle of ``height`` by ``width`` pixels whose upper left corner is at ``top``, ``left``."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def overlap(self, other: Window) -> float:
        """The share of this window that the other one covers."""
        rows = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        columns = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        return max(rows, 0) * max(columns, 0) / (self.height * self.width)

    def mask(self, size: tuple[int, int]) -> Tensor:
        """1 inside, [H, W]."""
        found = torch.zeros(size)
        found[self.slices] = 1
        return found


def windows(size: tuple[int, int], share: float = 0.25) -> list[Window]:
    """Windows whose sides are a ``share`` of the picture's, a half of a window apart, the last ones at the edge."""
    sides = [max(2, round(side * share)) for side in size]
    starts = [
        sorted({*range(0, whole - side + 1, max(1, side // 2)), whole - side})
        for whole, side in zip(size, sides, strict=True)
    ]
    return [Window(top, left, sides[0], sides[1]) for top in starts[0] for left in starts[1]]


def frame(size: tuple[int, int], share: float) -> Tensor:
    """1 in a frame around the picture, a ``share`` of the shorter side wide and at least a pixel, [H, W]."""
    wide = max(1, round(min(size) * share))
    found = torch.ones(size)
    found[wide : size[0] - wide, wide : size[1] - wide] = 0
    return found


def pasted(onto: Tensor, of: Tensor, mask: Tensor) -> Tensor:
    """Pictures [N, C, H, W] in which what is ``of`` others shows where a mask, [H, W] or [N, H, W], is 1."""
    mask = mask.to(onto)
    mask = mask[None, None] if mask.ndim == 2 else mask[:, None]
    return onto + mask * (of - onto)


def blurred(inputs: Tensor, share: float = 0.15) -> Tensor:
    """Pictures behind a Gaussian blur whose standard deviation is a ``share`` of the shorter side."""
    spread = max(1.0, share * min(inputs.shape[2:]))
    reach = int(2 * spread)
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=inputs.dtype) / spread).square())
    line /= line.sum()
    channels, found = inputs.shape[1], inputs
    for kernel, padding in ((line[None], (reach, reach, 0, 0)), (line[:, None], (0, 0, reach, reach))):
        padded = F.pad(found, padding, mode="replicate")
        found = F.conv2d(padded, kernel.expand(channels, 1, *kernel.shape), groups=channels)
    return found


def fills(inputs: Tensor, others: Tensor) -> dict[str, Tensor]:
    """What hides a place of pictures, by name: what ``others`` have there, a blur, each picture's mean colour."""
    return {
        "other classes' window": others,
        "blur": blurred(inputs),
        "mean colour": inputs.mean((2, 3), keepdim=True).expand_as(inputs),
    }
