"""What pictures of a class have in common at a place: takes pictures, gives a template,
and how much of it each picture has."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["REACH", "fine", "kept", "likeness", "template"]


#: pixels on each side over which fine structure is told from what changes slowly
REACH = 2
#: what keeps its place: of pictures that have most of it, how alike they are in fine structure
_KEEPS = 0.35
#: and by how much more alike than pictures of other classes are to them, on average
_SPECIFIC = 0.1


def fine(inputs: Tensor) -> Tensor:
    """Pictures without what changes slowly over them: what a photographer's scenes share, skies and lawns, does."""
    padded = F.pad(inputs, (REACH,) * 4, mode="replicate")
    return inputs - F.avg_pool2d(padded, 2 * REACH + 1, 1)


def template(own: Tensor, mask: Tensor) -> Tensor:
    """The mean of pictures where a ``mask`` [H, W] is 1, [C, H, W], of length one."""
    mean = own.mean(0) * mask
    made: Tensor = mean / mean.norm().clamp(min=torch.finfo(mean.dtype).tiny)
    return made


def likeness(inputs: Tensor, made: Tensor, mask: Tensor) -> Tensor:
    """The correlation of each picture with a `template`, where ``mask`` is 1, [N]."""
    there = inputs * mask
    found: Tensor = (there * made).sum((1, 2, 3)) / there.flatten(1).norm(dim=1).clamp(min=1e-12)
    return found


def kept(own: Tensor, others: Tensor) -> tuple[float, bool]:
    """How alike those pictures are that are the most alike to a template, of a class's likenesses [N] and of others'
    [M]; and whether something keeps its place there, in this class."""
    top = float(own.quantile(0.75))
    return top, top >= _KEEPS and float(own.mean() - others.mean()) >= _SPECIFIC
