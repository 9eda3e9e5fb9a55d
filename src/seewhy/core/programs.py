"""Networks that run outside torch: takes a program and the module that stands for it, gives the program's own scores;
never lets a stand-in go on that disagrees with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.graph.agreement import gap
from seewhy.core.head import Squash
from seewhy.core.outputs import Forward
from seewhy.errors import CapabilityError, TargetError

__all__ = ["Program", "check_agreement", "disagreement", "program_of", "slope_gap", "slope_of"]

#: steps of the differences, as shares of the input's range: short ones are exact until rounding takes over
_STEPS = (1e-3, 1e-4, 1e-2, 5e-2)
#: random directions beside the gradient's own
_DIRECTIONS = 2
#: from here on no other step need be tried
_ALIKE = 0.1


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


def slope_gap(
    program: Program,
    x: Tensor,
    scores: Callable[[Tensor], Tensor],
    unit: float = 1.0,
    precision: float = 1e-6,
    least: float = 0.0,
) -> float:
    """How far the derivatives of ``scores``, which stand for ``program`` around ``x`` [B, C, *size], are from the
    differences of the program's own scores: 0 equal, 1 or more nothing alike.

    Scores that agree prove no derivative: what rounds (a quantised layer) has none, and what is left of the gradient
    goes through the scales alone. Compared are the best score and a mixture of all, along their own gradient and along
    random directions, over steps of several lengths (``unit`` is the range of an input), of which the best one counts,
    since long ones cross kinks. Those that drown in rounding (``precision`` is that of the scores, as a share of the
    largest, ``least`` the shortest that an input can take) say nothing; 0 where all do: then there is no slope to speak
    of.
    """
    generator = torch.Generator().manual_seed(0)
    leaf = x.detach().clone().requires_grad_()
    out = scores(leaf).flatten(1)
    best = torch.nn.functional.one_hot(out.detach().argmax(1), out.shape[1]).to(out)
    mixed = torch.randn(out.shape, generator=generator).to(out) / max(out.shape[1], 1) ** 0.5
    weights = (best, mixed)
    slopes = [slope_of((out * each).sum(), leaf) for each in weights]
    ways = [(slope / slope.square().mean().sqrt()).to(x) for slope in slopes if bool(slope.any())]
    ways += [torch.rand(x.shape, generator=generator).to(x).sub(0.5).sign() for _ in range(_DIRECTIONS)]
    said = torch.tensor(
        [[float((slope * way.double()).sum()) for slope in slopes] for way in ways], dtype=torch.float64
    )

    gaps: list[float] = []
    for step in _STEPS:
        reach = step * unit
        if reach < least:
            continue
        ends = [[_program_scores(program, x + sign * reach * way).flatten(1) for sign in (1, -1)] for way in ways]
        seen = [[float(((up - down) * each).sum()) / (2 * reach) for each in weights] for up, down in ends]
        found = torch.tensor(seen, dtype=torch.float64)
        size = float(torch.maximum(said.norm(), found.norm()))
        if size <= precision * max(float(up.abs().max()) for up, _ in ends) / reach:
            continue
        gaps.append(float((said - found).norm()) / size)
        if gaps[-1] < _ALIKE:
            break
    return min(gaps, default=0.0)


def slope_of(score: Tensor, leaf: Tensor) -> Tensor:
    """The gradient of a score, 0 where there is none. In float64: squares of small 16-bit numbers are 0."""
    found = torch.autograd.grad(score, leaf, retain_graph=True, allow_unused=True)[0] if score.requires_grad else None
    return torch.zeros_like(leaf, dtype=torch.float64) if found is None else found.double()


def _program_scores(program: Program, x: Tensor) -> Tensor:
    with torch.no_grad():
        raw, squashes = program.run(x.detach())
    return Forward(raw, len(x), squashes).logits


def check_agreement(program: Program, x: Tensor, forward: Forward) -> None:
    """Refuse a module whose scores on ``x`` are not the program's."""
    gap = disagreement(program, x, forward)
    if not gap <= program.tolerance:
        raise CapabilityError(
            f"on this input the torch version of this network is {gap:.1e} of the largest score away from what "
            f"{program.runtime} gives (allowed: {program.tolerance:.0e}): its gradients and layers would be those of "
            "another network. Methods that need scores alone still work, such as --method occlusion or rise"
        )
