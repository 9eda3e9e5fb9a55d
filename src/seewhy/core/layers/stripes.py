"""Stripes: takes what layers put out for pictures that were changed in coded stripes, gives whether their positions are
the places that a layout says; draws nothing.

For each axis of the input and each of its coarsest binary digits two pictures get noise: where the digit is 1, and
where it is 0. With D and D' the norms of the change of a position's channels, r = (D - D') / (D + D') says which of
the two a position looks at; attention, squeeze-and-excitation and norms make every position answer a little, to both
alike. A layout is proved if, over its positions, r goes with the digit of the place that it gives them, along every
axis.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seewhy.core.layers.verdicts import CONTRADICTED, PROVED, UNDECIDED, Proof, Verdict
from seewhy.core.network.layouts import Layout

__all__ = [
    "LEAST",
    "Answers",
    "Stripes",
    "decide",
    "in_order",
    "misfit",
    "shifts",
]

#: correlation with the coarsest digit from which on a grid is proved, and below which it is contradicted
_PROVED, _CONTRADICTED = 0.5, 0.25

#: digits of each axis that are asked for: halves, quarters, eighths
_DIGITS = 3

#: reliability of the answers from which on they can contradict
_RELIABLE = 0.5

#: standard errors that a correlation over few positions is allowed
_ERRORS = 2.0

#: where positions may lie instead of over the whole of an axis: parts of it, or more than it, in sixteenths;
#: the first is all of it
_EXTENTS = [
    (0.0, 1.0),
    *((low / 16, high / 16) for low in range(-8, 9) for high in range(8, 25) if high - low >= 4),
]
#: the correlation with all digits below which the whole axis is doubted, that from which a part of it is believed, by
#: how much that has to be the better one, and over how many cells at least
_WHOLE, _PART, _BETTER, _CELLS = 0.45, 0.8, 0.4, 3

#: by how much more or less than the whole axis that part is at least, and the share that it may leave of what the whole
#: does not explain, where cells are finer than the finest digit
_RESIZED, _LEFT = 1 / 8, 0.35

#: the correlation from which on a grid of one position would be proved; with the root of their number it falls
_FEW = 1.5


@dataclass(frozen=True)
class Stripes:
    """The pictures for inputs of ``size``: ``digits`` of each axis, the coarsest first, and ``bands`` into which an
    axis is cut (a power of two; the axis's own cells where an order is read)."""

    size: tuple[int, ...]
    digits: int = _DIGITS
    seed: int = 0

    @property
    def codes(self) -> list[tuple[int, int]]:
        """(axis, digit from 1, the coarsest) of each pair of pictures."""
        return [(axis, digit) for axis in range(len(self.size)) for digit in range(1, self.digits + 1)]

    def side(self, axis: int, digit: int) -> Tensor:
        """The digit of each row of the input along ``axis``, 0 or 1, [size]."""
        n = self.size[axis]
        digits: Tensor = (torch.arange(n) * 2**digit // n) % 2
        return digits

    def expected(self, axis: int, digit: int, cells: int, extent: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        """-1 to 1 for each of ``cells`` along ``axis``: by how much more of it the first picture of a pair changes.

        ``extent`` is the part of the axis that the cells lie over, as shares of it; NaN for cells beside the picture.
        """
        return self._expected(axis, digit, cells, torch.tensor([extent]))[0]

    def all_expected(self, axis: int, cells: int, extents: Sequence[tuple[float, float]]) -> Tensor:
        """`expected` for every digit and each of ``extents``, [extents, digits, cells]."""
        parts = torch.tensor(extents)
        digits = range(1, self.digits + 1)
        return torch.stack([self._expected(axis, digit, cells, parts) for digit in digits], 1)

    def _expected(self, axis: int, digit: int, cells: int, extents: Tensor) -> Tensor:
        n, (low, high) = self.size[axis], extents[:, :, None].unbind(1)
        edges = torch.cat([torch.zeros(1), (2.0 * self.side(axis, digit) - 1).cumsum(0)])
        bounds = ((low + (high - low) * torch.arange(cells + 1) / cells) * n).clamp(0, n)
        whole = bounds.floor().long()
        at = edges[whole] + (bounds - whole) * (edges[(whole + 1).clamp(max=n)] - edges[whole])
        inside = bounds.diff()
        return torch.where(inside > 1e-6 * n, at.diff() / inside.clamp(min=1e-6), math.nan)

    def pictures(self, x: Tensor) -> Tensor:
        """``x`` [1, C, *size] itself and its changed pairs, [1 + 2 n, C, *size]."""
        draw = torch.Generator().manual_seed(self.seed)
        spread = float(x.detach().double().std()) if x.numel() > 1 else 0.0
        spread = spread if math.isfinite(spread) and spread > 0 else 1.0
        pictures = [x[0]]
        for axis, digit in self.codes:
            noise = torch.randn(x.shape[1:], generator=draw, dtype=torch.float32).to(x) * spread
            mask = self.side(axis, digit).to(x).reshape(-1, *(1 for _ in self.size[axis + 1 :]))
            pictures += [x[0] + noise * mask, x[0] + noise * (1 - mask)]
        return torch.stack(pictures)


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
        by_set = [dict(zip(self.stripes.codes, _ratios(self._changes(raw, layout)), strict=True)) for raw in self.raws]
        pairs = [(a, b) for n, a in enumerate(by_set) for b in by_set[:n]]
        reliability: dict[int, float] = {}
        for axis in range(len(layout.grid)):
            both = [_correlation(a[axis, 1][0], b[axis, 1][0], a[axis, 1][1] + b[axis, 1][1]) for a, b in pairs]
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
        for (axis, digit), (r, total) in zip(self.stripes.codes, self.of(layout), strict=True):
            cells = layout.grid[axis]
            code = _code(replace(self.stripes, seed=0), axis, digit, cells)
            if cells < 2 or float(code.std()) < 0.1:
                continue
            shaped = code.double().reshape(-1, *(1 for _ in layout.grid[axis + 1 :])).expand(layout.grid)
            digits[axis].append(_correlation(r, shaped.to(r.device), total))
            if axis not in maps:
                maps[axis] = r.float().cpu()
                counts.append(_many(total))
        coarsest = {axis: values[0] for axis, values in digits.items() if values}
        worst = min(coarsest.values(), default=0.0)
        answered = bool(maps) and all(bool(r.any()) for r in maps.values())
        verdict = _verdict(worst, min(counts, default=0.0), answered)
        # a map whose positions answer by chance, or all alike, may be in its places all the same: to contradict it they
        # have to answer elsewhere. The grid of a row of tokens is read off their number alone
        if verdict == CONTRADICTED and not layout.tokens:
            axis = min(coarsest, key=coarsest.__getitem__)
            verdict = CONTRADICTED if self.alike(layout)[axis] >= _RELIABLE else UNDECIDED
        extent = self._elsewhere(layout) if verdict == PROVED else ()
        return Proof(
            UNDECIDED if extent else verdict,
            layout,
            worst,
            {axis: tuple(values) for axis, values in digits.items() if values},
            tuple(maps.values()),
            extent=extent,
        )

    def _elsewhere(self, layout: Layout) -> tuple[tuple[float, float], ...]:
        """The part of each axis that positions lie over, if that is clearly not all of it: a crop in the middle answers
        to halves as the whole picture does, and to quarters otherwise. Nothing where the whole fits as well."""
        answers = dict(zip(self.stripes.codes, self.of(layout), strict=True))
        extents: list[tuple[float, float]] = []
        for axis, cells in enumerate(layout.grid):
            if cells < _CELLS or len(layout.grid) != len(self.stripes.size):
                extents.append(_EXTENTS[0])
                continue
            others = tuple(n for n in range(len(layout.grid)) if n != axis)
            lines, weights = [], []
            for digit in range(1, self.stripes.digits + 1):
                r, total = answers[axis, digit]
                weight = total.sum(others) if others else total
                lines.append((r * total).sum(others) / weight.clamp(min=1e-300) if others else r)
                weights.append(weight)
            fits = _fits(torch.stack(lines).cpu(), torch.stack(weights).cpu(), self.stripes, axis)
            best = int(fits.argmax())
            clear = _sharp(float(fits[0]), float(fits[best]), _EXTENTS[best], cells) or (
                fits[0] < _WHOLE and fits[best] > max(_PART, float(fits[0]) + _BETTER)
            )
            extents.append(_EXTENTS[best] if clear else _EXTENTS[0])
        return tuple(extents) if any(extent != _EXTENTS[0] for extent in extents) else ()


def _sharp(whole: float, part: float, extent: tuple[float, float], cells: int) -> bool:
    """Whether a part explains nearly all that the whole axis leaves unexplained, where cells are fine enough to tell:
    so small a part of the axis, or so much more than it, fits no network's that lies over all of it."""
    resized = abs(extent[1] - extent[0] - 1) >= _RESIZED
    return cells >= 2**_DIGITS and resized and part > _PART and 1 - part**2 < _LEFT * (1 - whole**2)


@functools.lru_cache(512)
def _code(stripes: Stripes, axis: int, digit: int, cells: int) -> Tensor:
    """What is expected of cells along ``axis`` over all of it."""
    return stripes.expected(axis, digit, cells)


@functools.lru_cache(64)
def _codes(stripes: Stripes, axis: int, cells: int) -> Tensor:
    """What is expected of cells along ``axis`` over each of `_EXTENTS`, [extents, digits, cells]."""
    return stripes.all_expected(axis, cells, _EXTENTS)


def _fits(lines: Tensor, weights: Tensor, stripes: Stripes, axis: int) -> Tensor:
    """The correlation, over all digits, of the answers along ``axis`` [digits, cells] with those of cells that lie over
    each of `_EXTENTS`; each digit's about its own mean. 0 where less than half of the cells would be in the picture."""
    codes = _codes(replace(stripes, seed=0), axis, lines.shape[1]).to(lines)
    inside = ~codes.isnan()
    weights = torch.where(inside, weights, 0.0)
    weights = weights / weights.sum(2, keepdim=True).clamp(min=1e-300)
    codes = codes.nan_to_num()
    a = lines - (lines * weights).sum(2, keepdim=True)
    b = codes - (codes * weights).sum(2, keepdim=True)
    both, ours, theirs = ((weights * product).sum((1, 2)) for product in (a * b, a * a, b * b))
    fits = both / (ours * theirs).sqrt().clamp(min=1e-300)
    return torch.where(inside[:, 0].double().mean(1) < 0.5, 0.0, fits)


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


def _many(weights: Tensor) -> float:
    """How many positions there are, those that answer little counting for little."""
    squares = float(weights.square().sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def _correlation(a: Tensor, b: Tensor, weights: Tensor) -> float:
    total = float(weights.sum())
    if not total > 0:
        return 0.0
    weights = weights / total
    a, b = a - (a * weights).sum(), b - (b * weights).sum()
    size = float((weights * a.square()).sum() * (weights * b.square()).sum()) ** 0.5
    return float((weights * a * b).sum()) / size if size > 0 else 0.0


#: so many positions are enough to doubt the likeliest layout, where another is proved and answers so much better
_ENOUGH, _CLEARLY = 16, 0.25

#: by how much more of all digits speaks for a row of tokens that begins elsewhere, where that is the true one
_SHIFTED = 0.04

#: so many tokens without a place may be among those with one
_AMONG = 8


def decide(answers: Answers, layouts: Sequence[Layout]) -> Proof | None:
    """The verdict on the likeliest of ``layouts``, or on another one that is proved where that is not; None if there is
    no layout."""
    likeliest = _likeliest(answers, layouts)
    if likeliest is None:
        return None
    if likeliest.verdict != PROVED:
        among = _with_others_among(answers, likeliest.layout)
        return among if among is not None and among.verdict == PROVED else likeliest
    # as many tokens without a place may be before the grid as behind it, or on both sides: a shift by some cells, which
    # the coarsest digits hardly see
    shifted = (answers.prove(layout) for layout in shifts(likeliest.layout, layouts))
    best = max((p for p in shifted if p.verdict == PROVED), key=lambda p: p.whole, default=likeliest)
    likeliest = best if best.whole > likeliest.whole + _SHIFTED else likeliest
    among = _with_others_among(answers, likeliest.layout)
    clearly = among is not None and among.verdict == PROVED and among.whole > likeliest.whole + _SHIFTED
    return among if clearly else likeliest


def _with_others_among(answers: Answers, layout: Layout) -> Proof | None:
    """The verdict on ``layout`` where the tokens without a place are not before its grid or behind it but among it, as
    a class token in the middle is: those that answer least to where the picture changes. None where there are none, or
    they are at an end after all."""
    spare = layout.spare(answers.shape)
    if not layout.tokens or layout.order is not None or not 0 < spare <= _AMONG:
        return None
    count = math.prod(layout.grid) + spare
    row = Layout(layout.channel, (count,), tokens=True, batch=layout.batch)
    said = torch.stack([r.square() for r, _ in answers.of(row)]).sum(0)
    order = tuple(int(n) for n in said.argsort(stable=True)[spare:].sort().values)
    if order[-1] - order[0] == len(order) - 1:
        return None
    return answers.prove(replace(layout, prefix=0, order=order))


def shifts(layout: Layout, layouts: Sequence[Layout]) -> list[Layout]:
    """Those of ``layouts`` that are ``layout`` but for where in the row of tokens the grid begins."""
    return [e for e in layouts if e.tokens and e.prefix != layout.prefix and replace(e, prefix=layout.prefix) == layout]


def _likeliest(answers: Answers, layouts: Sequence[Layout]) -> Proof | None:
    first: Proof | None = None
    others = []
    for n, layout in enumerate(layouts):
        if not layout.fits(answers.shape) or answers.shape[layout.batch] != 1 + 2 * len(answers.stripes.codes):
            continue
        proof = answers.prove(layout)
        if first is None:
            first = proof
            if n == 0 and proof.verdict == PROVED:
                return proof
        others.append(proof)
    better = max((p for p in others if p.verdict == PROVED), key=lambda p: p.correlation, default=None)
    if first is None or better is None or first.verdict == CONTRADICTED:
        return better or first
    # few positions of the likeliest leave it undecided, and chance proves one of many others; a row is no plain map
    asked = first.layout.tokens or math.prod(first.layout.grid) >= _ENOUGH
    return better if asked and better.correlation > first.correlation + _CLEARLY else first


def in_order(answers: Answers, layout: Layout) -> Layout | None:
    """``layout`` with its tokens put in the order in which the picture has them, read off the digits of the place that
    each answers to; None if they do not name each place once. ``answers`` have all digits of the grid's sides."""
    if not layout.tokens or len(layout.grid) != 2:
        return None
    flat = replace(layout, order=None)
    # the cell whose digits are nearest to what the token answered
    place = [apart.argmin(1) for apart in _apart(answers, flat)]
    cell = place[0] * layout.grid[1] + place[1]
    if len(set(cell.tolist())) != len(cell):
        return None
    order = tuple(int(n) for n in cell.argsort())
    return None if order == tuple(range(len(order))) else replace(layout, order=order)


def misfit(answers: Answers, layout: Layout) -> float:
    """How far the position of ``layout`` that fits worst is from the digits of its place: a token of no place that took
    the only one left, by chance, is far."""
    rows = torch.meshgrid(*(torch.arange(n) for n in layout.grid), indexing="ij")
    misfits = [apart.gather(1, at.reshape(-1, 1)) for apart, at in zip(_apart(answers, layout), rows, strict=True)]
    return float(torch.stack(misfits).sum(0).max())


def _apart(answers: Answers, layout: Layout) -> list[Tensor]:
    """For each axis how far what each position answered is from the digits of each cell, [positions, cells]."""
    ratios = dict(zip(answers.stripes.codes, (r for r, _ in answers.of(layout)), strict=True))
    apart = []
    for axis, cells in enumerate(layout.grid):
        digits = range(1, answers.stripes.digits + 1)
        codes = answers.stripes.all_expected(axis, cells, [_EXTENTS[0]])[0].double()
        r = torch.stack([ratios[axis, digit].flatten() for digit in digits]).cpu()
        r = r - r.mean(1, keepdim=True)
        scale = r.abs().amax(1, keepdim=True).clamp(min=1e-12)
        apart.append(((r / scale)[:, :, None] - codes[:, None, :]).square().sum(0))
    return apart
