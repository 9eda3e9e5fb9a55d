"""Occlusion: takes the input and what hides it, asks for the score with one window after the other hidden, gives by how
much each place's windows lower it; never interpolates."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Score, Stream
from seewhy.core.percentages import percent
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError
from seewhy.methods._adaptive_windows import adaptive_drops
from seewhy.methods._exceptions import ONE_BY_ONE
from seewhy.registry import Card, Need, method

__all__ = ["occlusion"]


@method(
    Card(
        name="occlusion",
        family="perturbation",
        paper="Zeiler & Fergus 2014, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901, sec. 4.1",
        formula="mean over the windows W that cover p of S(x) - S(x with W hidden)",
        unit="{score}",
        excepts=ONE_BY_ONE,
        cost="1 forward, and one for every window (729 at 224 pixels), of which only what changes is computed",
        needs=frozenset({Need.STREAM}),
        at="input",
        use="what the score loses when a place is hidden, for any model that can be called",
        caveats=(
            "sees nothing that is spread over more than a window, or said twice",
            "depends on the fill: what hides can itself be evidence",
        ),
    )
)
def occlusion(
    input: Tensor,
    score: Tensor,
    fill: Fill,
    *,
    window: int | Sequence[int] | None = None,
    stride: int | Sequence[int] | None = None,
    adaptive: bool = False,
    tolerance: float = 0.02,
) -> Generator[Any, Any, Tensor | Attribution]:
    """By how much hiding the windows over each pixel lowers the score, averaged over those windows.

    ``input`` [B, C, *size], any number of axes, ``score`` [B]; values [B, *size], signed, in score units. ``window``
    and ``stride`` are pixels, one number or one for each axis; left out, a window is a fourteenth of each axis (16
    pixels of 224) and a stride half a window. Windows start at 0, stride, 2 stride... until one reaches the border,
    where it is cut off: every pixel is covered. What the windows do not touch is not computed again where the network
    can be prepared; that is exact. ``adaptive`` scores every second window along each axis, then those between which
    the score moves, until the expected error of the drops that are left is under ``tolerance`` of their range; that is
    not exact, and the error is returned and told. Raises `UsageError` for a window larger than the image, a stride of
    0, or one larger than the window, which would leave pixels out.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="occlusion", window=4, stride=2).cost.forwards
    10
    """
    size = tuple(input.shape[2:])
    windows = _windows(size, window, stride)
    covers = [_covers(n, *pair) for n, pair in zip(size, windows, strict=True)]
    grid = tuple(len(cover) for cover in covers)
    count = torch.Size(grid).numel()
    place = torch.stack(torch.unravel_index(torch.arange(count, device="cpu"), grid), 1)
    first = place * torch.tensor([stride for _, stride in windows], device="cpu")
    last = first + torch.tensor([window for window, _ in windows], device="cpu") - 1
    last = torch.minimum(last, torch.tensor(size, device="cpu") - 1)

    def hidden(samples: Tensor, indices: Tensor) -> Tensor:
        return fill.boxes(input, samples, first[indices.cpu()], last[indices.cpu()])

    source = ChangedInput(count, hidden, ("occlusion", tuple(windows), fill.key), (first, last))
    if adaptive:
        return (yield from _adaptive(source, score, grid, covers, tolerance))
    scores = yield Stream(source, (Score(),), Collect(input.shape[0], count))
    return _painted((score[:, None] - scores).reshape(-1, *grid), covers)


def _adaptive(
    source: ChangedInput, score: Tensor, grid: tuple[int, ...], covers: Sequence[Tensor], tolerance: float
) -> Generator[Any, Any, Attribution]:
    """The map from as many windows as it takes, with its expected error."""
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not tolerance > 0:
        raise UsageError(f"tolerance={tolerance!r}: a share of the map's range, more than 0, e.g. tolerance=0.02")
    drops = yield from adaptive_drops(source, score, grid, tolerance)
    span = (drops.values.flatten(1).amax(1) - drops.values.flatten(1).amin(1)).clamp(min=1e-30)
    shares = drops.error.flatten(1).square().mean(1).sqrt() / span
    notes = tuple(
        f"{scored} of {source.count} windows scored; expected error of the others {percent(share)} of the range of all "
        "drops"
        for scored, share in zip(drops.scored.tolist(), shares.tolist(), strict=True)
    )
    # the errors of windows side by side are alike, so they are not taken to cancel
    return Attribution(_painted(drops.values, covers), error=_painted(drops.error, covers), notes=notes)


def _painted(drops: Tensor, covers: Sequence[Tensor]) -> Tensor:
    """The mean over the windows that cover each pixel, [B, *size]."""
    return _summed(drops, covers) / _summed(torch.ones_like(drops[:1]), covers)


def _summed(windows: Tensor, covers: Sequence[Tensor]) -> Tensor:
    """One number a window [B, *grid], added up over the pixels that it covers, [B, *size]: axis by axis."""
    for cover in covers:
        windows = torch.tensordot(windows, cover.to(windows), dims=([1], [0]))
    return windows


def _covers(n: int, window: int, stride: int) -> Tensor:
    """Which pixels of an axis each window covers, [windows, n] of 0 and 1."""
    starts = torch.arange(-(-(n - window) // stride) + 1, device="cpu")[:, None] * stride
    pixels = torch.arange(n, device="cpu")
    return ((pixels >= starts) & (pixels < starts + window)).to(torch.float64)


def _windows(size: Sequence[int], window: Any, stride: Any) -> list[tuple[int, int]]:
    """(window, stride) of every axis; refuses invalid ones."""
    windows = [max(1, round(n / 14)) for n in size] if window is None else _each(window, "window", size)
    strides = [max(1, width // 2) for width in windows] if stride is None else _each(stride, "stride", size)
    for n, width, step in zip(size, windows, strides, strict=True):
        if width > n:
            raise UsageError(
                f"window={window!r} for an image of {tuple(size)}: at most {min(size)}, e.g. window={max(1, n // 2)}"
            )
        if step > width:
            raise UsageError(f"stride={stride!r} is larger than the window ({width}): pixels between would be left out")
    return list(zip(windows, strides, strict=True))


def _each(value: Any, name: str, size: Sequence[int]) -> list[int]:
    """One positive whole number for each axis."""
    several = [value] * len(size) if isinstance(value, int) else value
    if not isinstance(several, Sequence) or isinstance(several, str) or len(several) != len(size):
        raise UsageError(f"{name}={value!r}: a number of pixels, or one for each of the {len(size)} axes")
    if any(isinstance(number, bool) or not isinstance(number, int) or number < 1 for number in several):
        raise UsageError(f"{name}={value!r}: whole numbers of pixels from 1 on, e.g. {name}=8")
    return list(several)
