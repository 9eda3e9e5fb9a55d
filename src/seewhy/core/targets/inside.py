"""Targets inside the network: take a layer's activation, give one unit of it, or the mean of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from seewhy.core.targets.base import Label, Target, unnamed
from seewhy.errors import TargetError

if TYPE_CHECKING:
    from seewhy.core.network.outputs import Outputs

__all__ = ["LayerMean", "Neuron", "OfLayer"]


@dataclass(frozen=True)
class Neuron(Target):
    """One unit of ``layer``: ``channel``, at ``position`` (grid indices), or its mean over positions."""

    layer: str
    channel: int
    position: tuple[int, ...] | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers whose activations the target reads."""
        return (self.layer,)

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        activation = output.activation(self.layer)
        if not -activation.shape[1] <= self.channel < activation.shape[1]:
            raise TargetError(f"no channel {self.channel}: layer {self.layer!r} has {activation.shape[1]}")
        unit = activation[:, self.channel]
        if self.position is None:
            return unit.flatten(1).mean(1) if unit.ndim > 1 else unit
        grid = tuple(unit.shape[1:])
        if len(self.position) != len(grid) or any(not -n <= p < n for p, n in zip(self.position, grid, strict=True)):
            raise TargetError(f"no position {self.position}: layer {self.layer!r} has a grid of {grid}")
        for p in self.position:
            unit = unit[:, p]
        return unit

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return "activation"

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        at = "" if self.position is None else f" at {','.join(map(str, self.position))}"
        return f"{self.layer}[{self.channel}]{at}"


@dataclass(frozen=True)
class OfLayer(Target):
    """What ``function`` makes of what ``layer`` gives, [B, C, *positions] (of tokens without their class tokens): one
    number a sample, [B]. A sum over units is ``OfLayer("layer4", lambda a: a[:, 3:7].sum((1, 2, 3)))``."""

    layer: str
    function: Callable[[Tensor], Tensor]

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers whose activations the target reads."""
        return (self.layer,)

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        activation = output.activation(self.layer)
        values = self.function(activation)
        if not isinstance(values, Tensor) or values.shape != (output.batch,):
            got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise TargetError(
                f"a function of layer {self.layer!r} {tuple(activation.shape)} gives one number per sample, shape "
                f"({output.batch},); got {got}"
            )
        return values

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return "activation"

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        name = getattr(self.function, "__name__", "function").replace("<lambda>", "function")
        return f"{name} of {self.layer}"


@dataclass(frozen=True)
class LayerMean(Target):
    """Mean of everything that ``layer`` puts out; of its squares with ``power=2`` (what DeepDream makes larger)."""

    layer: str
    power: int = 1

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers whose activations the target reads."""
        return (self.layer,)

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        return output.everything(self.layer).pow(self.power).mean(1)

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return "activation"

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return f"mean of {self.layer}" if self.power == 1 else f"mean of {self.layer} to the power {self.power}"
