"""Exact answers, by enumeration and loops in float64: takes a scene or a module, gives Shapley values of cells,
occlusion and finite differences; imports nothing of the judging."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["cell", "occlusion", "players", "scorer", "shapley", "slope"]

_SIDE, _CELLS = 4, 4


def cell(row: int, column: int) -> tuple[slice, slice]:
    return slice(_SIDE * row, _SIDE * (row + 1)), slice(_SIDE * column, _SIDE * (column + 1))


def players(x: Tensor, empty: float) -> list[tuple[int, int]]:
    """The cells of one picture [1, H, W] that are not empty: the others are null players whatever the function."""
    places = itertools.product(range(_CELLS), repeat=2)
    return [at for at in places if bool((x[(slice(None), *cell(*at))] != empty).any())]


def shapley(score: Callable[[Tensor], float], x: Tensor, empty: float = 0.0) -> Tensor:
    """Shapley values of the cells of one picture [1, H, W], [4, 4]: the mean over all orders, written as a sum over all
    coalitions."""
    there = players(x, empty)
    n = len(there)

    def value(coalition: tuple[tuple[int, int], ...]) -> float:
        shown = torch.full_like(x, empty)
        for at in coalition:
            shown[(slice(None), *cell(*at))] = x[(slice(None), *cell(*at))]
        return score(shown)

    values = {frozenset(each): value(each) for k in range(n + 1) for each in itertools.combinations(there, k)}
    out = torch.zeros(_CELLS, _CELLS, dtype=torch.float64)
    for player in there:
        others = [at for at in there if at != player]
        for k in range(n):
            for each in itertools.combinations(others, k):
                weight = math.factorial(k) * math.factorial(n - k - 1) / math.factorial(n)
                out[player] += weight * (values[frozenset(each) | {player}] - values[frozenset(each)])
    return out


def occlusion(score: Callable[[Tensor], float], x: Tensor, empty: float = 0.0) -> Tensor:
    """What the score loses without each cell of one picture [1, H, W], [4, 4]."""
    out = torch.zeros(_CELLS, _CELLS, dtype=torch.float64)
    for at in itertools.product(range(_CELLS), repeat=2):
        hidden = x.clone()
        hidden[(slice(None), *cell(*at))] = empty
        out[at] = score(x) - score(hidden)
    return out


def slope(score: Callable[[Tensor], float], x: Tensor, at: tuple[int, int], step: float = 1e-4) -> float:
    """How the score changes with the strength of one cell of a picture [1, H, W], by a central difference."""
    more, less = x.clone(), x.clone()
    place = (slice(None), *cell(*at))
    more[place] *= 1 + step
    less[place] *= 1 - step
    return (score(more) - score(less)) / (2 * step)


def scorer(module: nn.Module, target: int) -> Callable[[Tensor], float]:
    """The score of one picture [1, H, W] in float64, without a graph."""
    double = module.double().eval()

    def score(x: Tensor) -> float:
        with torch.no_grad():
            return float(double(x[None].double())[0, target])

    return score
