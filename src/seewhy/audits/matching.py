"""Windows in pictures that are like others: takes pictures and windows, cuts, puts and finds them; judges nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["anywhere", "away", "correlations", "cut", "cut_around", "matches", "put", "shrinkage"]

#: pixels of the shorter side that a comparison of windows takes
_COARSE = 64
#: windows that vary less than this part of what pictures' windows do are counted as if they varied so much: nothing is
#: like a bare wall
_FLAT = 0.5
#: places that a control is chosen from
_PLACES = 8
#: pictures whose windows are compared at once
_AT_ONCE = 32


def cut(inputs: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """The windows [N, C, height, width] at a place for each picture."""
    rows = top[:, None] + torch.arange(height)
    columns = left[:, None] + torch.arange(width)
    every = torch.arange(len(inputs))[:, None, None]
    return inputs.movedim(1, -1)[every, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def cut_around(inputs: Tensor, top: Tensor, left: Tensor, size: Sequence[int], reach: int) -> Tensor:
    """Windows larger by ``reach`` on each side, as far as pictures go: edges are repeated."""
    padded = F.pad(inputs, (reach, reach, reach, reach), mode="replicate")
    return cut(padded, top, left, size[0] + 2 * reach, size[1] + 2 * reach)


def put(onto: Tensor, windows: Tensor, top: Tensor, left: Tensor, mask: Tensor | None = None) -> Tensor:
    """Pictures with windows [N, C, h, w] at a place of each, where a ``mask`` [h, w] says so, if there is one."""
    if mask is not None:
        windows = torch.where(mask, windows, cut(onto, top, left, *mask.shape))
    found = onto.clone()
    rows = top[:, None] + torch.arange(windows.shape[2])
    columns = left[:, None] + torch.arange(windows.shape[3])
    every = torch.arange(len(onto))[:, None, None]
    found.movedim(1, -1)[every, rows[:, :, None], columns[:, None, :]] = windows.movedim(1, -1)
    return found


def anywhere(inputs: Tensor, size: Sequence[int], draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """A place for a window in each picture."""
    return (
        torch.randint(inputs.shape[2] - size[0] + 1, (len(inputs),), generator=draw),
        torch.randint(inputs.shape[3] - size[1] + 1, (len(inputs),), generator=draw),
    )


def away(
    inputs: Tensor, top: Tensor, left: Tensor, size: Sequence[int], draw: torch.Generator
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A place in each picture where another picture has its window, away from its own one; of eight the one whose
    content varies about as much. Where all windows are at one place, any place."""
    wanted = cut(inputs, top, left, *size).std((1, 2, 3))
    cost = torch.full((len(inputs),), float("inf"))
    chosen = [top.clone(), left.clone()]
    for turn in range(2 * _PLACES):
        if turn < _PLACES:
            order = torch.randperm(len(inputs), generator=draw)
            rows, columns = top[order], left[order]
        else:
            rows, columns = anywhere(inputs, size, draw)
        meets = ((rows - top).abs() < size[0]) & ((columns - left).abs() < size[1])
        gap = (cut(inputs, rows, columns, *size).std((1, 2, 3)) - wanted).abs()
        gap = gap + 1e6 * meets + 1e3 * (turn >= _PLACES)  # content matters least
        better = gap < cost
        cost = torch.where(better, gap, cost)
        chosen = [torch.where(better, rows, chosen[0]), torch.where(better, columns, chosen[1])]
    return chosen[0], chosen[1]


def shrinkage(size: Sequence[int], window: Sequence[int]) -> int:
    """By how much pictures of a size are shrunk before windows of them are compared: the detail of a small picture, and
    four pixels of a window at least, are kept."""
    return max(1, min(min(size) // _COARSE, min(window) // 4))


def matches(inputs: Tensor, exemplars: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The normalised correlation of each picture's window that is the most alike to one of ``exemplars`` [E, C, h, w],
    colours as they are and brightness taken out, and its top and left, each [N]. Large pictures are compared at a
    fraction of their size, and their windows' places are multiples of it."""
    coarse = shrinkage(inputs.shape[2:], exemplars.shape[2:])
    if coarse > 1:
        inputs, exemplars = F.avg_pool2d(inputs, coarse), F.avg_pool2d(exemplars, coarse)
    alike = torch.cat([each.amax(1) for each in _correlated(inputs, exemplars, 0.0)])
    best = alike.flatten(1).max(1)
    return best.values, coarse * (best.indices // alike.shape[2]), coarse * (best.indices % alike.shape[2])


def correlations(inputs: Tensor, exemplars: Tensor) -> Tensor:
    """The normalised correlation of each picture's most alike window with each exemplar, [N, E]; nothing is shrunk, and
    flat windows are like nothing."""
    return torch.cat([each.flatten(2).amax(2) for each in _correlated(inputs, exemplars, _FLAT)])


def _correlated(inputs: Tensor, exemplars: Tensor, flat: float) -> Iterator[Tensor]:
    """Some pictures' correlations with exemplars at every place, [n, E, rows, columns]."""
    _, channels, height, width = exemplars.shape
    kernels = exemplars - exemplars.mean((1, 2, 3), keepdim=True)
    kernels = kernels / kernels.flatten(1).norm(dim=1).clamp(min=1e-6)[:, None, None, None]
    ones = torch.ones(1, channels, height, width)
    total, squares = F.conv2d(inputs, ones), F.conv2d(inputs.square(), ones)
    length = (squares - total.square() / (channels * height * width)).clamp(min=1e-6).sqrt()
    if flat:
        length = length.clamp(min=float(flat * length.flatten(1).median(1).values.median()))
    for start in range(0, len(inputs), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        yield F.conv2d(inputs[rows], kernels) / length[rows]
