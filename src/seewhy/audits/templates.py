"""What pictures of a class have in common at a place: takes pictures, gives a template,
and how much of it each picture has."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["REACH", "fine", "likeness", "template"]


#: pixels on each side over which fine structure is told from what changes slowly
REACH = 2


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
