"""Candidates for a class activation map: takes a forward that was recorded and the score that is asked about, gives the
layers that a map may be drawn of, the best first; proves no grid.

The best is the last tensor that every path from the input to the score crosses, that has positions, and at more than
one of which the score's gradient arrives. Where tokens without a place are read out (class tokens), the gradient
arrives at the others only where positions are mixed for the last time: what that mixing reads carries all that they
say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from seewhy.core.forward.result import Forward, whole
from seewhy.core.layers.dominators import Paths, Point, point_of
from seewhy.core.network.capture import Noted, Tape
from seewhy.core.network.layouts import Layout, claims, find_layout, frames_of
from seewhy.core.network.places import TAKEN
from seewhy.core.targets import Target
from seewhy.errors import TargetError

__all__ = ["CUTS", "Candidate", "Found", "Survey", "find_candidates", "first_like", "grids_of", "severed", "take"]

#: candidates that are looked at, the last of the forward, and how many of their gradients are taken at once
_MOST, _AT_ONCE = 24, 6


@dataclass(frozen=True, eq=False)
class Candidate:
    """A tensor of a forward that a map may be drawn of: its place's name and what it could be read as; ``seen`` unless
    that is a row of tokens in a grid that nothing else in the forward has, which may as well be queries."""

    name: str
    noted: Noted
    layouts: tuple[Layout, ...]
    seen: bool = True

    @property
    def edge(self) -> GradientEdge:
        """Its place in the graph."""
        assert self.noted.edge is not None
        return self.noted.edge

    @property
    def intact(self) -> bool:
        """Whether the tensor is still as it was: nothing later in the forward has rewritten it."""
        tensor = self.noted.tensor
        return tensor.requires_grad and tensor._version == self.noted.version


@dataclass(frozen=True)
class Found:
    """The candidates, the best first; whether that would be the same for any other target, and whether the output has
    positions, so that for others it may not; in words what was passed over on the way; and whether tensors that no
    module gave or took, better than those, may be among what functions gave, which was not noted."""

    candidates: tuple[Candidate, ...]
    general: bool = True
    dense: bool = False
    passed_over: tuple[str, ...] = ()
    nameless: bool = False


@dataclass(frozen=True, eq=False)
class Survey:
    """A recorded forward: what its modules gave and were given, the leaf, the inputs' size and number, and the tensors
    that are ``scores`` themselves; ``dense`` where its output has positions or is a list of objects."""

    tape: Tape
    leaf: Tensor
    size: tuple[int, ...]
    batch: int
    scores: tuple[Tensor, ...]
    dense: bool
    last: bool = False
    #: how places are read that pictures have spoken of
    known: Mapping[str, Layout] = field(default_factory=dict)

    @cached_property
    def grids(self) -> list[tuple[int, ...]]:
        """Grids that convolutions of this forward had, which rows of tokens may have, too."""
        return sorted({shape[2:] for _, shape in self._shapes if max(shape[2:]) > 1}, reverse=True)

    @cached_property
    def maps(self) -> set[tuple[int, ...]]:
        """Grids that the maps of layers seem to have had; none where torch runs the layers unseen."""
        shapes = {shape for given, shape in self._shapes if given}
        return {find_layout(shape, self.size, last=self.last).grid for shape in shapes}

    @cached_property
    def _shapes(self) -> set[tuple[bool, tuple[int, ...]]]:
        """Whether a layer within the network gave it, or anybody took it, and the shape of everything that has as many
        axes as maps have."""
        shapes = set()
        for noted in (e for e in self.tape.noted if not e.function):
            shape = _unfolded(tuple(noted.tensor.shape), self.size, self.batch)
            if len(shape) == len(self.size) + 2 and shape[0] == self.batch:
                shapes.add((bool(noted.module) and noted.element != TAKEN and not noted.passed, shape))
        return shapes


def _unfolded(shape: tuple[int, ...], size: Sequence[int], batch: int) -> tuple[int, ...]:
    """The shape of maps with the frames that lie in their batch as an axis of positions; others as they are."""
    if not frames_of(shape, size, batch):
        return shape
    layouts = [e for e in claims(shape, size, batch) if e.frames and not e.tokens]
    return (batch, shape[layouts[0].channel], *layouts[0].grid) if layouts else shape


def grids_of(forward: Forward) -> list[tuple[int, ...]]:
    """Grids that convolutions of a surveyed forward had, which its rows of tokens may have, too."""
    return Survey(forward.tape, forward.leaf, forward.size, forward.outputs.batch, (), dense=False).grids


def first_like(forward: Forward, shape: Sequence[int]) -> str | None:
    """The name of the first layer of a surveyed forward that gave something of ``shape``, but for the batch."""
    given = (e for e in forward.tape.noted if e.module and not e.element and not e.passed)
    return next((e.name(forward.tape.calls) for e in given if tuple(e.tensor.shape[1:]) == tuple(shape[1:])), None)


def find_candidates(forward: Forward, asked: Sequence[Sequence[Target]], without: Collection[str] = ()) -> Found:
    """The layers that maps of all targets ``asked`` may be drawn of, from a survey, the best first; ``without`` places
    whose positions have turned out to be none.

    Where the graph does not lead to the input, since a part of the network records none, they are the last ones that
    the score was computed from, or the last ones there are.
    """
    survey, score = _surveyed(forward, asked)
    paths = Paths(score, survey.leaf)
    names = _named(survey, paths)
    if not paths.order:
        return Found(tuple(_unrecorded(survey, paths)), general=True)
    still = paths.still() if survey.dense else frozenset()
    crossed = paths.crossed(still)
    final = set[Point]().union(*(paths.final(tensor) for tensor in survey.scores))
    passed: list[str] = []
    own = paths.start()
    inside = [p for p in crossed if p not in final and p not in own]
    apart = _apart(survey, paths, names, inside)
    whole = [_candidate(survey, names[p]) for p in inside if p in names and (not names[p].function or p in apart)]
    placed = [c for c in whole if c is not None and not _pooled(paths, survey, names, c)]
    placed = [c for c in placed if c.name not in without][:_MOST]
    # a row of several grids: a map of one of them would leave out what the others say, silently
    placed.sort(key=lambda c: c.layouts[0].mixed(c.noted.tensor.shape))
    usable, tokens = _reached(survey, score, placed, passed)
    best = usable or placed
    aside = bool(usable) and (tokens or usable[0].layouts[0].spare(usable[0].noted.tensor.shape) > 0)
    if aside and (read := _read_last(survey, score, usable[0], names, without)) is not None:
        best = [read, *usable]
    everywhere = set(paths.crossed()) if still else set(crossed)
    general = not best or best[0] not in placed or point_of(best[0].edge) in everywhere
    if not best:
        others = [c for c in _unrecorded(survey, paths) if point_of(c.edge) not in inside]
        passed += [
            f"{c.name} ({'the scores themselves' if point_of(c.edge) in final else 'one of several ways'})"
            for c in others[:4]
        ]
    so_far = inside.index(point_of((usable or placed)[0].edge)) if best else len(inside)
    nameless = any(inside.index(p) < so_far and p not in names for p in apart)
    return Found(tuple(best), general, survey.dense, tuple(passed), nameless)


def _surveyed(forward: Forward, asked: Sequence[Sequence[Target]]) -> tuple[Survey, Tensor]:
    """What was noted, and the sum of all that is ``asked``."""
    dense = forward.outputs.found is not None
    try:
        output: tuple[Tensor, ...] = () if dense else (forward.outputs.main,)
        dense = dense or output[0].ndim > 2
    except TargetError:  # an output that only a target of the user's understands
        output, dense = (), True
    inside = {name for targets in asked for target in targets for name in target.layers}
    asked_of = (*(output if dense else ()), *(forward.tape.activations[name] for name in sorted(inside)))
    known = {place: layout for (size, place), layout in forward.layouts.items() if size == forward.size}
    survey = Survey(
        forward.tape, forward.leaf, forward.size, forward.outputs.batch, asked_of, dense, forward.channels_last, known
    )
    # nothing asked about the scores: whatever any of them is computed from
    sums = [forward.scores(targets).sum() for targets in asked]
    score = torch.stack(sums).sum() if asked else whole(output[0])
    return survey, score


def take(forward: Forward, chosen: Candidate) -> bool:
    """Have ``chosen`` as if it had been captured; gives whether its tensor is one of this forward and still as
    it was."""
    if chosen.noted not in forward.tape.noted:
        return False
    forward.tape.calls[chosen.name] = forward.tape.calls[chosen.noted.counted]
    if chosen.intact:
        forward.tape.activations[chosen.name] = chosen.noted.tensor
    return chosen.intact


def _apart(survey: Survey, paths: Paths, names: dict[Point, Noted], inside: Sequence[Point]) -> set[Point]:
    """Those of the points that have positions, that no module gave or took, and between which and the nearest that one
    did lies more than a chain of functions of one tensor: sums of two ways, mostly."""
    named = {p for p in inside if p in names and not names[p].function}
    placed = {p for p in named if _candidate(survey, names[p]) is not None}
    unnamed: set[Point] = set()
    for point in inside:
        shape = paths.shape(point)
        other = point in named or shape == tuple(survey.leaf.shape) or paths.pooled(point) is not None
        if other or not claims(shape, survey.size, survey.batch, survey.last, survey.grids):
            continue
        before = point
        while before not in placed and len(ways := paths.following.get(before[0], [])) == 1:
            before = ways[0][0]
        if before not in placed:
            unnamed.add(point)
    return unnamed


def _unrecorded(survey: Survey, paths: Paths) -> list[Candidate]:
    """Candidates in the order of the forward, the last first, of which the score was computed as far as is known."""
    candidates: dict[int, Candidate] = {}
    for noted in survey.tape.noted:
        given = noted.element == TAKEN or noted.passed or noted.function
        known = noted.module and not given and "parametrizations" not in noted.module
        reached = noted.edge is not None and id(noted.edge.node) in paths.nodes
        if known and (reached or not paths.nodes) and (candidate := _candidate(survey, noted)) is not None:
            candidates.pop(id(noted.tensor), None)
            candidates[id(noted.tensor)] = candidate
    return list(reversed(candidates.values()))


def _named(survey: Survey, paths: Paths) -> dict[Point, Noted]:
    """The best name of each tensor: of the outermost module that made it; of one that hands it on; of one that takes
    it; of the function that made it, where that was noted. What a module gives alone is caught where it leaves it: if
    something has read it by then, that is no name."""
    ranked: dict[Point, tuple[int, Noted]] = {}
    for noted in survey.tape.noted:
        if noted.edge is None or not (noted.module or noted.function) or "parametrizations" in noted.module:
            continue
        rank = -1 if noted.function else 0 if noted.element == TAKEN else 1 if noted.passed else 2
        point = point_of(noted.edge)
        if not noted.element and paths.read_before(point, noted.at):
            continue
        if point not in ranked or rank > ranked[point][0] or rank == ranked[point][0] == 2:
            ranked[point] = rank, noted
    return {point: noted for point, (_, noted) in ranked.items()}


def _candidate(survey: Survey, noted: Noted) -> Candidate | None:
    grids = survey.grids
    layouts = claims(tuple(noted.tensor.shape), survey.size, survey.batch, survey.last, grids)
    if not layouts:
        return None
    if noted.function:  # heads of attention have several axes, too
        layouts = [e for e in layouts if e.tokens or e.grid in survey.maps or not survey.maps]
        if not layouts:
            return None
    seen = not layouts[0].tokens or layouts[0].grid in grids
    name = noted.name(survey.tape.calls)
    known = survey.known.get(name)
    if known is not None and known.fits(tuple(noted.tensor.shape)):
        layouts = [known, *(layout for layout in layouts if layout != known)]
    return Candidate(name, noted, tuple(layouts), seen)


def _pooled(paths: Paths, survey: Survey, names: dict[Point, Noted], candidate: Candidate) -> bool:
    """Whether a candidate is only the mean or the largest of another one's places."""
    source = paths.pooled(point_of(candidate.edge))
    return source is not None and source in names and _candidate(survey, names[source]) is not None


def _reached(
    survey: Survey, score: Tensor, placed: Sequence[Candidate], passed: list[str]
) -> tuple[list[Candidate], bool]:
    """Those at more than one of whose positions the gradient arrives; and whether behind the first of them it arrives
    at tokens without a place alone."""
    usable: list[Candidate] = []
    tokens = False
    for start in range(0, len(placed), _AT_ONCE):
        some = placed[start : start + _AT_ONCE]
        for candidate, grad in zip(some, _gradients(score, some), strict=True):
            if usable:
                usable.append(candidate)
                continue
            where = candidate.layouts[0]
            if _positions(grad, where) > 1 and not (survey.dense and _channels(grad, where) < 2):
                usable.append(candidate)
            elif grad is not None and bool(grad.any()) and where.tokens:
                tokens = True
                passed.append(f"{candidate.name} (the score reads none of its positions)")
            else:
                passed.append(f"{candidate.name} (the gradient arrives at no more than one position or channel)")
        if usable:
            break
    rest = placed[placed.index(usable[-1]) + 1 :] if usable else ()
    return [*usable, *rest], tokens


def _gradients(score: Tensor, some: Sequence[Candidate]) -> list[Tensor | None]:
    if not some:
        return []
    return list(torch.autograd.grad(score, [c.edge for c in some], retain_graph=True, allow_unused=True))


def _positions(grad: Tensor | None, layout: Layout) -> int:
    return 0 if grad is None else int(layout.canonical(grad).ne(0).any(1).any(0).sum())


def _channels(grad: Tensor | None, layout: Layout) -> int:
    return 0 if grad is None else int(layout.canonical(grad).ne(0).flatten(2).any(2).any(0).sum())


def _read_last(
    survey: Survey, score: Tensor, before: Candidate, names: dict[Point, Noted], without: Collection[str]
) -> Candidate | None:
    """What the last mixing of positions reads, behind ``before``, at whose places the gradient still arrives: the last
    tensor of its shape through which all that arrives there has come; None if there is none but itself."""
    layout, shape = before.layouts[0], before.noted.tensor.shape
    start = survey.tape.noted.index(before.noted)
    later = {
        point_of(noted.edge): noted
        for noted in survey.tape.noted[start + 1 :]
        if noted.edge is not None and noted.tensor.shape == shape and point_of(noted.edge) != point_of(before.edge)
    }
    behind = [c for p in later if p in names and (c := _candidate(survey, names[p])) is not None]
    behind = [candidate for candidate in behind if candidate.name not in without]
    (whole, *grads) = _gradients(score, [before, *behind])
    wanted = None if whole is None else layout.canonical(whole)
    for candidate, grad in zip(reversed(behind), reversed(grads), strict=True):
        few = min(_positions(grad, layout), _positions(grad, candidate.layouts[0])) < 2
        if wanted is None or grad is None or few:
            continue
        through: Tensor | None = torch.autograd.grad(
            [candidate.edge], [before.edge], [grad], retain_graph=True, allow_unused=True
        )[0]
        if through is None:
            continue
        apart = (layout.canonical(through) - wanted).abs().max()
        if bool(apart <= 1e-4 * wanted.abs().max()):
            return candidate
    return None


#: what a forward may do so that torch records no way back, in words
CUTS = "no_grad, inference_mode, detach, a comparison, whole numbers or a way through numpy"


def severed(forward: Forward, asked: Sequence[Sequence[Target]]) -> tuple[str, ...] | None:
    """The layers with positions that ran, from a survey, the last first, where torch has recorded no path from the
    input to what is ``asked``, though the network may have one; None where it has."""
    survey, score = _surveyed(forward, asked)
    if Paths(score, survey.leaf).order:
        return None
    names: dict[int, str] = {}
    for noted in survey.tape.noted:
        shape = tuple(noted.tensor.shape)
        placed = claims(shape, survey.size, survey.batch, survey.last, survey.grids)
        # what is taken before any layer has given something is the input; what one gave has that layer's name
        known = noted.element != TAKEN or (names and id(noted.tensor) not in names)
        if noted.module and not noted.function and not noted.passed and placed and known:
            names[id(noted.tensor)] = noted.name(survey.tape.calls)
    return tuple(reversed(names.values()))
