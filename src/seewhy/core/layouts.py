"""Layouts: takes the shape of an activation, gives where its channels and positions are; never runs a model.

Whatever a layer's own axes are, formulas see [B, C, *positions]: convolutions in 1, 2 or 3 dimensions, channels-last
blocks (Swin), and token sequences (ViT), whose prefix tokens (class, registers) are set aside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.errors import CapabilityError

__all__ = ["Layout", "Reshape", "find_layout"]

#: class, distillation and register tokens that known models put before the grid: 1, 2, 5 and 9 at most
_MOST_PREFIX = 9
#: a user's own way from a raw activation to [B, C, *positions]
Reshape = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layout:
    """``channel`` is the axis of channels; ``grid`` the positions' shape; ``prefix`` the tokens before them."""

    channel: int
    grid: tuple[int, ...]
    tokens: bool = False
    prefix: int = 0
    reshape: Reshape | None = None

    def canonical(self, raw: Tensor) -> Tensor:
        """[B, C, *grid], a view where possible."""
        if self.reshape is not None:
            return self.reshape(raw)
        if self.tokens:
            tokens = raw[:, self.prefix :].transpose(1, 2)
            return tokens.reshape(*tokens.shape[:2], *self.grid)
        return raw if self.channel == 1 else raw.movedim(self.channel, 1)

    def restore(self, canonical: Tensor, raw: Tensor) -> Tensor:
        """The inverse of `canonical`; prefix tokens are taken from ``raw``, of the same batch."""
        if self.reshape is not None:
            raise CapabilityError(
                "a method that edits activations cannot undo reshape=; leave reshape= out, or use a gradient CAM"
            )
        if self.tokens:
            tokens = canonical.flatten(2).transpose(1, 2)
            return torch.cat([raw[:, : self.prefix], tokens], 1)
        return canonical if self.channel == 1 else canonical.movedim(1, self.channel)


def _stride(grid: Sequence[int], size: Sequence[int]) -> bool:
    """Whether ``grid`` is ``size`` divided by one stride, give or take a border of padding."""
    if len(grid) != len(size) or any(n > s for n, s in zip(grid, size, strict=True)):
        return False
    low = max(s / (n + 1) for n, s in zip(grid, size, strict=True))
    high = min(s / max(n - 1, 0.5) for n, s in zip(grid, size, strict=True))
    return low <= high


def _token_grid(count: int, size: Sequence[int]) -> tuple[int, tuple[int, int]] | None:
    """Prefix and grid of a sequence of ``count`` tokens over an input of ``size``; fewest prefix tokens first.

    Only grids with one whole stride in both axes count, so 197 tokens at 224x224 are 1 + 14x14.
    """
    height, width = size
    for prefix in range(min(count, _MOST_PREFIX + 1)):
        left = count - prefix
        if left < 3 * prefix:  # a handful of tokens is no image with class tokens before it
            break
        for rows in range(1, math.isqrt(left * max(height, 1) // max(width, 1)) + 2):
            columns, rest = divmod(left, rows)
            if rest == 0 and height // rows == width // max(columns, 1) and _whole(rows, columns, height, width):
                return prefix, (rows, columns)
    return None


def _whole(rows: int, columns: int, height: int, width: int) -> bool:
    stride = height // rows
    return stride >= 2 and height // stride == rows and width // stride == columns


def find_layout(
    shape: Sequence[int], size: Sequence[int], reshape: Reshape | None = None, last: bool = False
) -> Layout:
    """The layout of an activation of ``shape`` [B, ...] for an input whose positions are ``size`` (e.g. (224, 224)).

    ``reshape`` is trusted as it is. A shape without positions ([B, C]) has an empty grid. Where channels could be
    first or last they are first; ``last`` for a network that has them last.

    >>> find_layout((1, 197, 768), (224, 224)).prefix, find_layout((1, 197, 768), (224, 224)).grid
    (1, (14, 14))
    >>> find_layout((1, 7, 7, 768), (224, 224)).channel
    3
    >>> find_layout((1, 8, 8, 8), (8, 8)).channel, find_layout((1, 8, 8, 8), (8, 8), last=True).channel
    (1, 3)
    """
    if reshape is not None:
        return Layout(1, (), reshape=reshape)
    inner = tuple(shape[1:])
    if len(inner) == len(size) + 1:
        layouts = [Layout(1, inner[1:]), Layout(len(inner), inner[:-1])]
        usual, other = reversed(layouts) if last else layouts
        return other if not _stride(usual.grid, size) and _stride(other.grid, size) else usual
    if len(inner) == 2 and len(size) == 2:
        found = _token_grid(inner[0], size)
        if found is not None:
            return Layout(2, found[1], tokens=True, prefix=found[0])
    if len(inner) <= 1:
        return Layout(1, ())
    if len(inner) == 2:  # a sequence that is no grid: channels last, as transformers and LSTMs have them
        return Layout(2, inner[:1])
    return Layout(len(inner), inner[:-1]) if last else Layout(1, inner[1:])
