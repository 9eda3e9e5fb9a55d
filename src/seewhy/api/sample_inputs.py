"""What a model is tried on: takes a model, gives inputs that it can take, from photos that come along; runs no
network."""

from __future__ import annotations

from importlib import resources
from typing import Any

import torch
from torch import nn

from seewhy.api.given.images import Item, read_items
from seewhy.api.listing import blank
from seewhy.models import Model, Preprocess

__all__ = ["probes"]

_PHOTOS = ("chelsea.png", "coffee.png")
#: channels that a photo can have
_PICTURED = (1, 3)


def probes(model: Model, image: Any = None) -> list[Item]:
    """The input that a model is tried on, and another one: ``image`` and its mirror image, or photos that come along,
    or noise where nothing says how a photo becomes the input.

    >>> import torch, seewhy
    >>> probes(seewhy.wrap(torch.nn.Conv2d(3, 4, 3)))[0].tensor.shape
    torch.Size([3, 224, 224])
    """
    if image is not None:
        items, _ = read_items(model, image)
        first = items[0]
    elif (ours := model.preprocess) and isinstance(ours, Preprocess) and ours.channels in _PICTURED:
        with resources.as_file(resources.files("seewhy.photos") / _PHOTOS[0]) as path:
            first = read_items(model, path)[0][0]
    else:
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(0)
            first = Item(torch.rand(_shape(model)), None, "noise", False)
    if first.pictured and image is None:
        with resources.as_file(resources.files("seewhy.photos") / _PHOTOS[1]) as path:
            return [first, read_items(model, path)[0][0]]
    mirrored = first.tensor.flip(-1) * 0.7
    return [first, Item(mirrored, None, "the same, mirrored and fainter", False)]


def _shape(model: Model) -> tuple[int, ...]:
    """Of an input, as far as the preprocessing or the first layer says: its channels, or the length of a flat one."""
    if isinstance(model.preprocess, Preprocess) and model.preprocess.size is not None:
        return (model.preprocess.channels, *model.preprocess.size)
    parts = list(model.module.modules()) if isinstance(model.module, nn.Module) else []
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    first = next((part for part in parts if isinstance(part, kinds)), None)
    if isinstance(first, nn.Linear):
        side = round((first.in_features / 3) ** 0.5)
        return (3, side, side) if 3 * side * side == first.in_features else (first.in_features,)
    return tuple(blank(model).shape[1:])
