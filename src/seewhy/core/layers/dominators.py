"""Crossings: takes a score and the input that it was computed from, gives the tensors that every path between them
crosses, read off the recorded graph; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

__all__ = ["Paths", "Point", "point_of"]

#: a tensor in the recorded graph: what made it, by identity, and which of its results it is
Point = tuple[int, int]

#: functions that give the numbers that they were given, in another shape, or some of them
_VIEWS = (
    "View", "Reshape", "UnsafeView", "Permute", "Transpose", "Squeeze", "Unsqueeze", "Expand", "Clone", "ToCopy",
    "Alias", "Select", "Slice", "Split", "Unbind", "AsStrided", "TBackward", "Index", "Cat", "Stack", "Flatten", "Swap",
    "Movedim", "Repeat",
)  # fmt: skip

#: functions that take the mean or the largest of several places, channel by channel
_POOLS = ("MaxPool", "AvgPool", "AdaptiveAvg", "AdaptiveMax", "Mean", "Amax", "SumBackward1")

#: functions that resize maps or squash scores
_FINAL = ("Upsample", "Softmax", "Sigmoid", "Relu", "Clamp", "Log", "Exp", "GridSample")


def point_of(edge: GradientEdge) -> Point:
    """The point of a tensor's place in the graph."""
    return id(edge.node), edge.output_nr


@dataclass
class Paths:
    """The part of the recorded graph that lies between ``score`` and ``leaf``.

    ``nodes`` keeps its functions alive, so that their identities stay theirs; ``following`` has, for each of them, the
    points that its inputs are, as far as they come from the leaf, each with the input's number.
    """

    score: Tensor
    leaf: Tensor
    nodes: dict[int, Any] = field(default_factory=dict)
    following: dict[int, list[tuple[Point, int]]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    #: the number of the first function that reads each tensor
    _first: dict[Point, int] | None = None

    def __post_init__(self) -> None:
        if not self.score.requires_grad or not self.leaf.requires_grad:
            return
        root, goal = get_gradient_edge(self.score).node, get_gradient_edge(self.leaf).node
        reaching = {id(goal)}
        self.nodes = {id(goal): goal, id(root): root}
        finished: list[int] = []
        waiting = [(root, _inputs(root, goal))]
        while waiting:
            node, left = waiting[-1]
            if left:
                other = left.pop()[0]
                if id(other) not in self.nodes:
                    self.nodes[id(other)] = other
                    waiting.append((other, _inputs(other, goal)))
                continue
            waiting.pop()
            following = [((id(other), nr), n) for other, nr, n in _inputs(node, goal) if id(other) in reaching]
            if following:
                reaching.add(id(node))
                self.following[id(node)] = following
                finished.append(id(node))
        if id(root) in reaching and root is not goal:
            self.order = [*reversed(finished), id(goal)]

    def crossed(self, without: frozenset[tuple[int, int]] = frozenset()) -> list[Point]:
        """The tensors that every path crosses, from the score to the leaf. Paths over the edges in ``without``, pairs
        of a function's identity and the number of its input, do not count."""
        if not self.order:
            return []
        place = {node: n for n, node in enumerate(self.order)}
        entered: dict[int, set[int]] = {self.order[0]: {get_gradient_edge(self.score).output_nr}}
        furthest, crossings = 0, []
        for n, node in enumerate(self.order):
            if node not in entered:
                continue
            if furthest <= n and len(entered[node]) == 1:
                crossings.append((node, next(iter(entered[node]))))
            for (other, nr), number in self.following.get(node, ()):
                if (node, number) not in without:
                    entered.setdefault(other, set()).add(nr)
                    furthest = max(furthest, place[other])
        return crossings

    def still(self) -> frozenset[tuple[int, int]]:
        """The edges over which not one number of the score's gradient goes, as `crossed` takes them: branches of other
        objects, heads of other scales. Takes a backward pass."""
        dead: set[tuple[int, int]] = set()

        def hook(inputs: Sequence[Tensor | None], outputs: Any, node: int) -> None:
            for _, n in self.following[node]:
                grad = inputs[n] if n < len(inputs) else None
                if grad is None or not bool(grad.any()):
                    dead.add((node, n))

        with ExitStack() as stack:
            for node in self.order[:-1]:
                stack.callback(self.nodes[node].register_hook(partial(hook, node=node)).remove)
            torch.autograd.grad(self.score, self.leaf, retain_graph=True, allow_unused=True)
        return frozenset(dead)

    def read_before(self, point: Point, at: int) -> bool:
        """Whether a function with a number below ``at`` reads the tensor."""
        if self._first is None:
            self._first = {}
            for node, points in self.following.items():
                number = self.nodes[node]._sequence_nr()
                for source, _ in points:
                    self._first[source] = min(number, self._first.get(source, number))
        return self._first.get(point, at) < at

    def shape(self, point: Point) -> tuple[int, ...]:
        """The shape of a tensor; that of a nested one, which has none, is ()."""
        known = self.nodes[point[0]]._input_metadata[point[1]]
        return () if known.is_nested_tensor else tuple(known.shape)

    def behind(self, point: Point, names: Sequence[str]) -> Point:
        """The nearest tensor before ``point`` that was not made by a function whose name has one of ``names``."""
        while self._is(point[0], names) and len(self.following.get(point[0], ())) == 1:
            point = self.following[point[0]][0][0]
        return point

    def pooled(self, point: Point) -> Point | None:
        """The tensor of which ``point`` is nothing but a pooled one; None if there is none. A sum or mean that leaves
        the last two axes as they were is over something else: channels, or ways that were stacked."""
        pool = self.behind(point, _VIEWS)
        if not self._is(pool[0], _POOLS) or not self.following.get(pool[0]):
            return None
        given = self.shape(self.following[pool[0]][0][0])
        if len(given) > 3 and self.shape(pool)[-2:] == given[-2:]:
            return None
        return self.behind(pool, (*_POOLS, *_VIEWS))

    def start(self) -> set[Point]:
        """The leaf and what is only a view or a copy of it: the input itself."""
        goal = point_of(get_gradient_edge(self.leaf))
        return {goal} | {(node, 0) for node in self.order if self.behind((node, 0), _VIEWS) == goal}

    def final(self, output: Tensor) -> set[Point]:
        """``output`` and the tensors of which it is a view, a resized or a squashed one: the scores themselves."""
        if not output.requires_grad:
            return set()
        points, waiting = set(), [point_of(get_gradient_edge(output))]
        while waiting:
            point = waiting.pop()
            if point in points:
                continue
            points.add(point)
            if self._is(point[0], (*_VIEWS, *_FINAL)):
                waiting.extend(source for source, _ in self.following.get(point[0], ()))
        return points

    def _is(self, node: int, names: Sequence[str]) -> bool:
        name = self.nodes[node].name() if node in self.nodes else ""
        return any(part in name for part in names)


def _inputs(node: Any, goal: Any) -> list[tuple[Any, int, int]]:
    """The functions that made the inputs of ``node``, which result of each it is, and the input's number."""
    if node is goal:
        return []
    return [(other, nr, n) for n, (other, nr) in enumerate(node.next_functions) if other is not None]
