"""What a model is tried on: takes a model, gives inputs that it can take, from photos that come along; runs no
network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import torch
from torch import nn

from seewhy.api.given.images import Item, check_one_explained, read_items
from seewhy.api.listing import blank
from seewhy.errors import UnfitImage
from seewhy.models import Model, Preprocess

__all__ = ["probes", "takes_photos"]

_PHOTOS = ("chelsea.png", "coffee.png")
#: frames of a video of which only their size is known
_FRAMES = 8
#: channels that a photo can have
_PICTURED = (1, 3)


def probes(model: Model, image: Any = None, shape: tuple[int, ...] | None = None) -> list[Item]:
    """The input that a model is tried on, and another one: ``image`` and its mirror image, or photos that come along,
    or noise where nothing says how a photo becomes the input, and where a photo is none (volumes, frames): of ``shape``
    [C, *size], or else of what the model itself says, 224 x 224 where it says nothing.

    >>> import torch, seewhy
    >>> probes(seewhy.wrap(torch.nn.Conv2d(3, 4, 3)))[0].tensor.shape
    torch.Size([3, 224, 224])
    """
    check_one_explained(model)
    if image is not None:
        first = read_items(model, image)[0][0]
    elif (photo := _photo(model, _PHOTOS[0])) is not None:
        return [photo, *(one for name in _PHOTOS[1:] if (one := _photo(model, name)) is not None)]
    else:
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(0)
            first = Item(torch.rand(_shape(model) if shape is None else shape), None, "noise", False)
    mirrored = first.tensor.flip(-1) * 0.7
    return [first, Item(mirrored, None, "the same, mirrored and fainter", False)]


def takes_photos(model: Model) -> bool:
    """Whether it is tried on photos, and not on noise."""
    return _photo(model, _PHOTOS[0]) is not None


def _photo(model: Model, name: str) -> Item | None:
    """A photo that comes along, as an input; None where a photo is no input of the network's kind."""
    ours = model.preprocess
    if not isinstance(ours, Preprocess) or ours.channels not in _PICTURED:
        return None
    with resources.as_file(resources.files("seewhy.photos") / name) as path:
        try:
            return read_items(model, path)[0][0]
        except UnfitImage:  # it takes volumes, frames, or what a scanner measured
            return None


def _shape(model: Model) -> tuple[int, ...]:
    """Of an input, as far as the preprocessing or the first layer says: its channels, or the length of a flat one."""
    order = None if model.inputs is None else model.inputs.order

    def in_frames(size: Sequence[int]) -> tuple[int, ...]:
        more = 0 if order is None else len(order.positions) - len(size)
        return (*(_FRAMES for _ in range(more)), *size)

    if isinstance(model.preprocess, Preprocess) and model.preprocess.size is not None:
        return (model.preprocess.channels, *in_frames(model.preprocess.size))
    parts = list(model.module.modules()) if isinstance(model.module, nn.Module) else []
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    first = next((part for part in parts if isinstance(part, kinds)), None)
    if isinstance(first, nn.Linear):
        side = round((first.in_features / 3) ** 0.5)
        return (3, side, side) if 3 * side * side == first.in_features else (first.in_features,)
    channels, *size = blank(model).shape[1:]
    return (channels, *in_frames(size))
