"""References by chance: takes inputs and the bounds of what they can be, gives other inputs to compare with; runs
nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.core.perturb.noise import fingerprint, gaussian

__all__ = ["noise_references"]


def noise_references(x: Tensor, bounds: tuple[Tensor, Tensor], count: int, seed: int) -> Tensor:
    """``count`` draws of each image [B, count, C, *size], uniform between ``bounds``, two of [B, C, 1...], from the
    image, ``seed`` and the number of the draw alone."""
    low, high = (bound.to(x) for bound in bounds)
    keys, shape = fingerprint(x), tuple(x.shape[1:])
    drawn = []
    for index in range(count):
        normal = gaussian([(key, index) for key in keys], shape, family="expected-gradients-reference", seed=seed)
        # uniform by way of the normal distribution function: one kind of draw serves all
        drawn.append(low + (high - low) * torch.special.ndtr(normal.double()).to(x))
    return torch.stack(drawn, 1)
