"""Networks of other libraries: what a torch module that shows one says of it, and what runs the network outside torch;
runs nothing itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from seewhy.core.intercept.head import Squash

__all__ = ["Foreign", "Program", "program_of"]


class Program(ABC):
    """A network that something else than torch runs, forward only.

    A `Foreign` module that has one says that it stands for that program: scores alone then come from the
    program, gradients and layers from the module, as long as their scores agree within ``tolerance``, a share of the
    largest score. ``runtime`` is who runs it, ``why`` the reason why no module stands for it; '' where one does.
    ``caveats`` are said beside every map.
    """

    runtime: str
    tolerance: float
    why: str = ""
    caveats: tuple[str, ...] = ()

    @abstractmethod
    def run(self, x: Tensor) -> tuple[Any, Sequence[Squash]]:
        """What the network gives for ``x`` [B, C, *size], and the final softmax or sigmoid that made it, if one did."""

    def __call__(self, x: Tensor) -> Any:
        """What the network gives, alone."""
        return self.run(x)[0]


class Foreign(nn.Module):
    """A network of another library, shown as a torch module, and what it says of itself.

    ``channels_last`` is the order of its own inputs and layers; ``axes`` how many axes of positions an input has, and
    ``channels`` its channels, None where that is not known; ``program`` what gives its scores outside torch, if
    anything does.
    """

    channels_last: bool = False
    axes: int | None = None
    channels: int | None = None
    program: Program | None = None

    @property
    def called(self) -> str:
        """What it is called in messages."""
        return type(self).__name__

    def counterpart(self, part: nn.Module) -> nn.Module:
        """The torch layer that ``part``, one of its layers, amounts to; ``part`` itself where there is none."""
        return part


def program_of(model: Any) -> Program | None:
    """The program that a network is, or stands for; None for one that torch runs."""
    if isinstance(model, Program):
        return model
    return model.program if isinstance(model, Foreign) else None
