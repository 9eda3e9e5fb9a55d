"""Parts of units: takes patterns, cells and weights, gives pictures and networks with every weight written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from seewhy.conformance._unit import CELLS, SIDE

__all__ = ["PLACES", "P", "Q", "S", "again", "canvas", "cells", "convolution", "detectors", "head", "linear", "pooled"]

_HALF = torch.tensor([1.0, 1.0, -1.0, -1.0])
#: three patterns of a cell [4, 4], of values 1 and -1, orthogonal: lying, standing, chequered
P, Q = _HALF[:, None].expand(4, 4).clone(), _HALF.expand(4, 4).clone()
S = P * Q
#: cells of a picture
PLACES = CELLS * CELLS

Cell = tuple[int, int]


def canvas(*pictures: Mapping[Cell, Tensor]) -> Tensor:
    """Pictures [B, 1, 16, 16] that are 0 but in the cells given, each of which shows a pattern [4, 4]."""
    x = torch.zeros(len(pictures), 1, CELLS * SIDE, CELLS * SIDE)
    for n, picture in enumerate(pictures):
        for (row, column), pattern in picture.items():
            x[n, 0, SIDE * row : SIDE * (row + 1), SIDE * column : SIDE * (column + 1)] = pattern
    return x


def cells(*answers: Mapping[Cell, float]) -> Tensor:
    """Numbers of cells [B, 4, 4], 0 but where given."""
    numbers = torch.zeros(len(answers), CELLS, CELLS)
    for n, answer in enumerate(answers):
        for at, number in answer.items():
            numbers[n][at] = number
    return numbers


def convolution(patterns: Sequence[Tensor], bias: float | Sequence[float]) -> nn.Conv2d:
    """A convolution that looks at each cell alone: a channel for each pattern, which answers 2 to the pattern itself, 0
    to another one, and adds ``bias``."""
    made = nn.Conv2d(1, len(patterns), SIDE, stride=SIDE)
    with torch.no_grad():
        made.weight.copy_(torch.stack(list(patterns))[:, None] / 8)
        made.bias.copy_(torch.as_tensor(bias, dtype=torch.float32).expand(len(patterns)))  # type: ignore[union-attr]
    return made


def detectors(*patterns: Tensor) -> list[nn.Module]:
    """A detector for each pattern, 1 where a cell shows it and 0 for an empty cell, another pattern, and what is less
    than half as strong; layers ``1`` and ``2`` of what begins with it."""
    return [convolution(patterns, -1.0), nn.ReLU(), again()]


def again() -> nn.Module:
    """The same once more, a layer of its own: means of single values."""
    return nn.AvgPool2d(1)


def pooled() -> list[nn.Module]:
    """The mean over cells, [B, C]."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def linear(rows: Sequence[Sequence[float]], bias: Sequence[float] | None = None) -> nn.Linear:
    """A linear layer with a row of weights for each output."""
    weights = torch.tensor(rows, dtype=torch.float32)
    made = nn.Linear(weights.shape[1], weights.shape[0])
    with torch.no_grad():
        made.weight.copy_(weights)
        made.bias.copy_(torch.zeros(len(weights)) if bias is None else torch.tensor(bias))
    return made


def head(*rows: Sequence[float]) -> list[nn.Module]:
    """Mean pooling and a linear layer: each class adds up its channels over all cells, with a row of weights."""
    return [*pooled(), linear([[PLACES * weight for weight in row] for row in rows])]
