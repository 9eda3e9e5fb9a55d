"""Networks that run outside torch: takes a program and the module that stands for it, gives the program's own scores;
never lets a stand-in go on that disagrees with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from seewhy.core.intercept.head import Squash

__all__ = ["Program", "program_of"]


class Program(ABC):
    """A network that something else than torch runs, forward only.

    A module whose attribute ``program`` is one says that it stands for that program: scores alone then come from the
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


def program_of(model: Any) -> Program | None:
    """The program that a network is, or stands for; None for one that torch runs."""
    found = model if isinstance(model, Program) else getattr(model, "program", None)
    return found if isinstance(found, Program) else None
