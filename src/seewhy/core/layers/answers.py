"""Answers: takes what layers put out for pictures changed in stripes, gives whether their positions are the places that
a layout says; draws nothing.

With D and D' the norms of the change of a position's channels in the two pictures of a digit, r = (D - D') / (D + D')
says which of the two it looks at; attention, squeeze-and-excitation and norms make every position answer a little, to
both alike. A layout is proved if, over its positions, r goes with the digit of the place that it gives them, along
every axis, and with little else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.core.layers.extents import CELLS, WHOLE, extent_of
from seewhy.core.layers.stripes import Stripes, code
from seewhy.core.layers.verdicts import CONTRADICTED, PROVED, UNDECIDED, Proof, Verdict
from seewhy.core.layers.weighted import about, correlation, many, shared
from seewhy.core.network.layouts import Layout

__all__ = ["LEAST", "Answers"]

#: r and how much positions answered, by axis and digit
_ByCode = dict[tuple[int, int], tuple[Tensor, Tensor]]

#: correlation with the coarsest digit from which on a grid is proved, and below which it is contradicted
_PROVED, _CONTRADICTED = 0.5, 0.25

#: reliability of the answers from which on they can contradict
_RELIABLE = 0.5

#: standard errors that a correlation over few positions is allowed
_ERRORS = 2.0

#: the correlation from which on a grid of one position would be proved; with the root of their number it falls
_FEW = 1.5

#: the spread of r from which on positions answer strongly; how much of what they say about an axis may differ within
#: one row of it, in strong answers and in weak ones; and how strong answers to the coarsest digit and to finer ones go
#: with that digit, at least. Over many positions: a standard error is allowed besides
_STRONG, _STRAY, _STRAY_WEAK, _GOES_WITH, _FINER = 0.25, 0.15, 0.5, 0.86, -0.3

#: the share of what tokens with a place say from which on those without one say as much, and how many there have to be:
#: class tokens and registers are mostly fewer, and one answers by chance
_AS_MUCH, _PICKED = 0.5, 6


@dataclass(frozen=True, eq=False)
class Answers:
    """What one layer put out for `Stripes.pictures`, once or with further noise: [1 + 2 n, ...] each, but for the
    axis of the batch."""

    stripes: Stripes
    raws: tuple[Tensor, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one set."""
        return tuple(self.raws[0].shape)

    def __add__(self, other: Answers) -> Answers:
        return Answers(self.stripes, (*self.raws, *other.raws))

    def of(self, layout: Layout) -> list[tuple[Tensor, Tensor]]:
        """r of every pair at the positions of ``layout``, and how much they answered in all, [*grid] each."""
        return _ratios(torch.stack([self._changes(raw, layout) for raw in self.raws]).sum(0))

    def alike(self, layout: Layout) -> dict[int, float]:
        """For each axis how far r of the coarsest digit, of all sets together, would be the same for others: the
        reliability (Spearman and Brown) that the sets' correlations with each other speak of; 0 for one set."""
        by_set = self._by_set(layout)
        pairs = [(a, b) for n, a in enumerate(by_set) for b in by_set[:n]]
        reliability: dict[int, float] = {}
        for axis in range(len(layout.grid)):
            both = [correlation(a[axis, 1][0], b[axis, 1][0], a[axis, 1][1] + b[axis, 1][1]) for a, b in pairs]
            mean = max(sum(both) / len(both), 0.0) if both else 0.0
            reliability[axis] = len(by_set) * mean / (1 + (len(by_set) - 1) * mean)
        return reliability

    def _changes(self, raw: Tensor, layout: Layout) -> Tensor:
        """By how much each position changed, [2 n, *grid]."""
        values = layout.canonical(raw).detach().to(torch.float64)
        change = (values[1:] - values[:1]).nan_to_num().flatten(2) if values.ndim > 2 else values[1:, :, None]
        return change.square().sum(1).sqrt().reshape(-1, *layout.grid)

    def prove(self, layout: Layout) -> Proof:
        """The verdict on ``layout``."""
        digits: dict[int, list[float]] = {axis: [] for axis in range(len(layout.grid))}
        maps: dict[int, Tensor] = {}
        counts: list[float] = []
        pooled = dict(zip(self.stripes.codes, self.of(layout), strict=True))
        for (axis, digit), (r, total) in pooled.items():
            if layout.grid[axis] < 2 or float((line := self._code(layout, axis, digit)).std()) < 0.1:
                continue
            digits[axis].append(correlation(r, line.to(r.device), total))
            if axis not in maps:
                maps[axis] = r.float().cpu()
                counts.append(many(total))
        coarsest = {axis: values[0] for axis, values in digits.items() if values}
        worst = min(coarsest.values(), default=0.0)
        answered = bool(maps) and all(bool(r.any()) for r in maps.values())
        verdict = _verdict(worst, min(counts, default=0.0), answered)
        # a map whose positions answer by chance, or all alike, may be in its places all the same: to contradict it they
        # have to answer elsewhere. The grid of a row of tokens is read off their number alone
        if verdict == CONTRADICTED and not layout.tokens:
            axis = min(coarsest, key=coarsest.__getitem__)
            verdict = CONTRADICTED if self.alike(layout)[axis] >= _RELIABLE else UNDECIDED
        extent = self._elsewhere(layout, pooled) if verdict == PROVED else ()
        stray = self._stray(layout, pooled) if verdict == PROVED and not extent else 0.0
        outside = self._outside(layout) if verdict == PROVED else 0
        return Proof(
            UNDECIDED if extent or stray or outside else verdict,
            layout,
            worst,
            {axis: tuple(values) for axis, values in digits.items() if values},
            tuple(maps.values()),
            extent=extent,
            stray=stray,
            outside=outside,
        )

    def said(self, layout: Layout) -> Tensor:
        """How much each of a row's tokens answers to where the picture changes, those that ``layout`` leaves out
        included: the squares of r, of all digits together, [tokens]."""
        count = math.prod(layout.grid) + layout.spare(self.shape)
        row = Layout(layout.channel, (count,), tokens=True, batch=layout.batch)
        return torch.stack([r.square() for r, _ in self.of(row)]).sum(0)

    def _outside(self, layout: Layout) -> int:
        """How many tokens ``layout`` leaves out though they answer to places as clearly as those that it has; 0 where
        they do not, as class tokens and registers, or where it is said that they are of other scales."""
        spare = layout.spare(self.shape)
        if spare < _PICKED or layout.frames or layout.mixed(self.shape):
            return 0
        said = self.said(layout)
        inside = torch.zeros(len(said), dtype=torch.bool, device=said.device)
        inside[[layout.prefix + n for n in layout.order or range(math.prod(layout.grid))]] = True
        clearly = float(said[inside].mean()) > len(self.stripes.size) * _STRONG**2
        return spare if clearly and float(said[~inside].mean()) > _AS_MUCH * float(said[inside].mean()) else 0

    def _stray(self, layout: Layout, pooled: _ByCode) -> float:
        """The share of what the positions answer that is none of their own rows and columns, where that is too much; 0
        elsewhere. A turned or sheared picture answers to halves as an upright one does, on the whole, and so do tokens
        that were picked from a grid."""
        if len(layout.grid) != len(self.stripes.size) or min(layout.grid) < CELLS:
            return 0.0
        by_set = self._by_set(layout) if len(self.raws) > 1 else [pooled]
        shares = [0.0]
        for axis, cells in enumerate(layout.grid):
            total = pooled[axis, 1][1]
            rs = [about(answered[axis, 1][0], total) for answered in by_set]
            spread = shared(rs, total)
            others = tuple(n for n in range(len(layout.grid)) if n != axis)
            doubt = 1 / math.sqrt(total.numel())
            share = shared([about(r, total, others) for r in rs], total) / spread if others and spread > 0 else 0.0
            most = min(_STRAY + doubt, _STRAY_WEAK) if spread > _STRONG**2 else _STRAY_WEAK
            shares.append(share if share > most else 0.0)
            # of cells no finer than a digit's, convolutions leave little that answers to it
            for digit in range(1, min(self.stripes.digits, max(int(math.log2(cells)) - 1, 1)) + 1):
                r, total = pooled[axis, digit]
                goes = correlation(r, self._code(layout, axis, digit).to(r.device), total)
                strong = shared([about(r, total)], total) > _STRONG**2
                least = _GOES_WITH - doubt if digit == 1 else _FINER
                shares.append(1 - goes if strong and goes < least else 0.0)
        return min(max(shares), 1.0)

    def _by_set(self, layout: Layout) -> list[_ByCode]:
        """`of`, for each set of noise by itself, by axis and digit."""
        return [dict(zip(self.stripes.codes, _ratios(self._changes(raw, layout)), strict=True)) for raw in self.raws]

    def _code(self, layout: Layout, axis: int, digit: int) -> Tensor:
        """What is expected of the positions of ``layout`` if they lie over all of the axis, [*grid]."""
        line = code(self.stripes, axis, digit, layout.grid[axis]).double()
        return line.reshape(-1, *(1 for _ in layout.grid[axis + 1 :])).expand(layout.grid)

    def _elsewhere(self, layout: Layout, pooled: _ByCode) -> tuple[tuple[float, float], ...]:
        """The part of each axis that positions lie over, if that is clearly not all of it: a crop in the middle answers
        to halves as the whole picture does, and to quarters otherwise. Nothing where the whole fits as well."""
        extents: list[tuple[float, float]] = []
        for axis, cells in enumerate(layout.grid):
            if cells < CELLS or len(layout.grid) != len(self.stripes.size):
                extents.append(WHOLE)
                continue
            others = tuple(n for n in range(len(layout.grid)) if n != axis)
            lines, weights = [], []
            for digit in range(1, self.stripes.digits + 1):
                r, total = pooled[axis, digit]
                weight = total.sum(others) if others else total
                lines.append((r * total).sum(others) / weight.clamp(min=1e-300) if others else r)
                weights.append(weight)
            extents.append(extent_of(torch.stack(lines).cpu(), torch.stack(weights).cpu(), self.stripes, axis))
        return tuple(extents) if any(extent != WHOLE for extent in extents) else ()


#: fewer positions than a grid of 3 x 3 has contradict nothing
LEAST = 9


def _verdict(worst: float, positions: float, answered: bool) -> Verdict:
    if not answered:
        return UNDECIDED
    # among few positions a correlation is chance, for a wrong grid as for the right one
    if worst > max(_PROVED, _FEW / math.sqrt(max(positions, 1))):
        return PROVED
    doubt = _ERRORS / math.sqrt(max(positions - 2, 1))
    # nor do few positions contradict: an untrained network's four may look anywhere
    return CONTRADICTED if positions >= LEAST and worst < min(_CONTRADICTED, _PROVED - doubt) else UNDECIDED


def _ratios(changes: Tensor) -> list[tuple[Tensor, Tensor]]:
    """r of each pair, and how much it answered."""
    ratios = []
    for first, second in zip(changes[0::2], changes[1::2], strict=True):
        total = first + second
        ratios.append((torch.where(total > 0, (first - second) / total.clamp(min=1e-300), 0.0), total))
    return ratios
