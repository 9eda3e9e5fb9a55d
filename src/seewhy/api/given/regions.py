"""Regions: takes pictures or inputs, gives integer maps of the pieces that are hidden together; runs no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.api.given.images import Item
from seewhy.errors import CapabilityError, UnknownName, UsageError

__all__ = ["SEGMENTS", "regions", "segments"]

SEGMENTS = ("slic", "grid")

COUNT = 50

#: scales of Felzenszwalb's segmentation, as XRAI has them
_SCALES = (50, 100, 150, 250, 500, 1200)


def segments(kind: Any, x: Tensor, items: Sequence[Item]) -> Tensor:
    """Pieces of each image, integers from 0 without gaps, [B, *size].

    ``kind``: ``"slic"`` (superpixels, the default; needs scikit-image), ``"grid"`` (squares), a number (so many
    superpixels; 50 if not said), an integer array [*size] or [B, *size] of your own, or a function from a picture
    [H, W, 3] uint8 to one. Raises `UsageError` for arrays that do not fit.
    """
    size = tuple(x.shape[2:])
    count = COUNT
    if isinstance(kind, int | np.integer) and not isinstance(kind, bool):
        kind, count = "slic", int(kind)
        if count < 1:
            raise UsageError(f"segments={count}: at least one piece, e.g. segments=50")
    if kind is None:
        kind = "slic" if len(size) == 2 else "grid"
    if isinstance(kind, str):
        if kind not in SEGMENTS:
            raise UnknownName("segmentation", kind, SEGMENTS, "segments='slic', 'grid', a number or an integer array")
        if kind == "grid" or len(size) != 2:
            return _grid(size, count).expand(len(x), *size).contiguous()
        return torch.stack([_slic(picture, count) for picture in _pictures(x, items)])
    if callable(kind):
        return torch.stack([_given(kind(picture), size, 1)[0] for picture in _pictures(x, items)])
    return _given(kind, size, len(x))


def regions(kind: Any, x: Tensor, items: Sequence[Item]) -> Tensor:
    """Several segmentations of each image at once, coarse and fine, [B, S, *size]: Felzenszwalb's at six scales, or
    what `segments` gives where the user said which."""
    size = tuple(x.shape[2:])
    if kind is not None or len(size) != 2:
        return segments(kind, x, items)[:, None]
    felzenszwalb = _skimage().felzenszwalb
    stacks = []
    for picture in _pictures(x, items):
        scaled = picture.astype(np.float64) / 127.5 - 1
        maps = [felzenszwalb(scaled, scale=scale, sigma=0.8, min_size=min(150, size[0])) for scale in _SCALES]
        stacks.append(torch.stack([torch.from_numpy(segmentation.astype(np.int64)) for segmentation in maps]))
    return torch.stack(stacks)


def _grid(size: Sequence[int], count: int) -> Tensor:
    """About ``count`` equal blocks of ``size``."""
    side = max(1, round(count ** (1 / len(size))))
    labels = torch.zeros((), dtype=torch.long)
    for axis, n in enumerate(size):
        row = (torch.arange(n) * min(side, n)) // n
        labels = labels * min(side, n) + row.reshape(-1, *(1 for _ in size[axis + 1 :]))
    return labels.expand(*size)


def _slic(picture: np.ndarray[Any, Any], count: int) -> Tensor:
    labels = _skimage().slic(picture, n_segments=count, compactness=10, sigma=1, start_label=0)
    return _compact(torch.from_numpy(labels.astype(np.int64)))


def _pictures(x: Tensor, items: Sequence[Item]) -> list[np.ndarray[Any, Any]]:
    """What the network sees, uint8 [H, W, 3]; inputs that came as tensors are scaled to their own range."""
    pictures = []
    for row, item in zip(x, items, strict=True):
        if item.view is not None and item.view.shape[:2] == tuple(row.shape[1:]):
            pictures.append(item.view)
            continue
        low, high = row.amin(), row.amax()
        scaled = ((row - low) / (high - low).clamp(min=1e-12) * 255).round().to(torch.uint8).cpu()
        three = (
            scaled if scaled.shape[0] == 3 else scaled.float().mean(0, keepdim=True).to(torch.uint8).expand(3, -1, -1)
        )
        pictures.append(three.permute(1, 2, 0).contiguous().numpy())
    return pictures


def _given(value: Any, size: Sequence[int], batch: int) -> Tensor:
    labels = torch.as_tensor(np.asarray(value) if not isinstance(value, Tensor) else value)
    if labels.is_floating_point() or labels.is_complex():
        raise UsageError(f"segments of {labels.dtype}: whole numbers, one for each piece")
    if tuple(labels.shape) not in (tuple(size), (batch, *size)):
        raise UsageError(f"segments of shape {tuple(labels.shape)} for inputs of size {tuple(size)}; give [*size]")
    labels = labels.long().cpu()
    if labels.ndim == len(size):
        labels = labels.expand(batch, *size)
    return torch.stack([_compact(row) for row in labels])


def _compact(labels: Tensor) -> Tensor:
    """Numbered from 0 without gaps."""
    numbered: Tensor = torch.unique(labels, return_inverse=True)[1]
    return numbered


def _skimage() -> Any:
    try:
        import skimage.segmentation
    except ImportError as error:
        raise CapabilityError(
            "superpixels need scikit-image: pip install 'seewhy[segment]', or say segments='grid'"
        ) from error
    return skimage.segmentation
