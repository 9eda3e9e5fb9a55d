"""Masks made of a layer's channels: takes activations, gives one mask per channel in [0, 1]; what Score-CAM and its
kin share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Score, Stream
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.resampling import upsample
from seewhy.core.perturb.sources import MaskedInput, StraightPath

__all__ = ["channel_mask", "masked_increase", "score_weights", "varying_channels"]


def channel_mask(activation: Tensor, size: tuple[int, ...]) -> Callable[[Tensor, Tensor], Tensor]:
    """A function of (image [m], channel [m]) to masks [m, 1, *size]: upsampled first, then scaled to [0, 1]."""

    def masks(samples: Tensor, channels: Tensor) -> Tensor:
        large = upsample(activation[samples, channels][:, None], size)
        flat = large.flatten(1)
        low, high = flat.amin(1), flat.amax(1)
        span = torch.where(high > low, high - low, torch.ones_like(high))
        shape = (-1, *(1 for _ in large.shape[1:]))
        return (large - low.reshape(shape)) / span.reshape(shape)

    return masks


def varying_channels(activation: Tensor) -> Tensor:
    """(image, channel) pairs [N, 2] of the channels that are not constant: the others mask everything alike."""
    flat = activation.flatten(2)
    return (flat.amax(2) > flat.amin(2)).nonzero().cpu()


def score_weights(increase: Tensor) -> Tensor:
    """Softmax over channels [B, C]; all zero for an image whose score no channel changes, which has nothing to show.

    The softmax of equal scores is uniform: taken literally, a score that never changes would be explained by the mean
    activation.
    """
    return increase.softmax(1) * increase.any(1, keepdim=True)


def masked_increase(
    input: Tensor,
    activation: Tensor,
    name: Hashable,
    variants: int = 1,
    change: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda masks, samples, indices: masks,
) -> Generator[Any, Any, Tensor]:
    """By how much the image seen through each channel outscores the zero input, [B, C], as a part of a generator
    method.

    ``change(masks, samples, indices)`` makes ``variants`` versions of every mask, whose scores are averaged;
    ``indices`` count channel * variants + variant. Constant channels mask everything alike: they share the black
    input's score and need no forward.
    """
    batch, channels = activation.shape[:2]
    masks = channel_mask(activation, tuple(input.shape[2:]))
    items = varying_channels(activation)
    spread = items.repeat_interleave(variants, 0)
    spread[:, 1] = spread[:, 1] * variants + torch.arange(variants).repeat(len(items))
    seen = MaskedInput(
        channels * variants,
        name,
        lambda samples, indices: change(masks(samples, indices // variants), samples, indices),
    )
    nothing = StraightPath(1, (0.0,))
    origin = yield Stream(nothing, (Score(),), Collect(batch, 1))
    increase = torch.zeros_like(origin).expand(-1, channels).clone()
    if len(items):
        scores = yield Stream(seen, (Score(),), Collect(batch, channels * variants), spread)
        samples, columns = items.unbind(1)
        mean = scores.unflatten(1, (channels, variants)).mean(2)
        increase[samples, columns] = (mean - origin)[samples, columns]
    return increase
