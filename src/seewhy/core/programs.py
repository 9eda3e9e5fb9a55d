"""Networks that run outside torch: takes a program and the module that stands for it, gives the program's own scores;
never lets a stand-in go on that disagrees with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.graph.agreement import gap
from seewhy.core.head import Squash
from seewhy.core.outputs import Forward
from seewhy.errors import CapabilityError, TargetError

__all__ = ["Program", "check_agreement", "disagreement", "program_of"]


class Program(ABC):
    """A network that something else than torch runs, forward only.

    A module whose attribute ``program`` is one says that it stands for that program: scores alone then come from the
    program, gradients and layers from the module, as long as their scores agree within ``tolerance``, a share of the
    largest score. ``runtime`` is who runs it, ``why`` the reason why no module stands for it; '' where one does.
    """

    runtime: str
    tolerance: float
    why: str = ""

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


def disagreement(program: Program, x: Tensor, forward: Forward) -> float:
    """How far the module's ``forward`` of ``x`` is from the program's, as a share of the largest score; infinity where
    they cannot be compared."""
    with torch.no_grad():
        raw, squashes = program.run(x.detach())
    own = Forward(raw, len(x), squashes)
    try:
        pairs = [(own.main, forward.main), (own.logits, forward.logits)]
    except TargetError:  # no scores that the two could be compared by
        return float("inf")
    return max(gap(a.detach(), b.detach()) for a, b in pairs)


def check_agreement(program: Program, x: Tensor, forward: Forward) -> None:
    """Refuse a module whose scores on ``x`` are not the program's."""
    gap = disagreement(program, x, forward)
    if not gap <= program.tolerance:
        raise CapabilityError(
            f"on this input the torch version of this network is {gap:.1e} of the largest score away from what "
            f"{program.runtime} gives (allowed: {program.tolerance:.0e}): its gradients and layers would be those of "
            "another network. Methods that need scores alone still work, such as --method occlusion or rise"
        )
