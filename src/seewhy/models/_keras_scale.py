"""What a Keras model makes of its pixels before it learns anything: takes a network, runs it on even pictures up to its
first layer with weights, gives the factor and the offset; reads no class name.

Rescaling can be a layer, a layer of a nested model, behind layers that augment, a line such as ``x / 255`` or
``preprocess_input(x)`` in a functional model, or the statistics of a `Normalization`. What arrives tells in any case.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seewhy.core.intercept.functions import Call, Interceptor
from seewhy.core.network.borrowed import Network

if TYPE_CHECKING:
    from seewhy.models._keras_network import KerasNetwork

__all__ = ["Scale", "measured"]

#: even pictures: black, white of either convention, and one between
_LEVELS = (0.0, 1.0, 100.0, 255.0)
#: functions by which layers weigh what they are given
_WEIGHING = (*(f"conv{n}d" for n in (1, 2, 3)), *(f"conv_transpose{n}d" for n in (1, 2, 3)), "convolution", "linear",
             "addmm", "matmul", "einsum", "tensordot")  # fmt: skip
#: an image that a network was trained on spans about so much
_USUAL = 2.0
#: the side of pictures for a network of any size
_SIDE = 64


@dataclass(frozen=True)
class Scale:
    """Pixels x arrive at the first layer with weights as ``factor`` x + an offset, of up to ``offset`` in size."""

    factor: float
    offset: float

    @property
    def bytes(self) -> bool:
        """Whether pixels from 0 to 255 arrive in the range that networks take, rather than pixels from 0 to 1."""
        return self._away(255.0) < self._away(1.0)

    def _away(self, most: float) -> float:
        """How far an image with pixels up to ``most`` is from usual: by its span, and by how far that lies off zero."""
        span = abs(self.factor) * most
        if not span > 0:
            return math.inf
        return abs(math.log(span / _USUAL)) + max(0.0, math.log(max(abs(self.offset), 1e-9) / span))

    @property
    def plain(self) -> bool:
        """Whether pixels arrive as they are."""
        return abs(self.factor - 1) < 1e-3 and abs(self.offset) < 1e-3


class _Arrived(BaseException):
    """Ends a forward whose rest nobody needs. No `Exception`: Keras would make another of it, with a longer text."""


def measured(network: KerasNetwork) -> Scale | None:
    """The scale of a network with two axes of positions; None where what arrives is no straight line in the pixels, or
    nothing with weights is met. Raises what the model's own forward raises."""
    channels = network.channels or 3
    size = [n or _SIDE for n in (network.size if len(network.size) == 2 else (None, None))]
    levels = torch.tensor(_LEVELS)
    x = levels.reshape(-1, 1, 1, 1).expand(-1, channels, *size).contiguous()
    arrived: list[Tensor] = []

    def stop(call: Call, proceed: Callable[[Call], Any]) -> Any:
        given = next((arg for arg in call.args if isinstance(arg, Tensor)), None)
        if given is None or len(given) != len(levels) or not given.is_floating_point():
            return proceed(call)
        if not bool((given[0] != given[-1]).any()):
            return proceed(call)
        arrived.append(given.detach())
        raise _Arrived

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its mode, which the first explanation says
            with Network(network).borrowed() as call, torch.no_grad(), Interceptor([dict.fromkeys(_WEIGHING, stop)]):
                call(x)
    except _Arrived:
        return _straight(levels.double(), arrived[0].double().flatten(1))
    return None


def _straight(levels: Tensor, values: Tensor) -> Scale | None:
    """The line through what arrived, [levels, n], where it is one: its median slope (borders are padded), and its
    largest usual offset."""
    slopes = (values[-1] - values[0]) / (levels[-1] - levels[0])
    moving = slopes.abs() > 0
    line = values[0] + levels[:, None] * slopes
    size = (values - values[0]).abs().amax(0).clamp(min=1e-12)
    bent = ((values - line).abs().amax(0) > 0.02 * size) & moving
    if not bool(moving.any()) or float(bent[moving].double().mean()) > 0.5:
        return None
    kept = moving & ~bent
    return Scale(float(slopes[kept].abs().median()), float(values[0][kept].abs().quantile(0.9)))
