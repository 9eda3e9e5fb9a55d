"""Extents of windows: takes what changes in a map under each of many windows, gives what changes behind a convolution
or a pool, and cuts such patches out of maps; runs no network.

A window changes the rows and columns ``lo`` to ``hi``, inclusive. Behind a kernel of size k, dilation d, stride s and
padding p those are lo' = ceil((lo + p - d (k - 1)) / s) to hi' = floor((hi + p) / s); lo' > hi' where nothing is. All
patches of one map have one size, that of the largest: what a smaller one holds besides is unchanged and right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Crop", "Extent", "Kernel"]


@dataclass(frozen=True)
class Kernel:
    """How a convolution or a pool moves over a map: one number for each of the two axes."""

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def span(self) -> Tensor:
        """From the first to the last row or column that it reads, less one."""
        return torch.tensor(self.dilation) * (torch.tensor(self.size) - 1)

    @property
    def local(self) -> bool:
        """Whether every place is made of itself alone."""
        return self.size == self.stride == (1, 1) and self.padding == (0, 0)


@dataclass(frozen=True, eq=False)
class Extent:
    """What n windows change in a map of ``shape`` (rows, columns): ``lo`` to ``hi`` [n, 2], inclusive; their patches
    begin at ``start`` [n, 2] and are ``size`` large."""

    shape: tuple[int, int]
    lo: Tensor
    hi: Tensor
    start: Tensor
    size: tuple[int, int]

    @classmethod
    def of(cls, shape: Sequence[int], lo: Tensor, hi: Tensor) -> Extent:
        """The region of windows from ``lo`` to ``hi``, patches as small as the largest window allows."""
        limit = torch.tensor(tuple(shape)[-2:])
        most = (hi - lo + 1).amax(0).clamp(min=1)
        size = torch.minimum(most, limit)
        start = torch.minimum(lo.clamp(min=0), limit - size)
        return cls(_pair(limit), lo, hi, start, _pair(size))

    @property
    def share(self) -> float:
        """A patch's part of the map."""
        return self.size[0] * self.size[1] / (self.shape[0] * self.shape[1])

    def behind(self, kernel: Kernel, shape: Sequence[int]) -> Extent:
        """What the windows change behind ``kernel``, in a map of ``shape``."""
        stride, padding = torch.tensor(kernel.stride), torch.tensor(kernel.padding)
        lo = -(-(self.lo + padding - kernel.span) // stride)
        hi = (self.hi + padding) // stride
        return Extent.of(shape, lo.clamp(min=0), torch.minimum(hi, torch.tensor(tuple(shape)[-2:]) - 1))

    def united(self, *others: Extent) -> Extent:
        """What changes in this region or another."""
        lo = torch.stack([region.lo for region in (self, *others)]).amin(0)
        hi = torch.stack([region.hi for region in (self, *others)]).amax(0)
        return Extent.of(self.shape, lo, hi)

    def moved(self, by: tuple[int, int], shape: Sequence[int]) -> Extent:
        """The same windows in a map with a margin: ``by`` rows and columns before."""
        step = torch.tensor(by)
        return Extent(
            _pair(torch.tensor(tuple(shape)[-2:])), self.lo + step, self.hi + step, self.start + step, self.size
        )

    def same_patches(self, other: Extent) -> bool:
        """Whether patches of both lie in the same places."""
        return self.size == other.size and torch.equal(self.start, other.start)


class Crop:
    """Patches of a map with their surroundings: of ``base`` [1, C, H, W] as it was, from ``start`` [n, 2] on and
    ``size`` large, with what ``region`` says changed laid over. Outside the map is ``value``."""

    def __init__(self, base: Tensor, region: Extent, start: Tensor, size: tuple[int, int], value: float = 0.0) -> None:
        height, width = base.shape[2:]
        before = (-start).amax(0).clamp(min=0)
        after = (start + torch.tensor(size) - torch.tensor([height, width])).amax(0).clamp(min=0)
        top, left, bottom, right = int(before[0]), int(before[1]), int(after[0]), int(after[1])
        padded = F.pad(base, (left, right, top, bottom), value=value)
        self._width = padded.shape[3]
        #: places by number, channels beside each other
        self._places = padded[0].permute(1, 2, 0).reshape(-1, base.shape[1]).contiguous()
        self._first = (start + before) @ torch.tensor([self._width, 1])
        self._within = (torch.arange(size[0])[:, None] * self._width + torch.arange(size[1])).reshape(-1)
        self._offsets = (region.start - start).tolist()
        self._size, self._patch = size, region.size

    def __call__(self, patches: Tensor, rows: Sequence[int]) -> Tensor:
        """The crops [m, C, *size], channels last in memory, of windows ``rows``, whose changed ``patches`` [m, C, ...]
        are given."""
        index = (self._first[list(rows), None] + self._within).reshape(-1)
        crops = self._places.index_select(0, index).reshape(len(rows), *self._size, -1)
        channels = patches.permute(0, 2, 3, 1)
        groups: dict[tuple[int, int], list[int]] = {}
        for m, row in enumerate(rows):
            groups.setdefault(tuple(self._offsets[row]), []).append(m)
        for (y, x), members in groups.items():
            to_y, from_y = _overlap(y, self._patch[0], self._size[0])
            to_x, from_x = _overlap(x, self._patch[1], self._size[1])
            if len(groups) == 1:
                crops[:, to_y, to_x] = channels[:, from_y, from_x]
            else:
                group = torch.tensor(members)
                crops[group, to_y, to_x] = channels[group, from_y, from_x]
        return crops.permute(0, 3, 1, 2)


def _overlap(offset: int, patch: int, crop: int) -> tuple[slice, slice]:
    """Where a patch that begins at ``offset`` lies in a crop, and which part of it does."""
    begin, end = max(offset, 0), max(min(offset + patch, crop), max(offset, 0))
    return slice(begin, end), slice(begin - offset, end - offset)


def _pair(values: Tensor) -> tuple[int, int]:
    return int(values[0]), int(values[1])
