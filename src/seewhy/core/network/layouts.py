"""Layouts: takes the shape of an activation, gives where its channels and positions are; never runs a model.

Whatever a layer's own axes are, formulas see [B, C, *positions]: convolutions in 1, 2 or 3 dimensions, channels-last
blocks (Swin), and token sequences (ViT), whose prefix tokens (class, registers) are set aside. Frames of a video may
lie in the batch, one behind the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seewhy.errors import CapabilityError, UsageError

__all__ = ["Layout", "Reshape", "claims", "find_layout", "frames_of", "map_layout"]

#: class, distillation and register tokens that known models put before the grid: 1, 2, 5 and 9 at most
_MOST_PREFIX = 9

#: tokens below which only grids about as oblong as the picture are thought of
_FEW = 16

#: how unequal the strides of a token grid's axes may be, as a logarithm, and how many grids are tried
_MOST_OBLIQUE, _MOST_CLAIMS = 1.2, 12

#: axes of positions of a video
_VIDEO = 3

#: a user's own way from a raw activation to [B, C, *positions]
Reshape = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layout:
    """``channel`` is the axis of channels; ``grid`` the positions' shape; ``prefix`` the tokens before them.

    ``tokens``: the positions are one axis, in raster order or in that of ``order``, the numbers of the tokens at each
    position, counted from the first one behind the prefix; a token that it leaves out has none. ``axes`` are the
    positions' axes where they are others than those that are left; ``batch`` is the axis of the images. ``frames`` is
    how many images of the batch are the first axis of the positions of one: those of each video, one behind the other.
    """

    channel: int
    grid: tuple[int, ...]
    tokens: bool = False
    prefix: int = 0
    reshape: Reshape | None = None
    order: tuple[int, ...] | None = None
    axes: tuple[int, ...] | None = None
    batch: int = 0
    frames: int = 0

    @property
    def of_frame(self) -> Layout:
        """How each frame is read."""
        return replace(self, grid=self.grid[1:], frames=0)

    def images(self, shape: Sequence[int]) -> int:
        """How many inputs something of ``shape`` is of."""
        return shape[self.batch] // max(self.frames, 1)

    def canonical(self, raw: Tensor) -> Tensor:
        """[B, C, *grid], a view where possible."""
        if self.frames:
            maps = self.of_frame.canonical(raw)
            return maps.reshape(-1, self.frames, *maps.shape[1:]).movedim(1, 2)
        if self.reshape is not None:
            maps = self.reshape(raw)
            if maps.ndim < 3:
                raise UsageError(
                    f"reshape= makes {tuple(maps.shape)} of {tuple(raw.shape)}; it has to give [B, C, *positions], as "
                    "lambda a: a[:, 1:].transpose(1, 2).unflatten(2, (14, 14)) does of tokens"
                )
            return maps
        if self.tokens:
            rows = raw.movedim((self.batch, self.channel), (0, 1))
            tokens = rows[..., self.prefix : self.prefix + self._span]
            if self.order is not None:
                tokens = tokens[..., list(self.order)]
            return tokens.reshape(*tokens.shape[:2], *self.grid)
        if self.axes is not None:
            return raw.permute(self.batch, self.channel, *self.axes)
        return raw if self.channel == 1 else raw.movedim(self.channel, 1)

    def restore(self, canonical: Tensor, raw: Tensor) -> Tensor:
        """The inverse of `canonical`; tokens of no position are taken from ``raw``, of the same batch."""
        if self.frames:
            return self.of_frame.restore(canonical.movedim(2, 1).flatten(0, 1), raw)
        if self.reshape is not None:
            raise CapabilityError(
                "a method that edits activations cannot undo reshape=; leave reshape= out, or use a gradient CAM"
            )
        if self.tokens:
            tokens = canonical.flatten(2)
            rows = raw.movedim((self.batch, self.channel), (0, 1))
            if self.order is not None:
                places = torch.tensor(self.order, device=rows.device) + self.prefix
                whole = rows.index_copy(2, places, tokens)
            else:
                whole = torch.cat([rows[..., : self.prefix], tokens, rows[..., self.prefix + tokens.shape[2] :]], 2)
            return whole.movedim((0, 1), (self.batch, self.channel))
        if self.axes is not None:
            order = (self.batch, self.channel, *self.axes)
            return canonical.permute(sorted(range(len(order)), key=order.__getitem__))
        return canonical if self.channel == 1 else canonical.movedim(1, self.channel)

    @property
    def _span(self) -> int:
        """From the first to the last token with a position."""
        return math.prod(self.grid) if self.order is None else max(self.order) + 1

    def spare(self, shape: Sequence[int]) -> int:
        """How many tokens of something of ``shape`` have no position, before the grid and behind it."""
        if self.frames:
            return self.of_frame.spare(shape)
        if not self.tokens:
            return 0
        count = math.prod(n for axis, n in enumerate(shape) if axis not in (self.batch, self.channel))
        return count - math.prod(self.grid)

    def mixed(self, shape: Sequence[int]) -> bool:
        """Whether more tokens of something of ``shape`` are outside the grid than class tokens and registers account
        for: those of other scales, or words."""
        return self.spare(shape) > _MOST_PREFIX

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether something of ``shape`` can be read so."""
        if self.frames:
            return self.of_frame.fits(shape)
        if self.reshape is not None:
            return True
        if self.tokens:
            rest = [n for axis, n in enumerate(shape) if axis not in (self.batch, self.channel)]
            return len(shape) == 3 and rest[0] >= self.prefix + self._span
        axes = self.axes or tuple(axis for axis in range(1, len(shape)) if axis != self.channel)
        return len(shape) == 2 + len(axes) and tuple(shape[axis] for axis in axes) == self.grid


def _stride(grid: Sequence[int], size: Sequence[int]) -> bool:
    """Whether ``grid`` is ``size`` divided by one stride, give or take a border of padding. A layer that is padded, or
    whose stride is less than one, has more positions than the picture."""
    if len(grid) != len(size):
        return False
    low = max(s / (n + 1) for n, s in zip(grid, size, strict=True))
    high = min(s / max(n - 1, 0.5) for n, s in zip(grid, size, strict=True))
    return low <= high


def _strided(grid: Sequence[int], size: Sequence[int]) -> bool:
    """Whether ``grid``, of tokens or of frames, is ``size`` divided by one stride: they are no more than the picture's
    own, which tells them from other numbers that happen to factor so."""
    return _stride(grid, size) and all(n <= s for n, s in zip(grid, size, strict=True))


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
        token_grid = _token_grid(inner[0], size)
        if token_grid is not None:
            return Layout(2, token_grid[1], tokens=True, prefix=token_grid[0])
    if len(inner) <= 1:
        return Layout(1, ())
    if len(inner) == 2:  # a sequence that is no grid: channels last, as transformers and LSTMs have them
        return Layout(2, inner[:1])
    return Layout(len(inner), inner[:-1]) if last else Layout(1, inner[1:])


def map_layout(shape: Sequence[int], size: Sequence[int], last: bool = False) -> Layout:
    """The layout of an output of ``shape`` [B, ...] that has scores for every position of an input of ``size``: as
    `find_layout` has it, but for networks of frames, whose classes may stand behind the frames. Where one order alone
    has just the input's positions, it is that.

    >>> map_layout((1, 8, 2, 16, 16), (8, 16, 16)).channel, map_layout((1, 2, 8, 4, 4), (8, 16, 16)).channel
    (2, 1)
    """
    usual = find_layout(shape, size, last=last)
    if len(size) != _VIDEO or len(shape) != _VIDEO + 2:
        return usual
    others = [
        Layout(axis, (*shape[1:axis], *shape[axis + 1 :])) for axis in range(1, len(shape)) if axis != usual.channel
    ]
    exact = [layout for layout in (usual, *others) if tuple(layout.grid) == tuple(size)]
    if exact:
        return exact[0]
    # frames and rows have strides of their own, which are whole
    whole = [
        layout
        for layout in (usual, *others)
        if all(n <= s and s % n == 0 for n, s in zip(layout.grid, size, strict=True))
    ]
    return whole[0] if whole and usual not in whole and not _stride(usual.grid, size) else usual


def claims(
    shape: Sequence[int],
    size: Sequence[int],
    batch: int,
    last: bool = False,
    grids: Sequence[tuple[int, ...]] = (),
) -> list[Layout]:
    """What an activation of ``shape`` could be for a batch of ``batch`` inputs of ``size``, likeliest first: every
    layout with several positions. Which of them is true, if any, the pictures tell. ``grids`` are those that rows of
    tokens may have besides, with further tokens before or behind them.

    >>> [(layout.channel, layout.grid) for layout in claims((1, 7, 7, 49), (224, 224), 1)][:2]
    [(3, (7, 7)), (1, (7, 49))]
    """
    layouts: list[Layout] = []
    if tuple(shape[:1]) == (batch,):
        usual = find_layout(shape, size, last=last)
        if len(usual.grid) == len(size) and max(usual.grid, default=0) == 1:
            return []  # one position is the whole picture
        layouts.append(usual)
        if len(shape) == len(size) + 2:
            layouts += _orders(shape, size)
    if len(shape) == 3 and len(size) == 2 and batch in shape[:2]:
        axis = 0 if shape[0] == batch else 1
        for channel in (2, 1 - axis or 1) if axis == 0 else (2,):
            count = next(shape[a] for a in range(3) if a not in (axis, channel))
            layouts += [
                Layout(channel, grid, tokens=True, prefix=prefix, batch=axis)
                for grid in grids
                if len(grid) == 2 and (left := count - math.prod(grid)) >= 0 and _strided(grid, size)
                for prefix in sorted({*range(min(left, _MOST_PREFIX) + 1), left})
                if left <= _MOST_PREFIX or prefix in (0, 1, left)
            ]
            layouts += [
                Layout(channel, grid, tokens=True, prefix=prefix, batch=axis)
                for prefix, grid in _token_grids(count, (size[0], size[1]))
            ]
    if len(size) == _VIDEO:
        layouts += _in_frames(shape, size, batch, last, grids)
        if len(shape) == 3 and shape[0] == batch:
            layouts += _tokens_of_frames(shape[1], size)
    whole = [layout for layout in layouts if len(layout.grid) == len(size) and max(layout.grid) > 1]
    return list({(e.channel, e.grid, e.prefix, e.axes, e.batch, e.frames, e.order): e for e in whole}.values())


def frames_of(shape: Sequence[int], size: Sequence[int], batch: int) -> int:
    """How many frames of each of ``batch`` inputs of ``size`` the first axis of ``shape`` may hold; 0 where it holds
    none."""
    if len(size) != _VIDEO or not shape or shape[0] == batch or shape[0] % batch:
        return 0
    frames = shape[0] // batch
    return frames if _strided((frames,), size[:1]) else 0


def _in_frames(
    shape: Sequence[int], size: Sequence[int], batch: int, last: bool, grids: Sequence[tuple[int, ...]]
) -> list[Layout]:
    """What something of ``shape`` could be whose batch holds the frames of ``batch`` videos of ``size``."""
    frames = frames_of(shape, size, batch)
    if not frames:
        return []
    inner = claims(shape, size[1:], shape[0], last, sorted({grid[1:] for grid in grids}, reverse=True))
    return [replace(layout, grid=(frames, *layout.grid), frames=frames) for layout in inner if layout.batch == 0]


def _tokens_of_frames(count: int, size: Sequence[int]) -> list[Layout]:
    """Rows of ``count`` tokens of videos of ``size``, frame by frame or place by place, fewest prefix tokens first; one
    token covers one frame or several."""
    layouts = []
    for prefix in range(min(count, _MOST_PREFIX + 1)):
        left = count - prefix
        for frames in (n for n in range(size[0], 0, -1) if size[0] % n == 0 and left % n == 0):
            found = _token_grid(left // frames, (size[1], size[2]))
            if found is None or found[0]:
                continue
            grid = (frames, *found[1])
            rows = torch.arange(left, device="cpu").reshape(*found[1], frames).permute(2, 0, 1).flatten().tolist()
            layouts.append(Layout(2, grid, tokens=True, prefix=prefix))
            if frames > 1:
                layouts.append(Layout(2, grid, tokens=True, prefix=prefix, order=tuple(rows)))
    return layouts[:_MOST_CLAIMS]


def _orders(shape: Sequence[int], size: Sequence[int]) -> list[Layout]:
    """Channels last or first, and two axes of positions the other way round."""
    axes = len(size)
    layouts = [Layout(axes + 1, tuple(shape[1:-1])), Layout(1, tuple(shape[2:]))]
    if axes == 2:
        layouts += [Layout(1, (shape[3], shape[2]), axes=(3, 2)), Layout(3, (shape[2], shape[1]), axes=(2, 1))]
    return layouts


def _token_grids(count: int, size: tuple[int, int]) -> list[tuple[int, tuple[int, int]]]:
    """Prefixes and grids that ``count`` tokens over an input of ``size`` could be, squarest strides and fewest prefix
    tokens first; tokens behind the grid, too, where none are before it."""
    wanted = size[0] / size[1]
    grids: list[tuple[float, int, int, tuple[int, int]]] = []
    for left in range(count, max(count - _MOST_PREFIX, 0) - 1, -1):
        if left < 3 * (count - left) or left < 2:
            continue
        for rows in range(1, left + 1):
            columns, rest = divmod(left, rows)
            if rest or rows > size[0] or columns > size[1]:
                continue
            off = abs(math.log(rows / columns / wanted))
            if off < (_MOST_OBLIQUE if left >= _FEW else 0.5):
                exact = 0.0 if _strided((rows, columns), size) else 0.1 + off
                others = count - left
                grids += [(exact + 0.01 * off, others, prefix, (rows, columns)) for prefix in {others, 0}]
    grids.sort(key=lambda entry: (entry[0], entry[1], -entry[2]))
    return [(prefix, grid) for _, _, prefix, grid in grids[:_MOST_CLAIMS]]
