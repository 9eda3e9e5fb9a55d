"""Agreement: takes two forwards of the same inputs, or a forward and what another runtime gives, says in words where
they differ; records nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from seewhy.core.network.foreign import Program
from seewhy.core.network.outputs import Outputs
from seewhy.core.network.places import INPUT
from seewhy.errors import CapabilityError, TargetError, reason

if TYPE_CHECKING:
    from seewhy.core.forward.result import Forward

__all__ = [
    "Distance",
    "check_agreement",
    "difference",
    "disagreement",
    "floats",
    "gap",
    "gradients_at",
    "mixes",
    "now_and_then",
    "rounding",
    "slope_gap",
    "slope_of",
    "verdict",
]

#: how many times what is allowed a network may be away from itself, and a prepared one from it
_SELF, _MOST = 2, 5


#: from so many comparisons on, one in so many
_SELDOM = 64
#: drawn for itself: nobody's random state is touched, and no seed repeats the choice
_draw = random.Random()


def now_and_then(times: int) -> bool:
    """Whether something is to be compared again the ``times``-th time that it could be, from 1: the 1st, 2nd, 4th,
    8th... time, and about every 64th later on."""
    return times & (times - 1) == 0 if times <= _SELDOM else _draw.random() * _SELDOM < 1


def difference(exact: Forward, prepared: Forward, again: Iterable[Forward] = ()) -> str:
    """'' where outputs and captured layers agree to eps^0.55 of the largest value (2e-4 for float32), and gradients to
    eps^0.25 in relative L2 (2e-2); else what does not.

    A gradient of a ReLU network jumps where rounding moves a value across zero, so it is not held to the same. Where
    rounding moves the network itself further than that, which passes ``again`` show, twice as far is allowed, up to
    five times the usual.
    """
    unlike = _unlike(exact, prepared)
    if unlike:
        return unlike
    try:
        apart = _distances(exact, prepared)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # an operation of the graph's without a derivative, which the model has not
        return f"it cannot be differentiated ({reason(error)})"
    return verdict(apart, (_distances(exact, other) for other in again))


@dataclass(frozen=True)
class Distance:
    """How far something of two passes is apart, how far it may be, and that in words."""

    distance: float
    allowed: float
    words: str

    @property
    def near(self) -> bool:
        """Whether they agree; what is no number does not."""
        return self.distance <= self.allowed

    @classmethod
    def of_values(cls, what: str, exact: Tensor, other: Tensor, of: Outputs, scale: float | None = None) -> Distance:
        """Of outputs, layers and scores ``of`` a forward: as a share of ``scale``, or of the largest value."""
        distance, allowed = gap(exact, other, scale), rounding(exact.dtype, of.computed_in)
        words = f"{what} differs by {distance:.1e} of the largest value (allowed: {allowed:.0e})"
        return cls(distance, allowed, words)

    @classmethod
    def of_gradients(cls, what: str, exact: Tensor, other: Tensor, of: Outputs) -> Distance:
        """Of gradients ``of`` a forward: in relative L2."""
        allowed = float(_eps(exact.dtype, of.computed_in) ** 0.25)
        away = (exact - other).double().norm() / exact.double().norm().clamp(min=1e-300)
        distance = 0.0 if torch.equal(exact, other) else float(away)
        return cls(distance, allowed, f"{what} differ by {distance:.1%} (relative L2; allowed: {allowed:.1%})")


def verdict(distances: Mapping[str, Distance], itself: Iterable[Mapping[str, Distance]] = ()) -> str:
    """'' where nothing is further apart than it may be, or than twice as far as the network is from ``itself`` in one
    of several ways of rounding (and then no more than five times the usual); else the first that is, in words.

    ``itself`` is asked for as little as need be.
    """
    apart = {name: distance for name, distance in distances.items() if not distance.near}
    if apart and all(distance.distance <= _MOST * distance.allowed for distance in apart.values()):
        for other in itself:
            own = {name: d.distance for name, d in other.items() if math.isfinite(d.distance)}
            apart = {name: d for name, d in apart.items() if not d.distance <= _SELF * own.get(name, 0.0)}
            if not apart:
                break
    return next(iter(apart.values())).words if apart else ""


def _unlike(exact: Forward, other: Forward) -> str:
    """What keeps two passes from being compared number by number, if anything does."""
    ours, theirs = floats(exact.outputs.raw), floats(other.outputs.raw)
    if len(ours) != len(theirs):
        return "it gives other outputs"
    layers = list(exact.tape.activations)
    if set(layers) != set(other.tape.activations):
        return "it runs other layers"
    names = ["its output"] * len(ours) + [f"layer {name!r}" for name in layers]
    pairs = zip(ours + [exact.raw(n) for n in layers], theirs + [other.raw(n) for n in layers], strict=True)
    for name, (a, b) in zip(names, pairs, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{name} has another shape or type"
    if _ending(exact) != _ending(other):
        return "its last softmax or sigmoid is not seen"
    return ""


def _ending(forward: Forward) -> str:
    """The softmax or sigmoid that a pass ends in; '' for outputs that are no scores."""
    try:
        return forward.outputs.ends_in
    except TargetError:
        return ""


def _distances(exact: Forward, other: Forward) -> dict[str, Distance]:
    """By name: every output, every captured layer, and the gradients there and at the input."""
    ours, theirs = floats(exact.outputs.raw), floats(other.outputs.raw)
    layers = list(exact.tape.activations)
    distances: dict[str, Distance] = {}
    values = {f"output {n}": pair for n, pair in enumerate(zip(ours, theirs, strict=True))}
    values |= {f"layer {name!r}": (exact.raw(name), other.raw(name)) for name in layers}
    for name, (a, b) in values.items():
        distances[name] = Distance.of_values(name, a, b, exact.outputs)
    if exact.demand.graph == "none":
        return distances
    places = layers + ([INPUT] if exact.demand.at_input else [])
    for place, a, b in zip(places, _gradients(exact, ours, places), _gradients(other, theirs, places), strict=True):
        name = gradients_at(place)
        distances[name] = Distance.of_gradients(name, a, b, exact.outputs)
    return distances


def gradients_at(place: str) -> str:
    """Gradients at ``place``, in words."""
    return "gradients at " + ("the input" if place == INPUT else f"layer {place!r}")


def floats(raw: Any) -> list[Tensor]:
    """The tensors of numbers in what a network gives."""
    return [leaf for leaf in pytree.tree_leaves(raw) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _gradients(forward: Forward, outputs: list[Tensor], places: list[str]) -> list[Tensor]:
    """Gradients of one weighted sum of all outputs at ``places``; zero where there is none."""
    score = torch.zeros((), dtype=torch.float64)
    for output in outputs:
        weights = torch.arange(1, output.numel() + 1, device=output.device, dtype=output.dtype).cos()
        score = score.to(output.device) + (output.reshape(-1) * weights).sum().double()
    grads = forward.gradients(score, [forward.source(place) for place in places])
    return [
        torch.zeros_like(forward.raw(place)) if grad is None else grad
        for place, grad in zip(places, grads, strict=True)
    ]


def mixes(call: Callable[[Tensor], Any], x: Tensor, computed_in: torch.dtype | None = None) -> bool:
    """Whether a network gives several samples like ``x`` [1, C, *size] together other scores than each alone, as far as
    can be told in the type that it is ``computed_in``."""
    samples = torch.cat([share * x for share in (1.0, 0.5, -0.25)])
    with torch.no_grad():
        together, *alone = (floats(call(batch.clone())) for batch in (samples, *torch.split(samples, 1)))
    # a number for all of them together belongs to no sample
    pairs = (pair for pair in zip(together, *alone, strict=True) if pair[0].ndim and len(pair[0]) == len(samples))
    return not all(
        gap(several, torch.cat([*map(torch.atleast_1d, singles)])) <= rounding(several.dtype, computed_in)
        for several, *singles in pairs
    )


def rounding(dtype: torch.dtype, computed_in: torch.dtype | None = None) -> float:
    """How far values may be apart, as a share of the largest, and still be taken for the same: eps^0.55, of the coarser
    of their type and the one that they were ``computed_in``."""
    return float(_eps(dtype, computed_in) ** 0.55)


def _eps(dtype: torch.dtype, computed_in: torch.dtype | None) -> float:
    return max(float(torch.finfo(kind).eps) for kind in (dtype, computed_in or dtype))


def gap(exact: Tensor, other: Tensor, scale: float | None = None) -> float:
    """The largest difference as a share of ``scale``, or of the largest value; infinity where one is a number and the
    other is not. Values below the smallest that has all its digits are measured by that one."""
    least = torch.finfo(exact.dtype).tiny if exact.is_floating_point() else 0.0
    if exact.shape != other.shape:
        return float("inf")
    exact, other = exact.detach().double().cpu(), other.detach().double().cpu()
    if not torch.equal(exact.isfinite(), other.isfinite()):
        return float("inf")
    exact, other = exact.nan_to_num(0, 0, 0), other.nan_to_num(0, 0, 0)
    if exact.numel() == 0:
        return 0.0
    scale = float(exact.abs().max()) if scale is None else scale
    return float((exact - other).abs().max()) / (max(scale, least) if scale else 1.0)


#: steps of the differences, as shares of the input's range: short ones are exact until rounding takes over
_STEPS = (1e-3, 1e-4, 1e-2, 5e-2)

#: random directions beside the gradient's own
_DIRECTIONS = 2

#: from here on no other step need be tried
_ALIKE = 0.1


def disagreement(program: Program, x: Tensor, outputs: Outputs) -> float:
    """How far the module's ``forward`` of ``x`` is from the program's, as a share of the largest score; infinity where
    they cannot be compared."""
    with torch.no_grad():
        raw, squashes = program.run(x.detach())
    own = Outputs(raw, len(x), squashes)
    try:
        pairs = [(own.main, outputs.main), (own.logits, outputs.logits)]
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
    slopes = [slope_of((out * weighting).sum(), leaf) for weighting in weights]
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
        seen = [[float(((up - down) * weighting).sum()) / (2 * reach) for weighting in weights] for up, down in ends]
        measured = torch.tensor(seen, dtype=torch.float64)
        size = float(torch.maximum(said.norm(), measured.norm()))
        if size <= precision * max(float(up.abs().max()) for up, _ in ends) / reach:
            continue
        gaps.append(float((said - measured).norm()) / size)
        if gaps[-1] < _ALIKE:
            break
    return min(gaps, default=0.0)


def slope_of(score: Tensor, leaf: Tensor) -> Tensor:
    """The gradient of a score, 0 where there is none. In float64: squares of small 16-bit numbers are 0."""
    grad = torch.autograd.grad(score, leaf, retain_graph=True, allow_unused=True)[0] if score.requires_grad else None
    return torch.zeros_like(leaf, dtype=torch.float64) if grad is None else grad.double()


def _program_scores(program: Program, x: Tensor) -> Tensor:
    with torch.no_grad():
        raw, squashes = program.run(x.detach())
    return Outputs(raw, len(x), squashes).logits


def check_agreement(program: Program, x: Tensor, outputs: Outputs) -> None:
    """Refuse a module whose scores on ``x`` are not the program's."""
    gap = disagreement(program, x, outputs)
    if not gap <= program.tolerance:
        raise CapabilityError(
            f"on this input the torch version of this network is {gap:.1e} of the largest score away from what "
            f"{program.runtime} gives (allowed: {program.tolerance:.0e}): its gradients and layers would be those of "
            "another network. Methods that need scores alone still work, such as --method occlusion or rise"
        )
