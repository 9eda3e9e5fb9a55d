"""Fitting: takes a network and the error that its forward raised of an input, gives whether the input's shape is the
reason, and which shape it takes; keeps nothing."""

from __future__ import annotations

import torch
from torch import nn

from seewhy.errors import CapabilityError, reason

__all__ = ["does_not_fit", "of_input", "of_kinds", "of_shapes"]

#: what torch says of a forward that was written for another number of inputs
_OF_SHAPES = ("invalid for input of size", "must match", "shapes cannot be multiplied", "Expected input batch_size")
#: what torch says of a value of another type, or with another number of axes, than is taken
_OF_KINDS = ("scalar type", "same dtype", "number of dimensions", "Expected tensor for argument")
_IMAGE = 4

#: what torch, and what networks' own checks, say of an input of another size or number of channels
_OF_INPUT = (
    *_OF_SHAPES, "channels", "too small", "Kernel size can't be greater", "doesn't match model", "mismatch",
    "image height", "image width", "image size",
)  # fmt: skip

#: sides of pictures that networks are made for
_SIDES = (224, 32, 28, 64, 96, 128, 112, 160, 192, 227, 240, 256, 260, 288, 299, 300, 320, 331, 380, 384, 448, 480, 512)


def does_not_fit(root: nn.Module, shape: tuple[int, ...], error: Exception) -> CapabilityError | None:
    """That inputs of ``shape`` do not fit a network, and which do, as far as a few tries tell; None where one of that
    shape is taken by itself."""
    taken, given = _taken(root, shape), " x ".join(map(str, shape[1:]))
    if taken == shape[1:]:
        return None
    say = "--size and --channels, in Python preprocess=, or another tensor"
    if not taken:
        return CapabilityError(
            f"{type(root).__name__} raised {reason(error, 160)} of an input of {given}. If it takes another size, or "
            f"other channels, say so: {say}"
        )
    return CapabilityError(
        f"{type(root).__name__} takes inputs of {' x '.join(map(str, taken))}, and was given {given} "
        f"({reason(error, 160)}): {say}"
    )


def _taken(root: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """What a picture may be that ``root`` takes, [C, H, W]; () if none of those tried is."""
    if len(shape) != _IMAGE:
        return ()
    first = next((part for part in root.modules() if isinstance(part, nn.Conv2d)), None)
    channels = shape[1] if first is None else first.in_channels
    weight = next(iter(root.parameters()), torch.zeros(()))
    for size in dict.fromkeys([shape[2:], *((side, side) for side in _SIDES)]):
        try:
            with torch.no_grad():
                root(weight.new_zeros((1, channels, *size)))
        except Exception:  # a try: the first error is the one that is told
            continue
        return channels, *size
    return ()


def of_input(error: Exception) -> bool:
    """Whether a forward failed because its input has another size or other channels than it takes."""
    return any(words in str(error) for words in _OF_INPUT)


def of_shapes(error: Exception) -> bool:
    """Whether a forward failed because it was written for another number of inputs."""
    return any(words in str(error) for words in _OF_SHAPES)


def of_kinds(error: Exception) -> bool:
    """Whether a forward failed because a value has another type, or other axes, than it takes."""
    return any(words in str(error) for words in _OF_KINDS)
