"""Intake: takes a network, gives what its inputs are like, as far as it says or its first convolution or pool tells,
and refuses those that take several; never runs it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from torch import nn

from seewhy.core.network.foreign import Foreign
from seewhy.errors import CapabilityError

__all__ = ["Intake", "arguments_of", "check_takes_one", "intake"]

#: what an example of an input is like, by its axes of positions
_SIZES = {1: (224,), 2: (224, 224), 3: (16, 64, 64)}
#: parts that move over two or three axes of positions, where no convolution tells; those of one move over tokens, too
_MOVES: dict[int, tuple[type[nn.Module], ...]] = {
    2: (nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.BatchNorm2d),
    3: (nn.MaxPool3d, nn.AvgPool3d, nn.LPPool3d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d, nn.BatchNorm3d),
}


@dataclass(frozen=True)
class Intake:
    """How many ``axes`` of positions an input has, and its ``channels``, None where nothing says; ``told`` unless the
    axes are only what is usual."""

    axes: int
    channels: int | None
    told: bool = True

    @property
    def example(self) -> tuple[int, ...]:
        """The shape of an input that the network can probably take, [C, *size]."""
        return (self.channels or 3, *_SIZES.get(self.axes, (64,) * self.axes))


def intake(module: Any) -> Intake:
    """What inputs of ``module`` are like: what it says itself, or by the first convolution that it has, transposed ones
    included, or else by its first pool or norm; two axes where there is none."""
    if isinstance(module, Foreign) and module.axes is not None:
        return Intake(module.axes, module.channels)
    if not isinstance(module, nn.Module):
        return Intake(2, None, told=False)
    first = next((part for part in module.modules() if isinstance(part, nn.modules.conv._ConvNd)), None)
    if first is not None:
        return Intake(len(first.kernel_size), first.in_channels or None)
    moves = (axes for part in module.modules() for axes, kinds in _MOVES.items() if isinstance(part, kinds))
    axes = next(moves, None)
    return Intake(2, None, told=False) if axes is None else Intake(axes, None)


def arguments_of(module: Any) -> tuple[str, list[inspect.Parameter]]:
    """What a network or function is called in messages, and the arguments that it takes, as far as it says."""
    network = isinstance(module, nn.Module)
    name = type(module).__name__ if network else getattr(module, "__name__", "this function")
    try:
        return name, list(inspect.signature(module.forward if network else module).parameters.values())
    except (TypeError, ValueError):  # written in C, or scripted: it says nothing of itself
        return name, []


def check_takes_one(module: Any) -> None:
    """Refuse a network that cannot be called with one input alone; raises `CapabilityError`."""
    name, parameters = arguments_of(module)
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind not in _ANY_NUMBER
    ]
    if len(needed) < 2:
        return
    _, *others = needed
    held = ", ".join(f"{other!r}: ..." for other in others)
    raise CapabilityError(
        f"{name} takes {len(needed)} inputs ({', '.join(needed)}), and maps are made of one: hold the others, "
        f"seewhy.wrap(model, inputs={{{held}}})"
    )


_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
