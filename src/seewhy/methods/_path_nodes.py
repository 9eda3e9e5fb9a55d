"""Where a path's integral needs nodes: takes gradients and scores along it, keeps two sums for each of a few cells,
says which cells to halve the steps of; runs nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Cells", "cell_edges"]

#: cells with less to gain than this share of the best wait, even where a round has room for them
_WORTH = 0.02
#: nodes that a round adds to an image's path, about; more once there are many
_ROUND = 4
#: what a cell's squared residual counts beside the squared error of its map, of which it is but one draw
_RESIDUAL = 0.25
#: how much smaller the midpoints' residual has to be to be believed instead of the trapezoids', of twice the steps
_CLEARLY = 0.5


def cell_edges(cells: int) -> tuple[float, ...]:
    """The edges of ``cells`` cells of [0, 1], narrower towards 0: near the baseline an image's contrast grows fastest
    in proportion, and so do most networks' answers.

    >>> cell_edges(4)
    (0.0, 0.0625, 0.25, 0.5625, 1.0)
    """
    return tuple((k / cells) ** 2 for k in range(cells + 1))


class Cells:
    """Trapezoid sums over the cells of each image's path, each cell with steps of its own.

    ``way`` [B, ...] is the path's end minus its start. Twice the steps in a cell are half its sum plus the gradients
    halfway, so that no gradient is kept: what is held is one sum a cell, or two, however many steps there are.

    Two things tell a cell's error. Completeness holds on every stretch of a path: the sum should be the rise of the
    score. And the map itself: between two nodes gradients wander like a Brownian bridge (a network of rectifiers has
    a kink wherever one switches), so that a step's trapezoid errs by h |g_b - g_a| / sqrt(12), and a sum that
    changed by d when its steps were halved still errs by d / sqrt(3).

    A trapezoid leans on the gradients at the cell's own edges, and one of them may be of another kind: at a baseline of
    zeros that a layer norm divides by its own spread, the gradient is a million times what it is next to it, however
    short the steps. The gradients halfway, which came last, are a sum of their own (the midpoint rule) that asks no
    edge. Of the two a cell's sum is the one whose completeness is better, the trapezoid's where they are close: it has
    twice the steps.
    """

    def __init__(self, edges: Sequence[float], way: Tensor) -> None:
        self.edges, self._way = tuple(edges), way
        batch, cells = len(way), len(self.edges) - 1
        self._widths = torch.tensor(self.edges, dtype=torch.float64).diff()
        self._sums: list[list[Tensor]] = [[] for _ in range(batch)]
        #: the sums that asked no edge, where they are the better ones
        self._open: dict[tuple[int, int], Tensor] = {}
        #: steps of every cell, [B, cells]
        self.steps = torch.ones(batch, cells, dtype=torch.long)
        self._shares = torch.zeros(batch, cells, dtype=torch.float64)
        self._rises, self._errors = torch.zeros_like(self._shares), torch.zeros_like(self._shares)
        self._last: dict[int, tuple[Tensor, Tensor]] = {}
        self._halfway: dict[tuple[int, int], Tensor] = {}
        self._where: list[list[int]] = []

    def first(self) -> _First:
        """A fold for gradients and scores at the edges, in their order."""
        return _First(self)

    def add_edge(self, sample: int, gradient: Tensor, score: Tensor) -> None:
        """The gradient [...] and the score [] at the next edge of an image's path."""
        if sample in self._last:
            before, low = self._last[sample]
            cell = len(self._sums[sample])
            width = float(self._widths[cell])
            self._sums[sample].append((before + gradient) * (0.5 * width))
            self._rises[sample, cell] = float((score - low).detach())
            self._errors[sample, cell] = width**2 / 12 * self._size(sample, gradient - before)
            self._shares[sample, cell] = self._share(sample, self._sums[sample][cell])
        self._last[sample] = gradient, score

    def forget_edges(self) -> None:
        """Let go of the last gradients."""
        self._last.clear()

    def residuals(self) -> Tensor:
        """By how much each cell's sum exceeds the rise of the score over it, [B, cells]."""
        return self._shares - self._rises

    def mean(self) -> Tensor:
        """The integral of the gradient over the whole path, [B, ...]."""
        means: list[Tensor] = [
            torch.stack([self._best(sample, cell) for cell in range(len(sums))]).sum(0)
            for sample, sums in enumerate(self._sums)
        ]
        return torch.stack(means)

    def _best(self, sample: int, cell: int) -> Tensor:
        return self._open.get((sample, cell), self._sums[sample][cell])

    def pick(self, sample: int, most: int) -> list[int]:
        """The cells whose steps to halve next, those first that gain most for a gradient: an eighth more steps or so,
        and never more than ``most`` in all."""
        steps = self.steps[sample].tolist()
        room, budget = max(_ROUND, sum(steps) // 8), most - sum(steps)
        gains = ((self._errors + _RESIDUAL * self.residuals() ** 2) / self.steps)[sample].tolist()
        picked: list[int] = []
        nodes = 0
        for cell in sorted(range(len(steps)), key=lambda c: (-gains[c], c)):
            if nodes >= room or not gains[cell] > _WORTH * max(gains):
                break
            # a wide cell may overrun the room, but not far unless it is the most wanted
            if nodes + steps[cell] <= (2 * room if picked else budget) and nodes + steps[cell] <= budget:
                picked.append(cell)
                nodes += steps[cell]
        return picked

    def halve(self, picked: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """The new places [B, n] of the cells ``picked`` for each image, and which of them are meant: pairs [N, 2] of
        image and column. The next gradients are expected there."""
        rows: list[list[float]] = []
        self._where = []
        for sample, cells in enumerate(picked):
            places, owners = [], []
            for cell in cells:
                low, high, steps = self.edges[cell], self.edges[cell + 1], int(self.steps[sample, cell])
                places += [low + (k + 0.5) / steps * (high - low) for k in range(steps)]
                owners += [cell] * steps
            rows.append(places)
            self._where.append(owners)
        longest = max(len(row) for row in rows)
        table = torch.tensor([row + [0.0] * (longest - len(row)) for row in rows], dtype=torch.float64)
        pairs = [(sample, column) for sample, row in enumerate(rows) for column in range(len(row))]
        return table, torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Take one chunk of gradients at the places that `halve` gave."""
        for row, (sample, column) in enumerate(zip(samples.tolist(), indices.tolist(), strict=True)):
            key = sample, self._where[sample][column]
            gradient = answers[0][row]
            self._halfway[key] = self._halfway[key] + gradient if key in self._halfway else gradient

    def result(self) -> None:
        """Work what came into the sums."""
        for (sample, cell), total in self._halfway.items():
            steps, before = int(self.steps[sample, cell]), self._sums[sample][cell]
            halfway = total * (float(self._widths[cell]) / steps)
            after = 0.5 * (before + halfway)
            self._sums[sample][cell] = after
            self.steps[sample, cell] = 2 * steps
            self._errors[sample, cell] = self._size(sample, after - before) / 3
            self._choose(sample, cell, halfway)
        self._halfway = {}

    def _choose(self, sample: int, cell: int, halfway: Tensor) -> None:
        """Keep the sum that asks no edge where it misses the rise of the score by much less."""
        rise = float(self._rises[sample, cell])
        closed, open_ = (self._share(sample, total) for total in (self._sums[sample][cell], halfway))
        clearly = abs(open_ - rise) < _CLEARLY * abs(closed - rise)
        self._open.pop((sample, cell), None)
        if clearly:
            self._open[sample, cell] = halfway
        self._shares[sample, cell] = open_ if clearly else closed

    def _share(self, sample: int, total: Tensor) -> float:
        return float((total.detach() * self._way[sample].detach()).sum())

    def _size(self, sample: int, change: Tensor) -> float:
        return float((change.detach() * self._way[sample].detach()).square().sum())


class _First:
    """The edges of every image, in order; gives the scores at the start of the paths, [B]."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._scores: dict[int, Tensor] = {}

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Take one chunk."""
        for row, sample in enumerate(samples.tolist()):
            self._scores.setdefault(sample, answers[1][row])
            self._cells.add_edge(sample, answers[0][row], answers[1][row])

    def result(self) -> Tensor:
        """The start's scores."""
        self._cells.forget_edges()
        return torch.stack([self._scores[sample] for sample in sorted(self._scores)])
