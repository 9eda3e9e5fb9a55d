"""Judging: takes maps and exact answers, gives what is wrong in words, '' for nothing; knows neither networks nor
methods."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from seewhy.conformance._unit import CELLS, Maps, Unfit

__all__ = ["RESOLUTION", "alike", "found", "largest", "proportional", "silent"]

#: the largest error of a map that can be judged: half of the smallest contribution of a unit, a sixth of its largest
RESOLUTION = 1 / 12


def proportional(maps: Maps, answer: Tensor) -> str:
    """Whether each map's cells are a positive multiple of ``answer`` [B, 4, 4], but for the error of the maps.

    Of sensitivities, sums of sizes are compared with the answer's sizes. Maps that only say where (`localisation`)
    need not have amounts: every cell that speaks for the target has to stand out, and the one that says most, most.
    """
    if maps.kind == "localisation":
        return found(maps, answer) or largest(maps, answer)
    wanted = answer.abs() if maps.kind == "sensitivity" else answer
    for cells, exact in zip(maps.cells, wanted.to(maps.values), strict=True):
        factor = float((cells * exact).sum() / exact.square().sum())
        if factor <= 0:
            return f"{_empty(cells)}: it is to be a positive multiple of {_told(exact)}, and is {_told(cells)}"
        off = (cells - factor * exact).abs()
        if float(off.max()) > maps.error * float((factor * exact).abs().max()):
            at = divmod(int(off.argmax()), CELLS)
            return (
                f"cell {at} has {_number(cells[at])} where {_number(factor * exact[at])} is right: "
                f"{_told(cells)} is no multiple of {_told(exact)}"
            )
    return _decided(maps)


def found(maps: Maps, answer: Tensor) -> str:
    """Whether every cell with a positive ``answer`` [B, 4, 4] has more evidence than every cell that changes nothing,
    and than the error; a cell that speaks against the target has no more than those."""
    for cells, exact in zip(maps.cells, answer.to(maps.values), strict=True):
        size = exact.abs() if maps.kind == "sensitivity" else exact
        blank, slack = cells[exact == 0], maps.error * cells.abs().max()
        if maps.kind == "attribution":  # what is counted in the score is nothing beside the rounding of the score
            slack = torch.maximum(slack, maps.error * exact.abs().max())
        floor = torch.cat([blank, cells.new_zeros(1)]).max()
        for at in _cells(size > 0):
            if not float(cells[at]) > float(floor + slack):
                wrong = f"cell {at} has {_number(cells[at])}, cells that change nothing up to {_number(floor)}"
                return _decided(maps) or wrong
        for at in _cells(size < 0):
            if float(cells[at]) > float(floor + slack):
                return f"cell {at} speaks against the target and has {_number(cells[at])}"
    return ""


def largest(maps: Maps, answer: Tensor) -> str:
    """Whether the cell with the largest ``answer`` [B, 4, 4] has the most evidence, by more than the error; where
    several have as much, one of them."""
    for cells, exact in zip(maps.cells, answer.to(maps.values), strict=True):
        best = exact == exact.max()
        slack = maps.error * cells.abs().max()
        if not float(cells[best].max()) > float(cells[~best].max() + slack):
            at = divmod(int(cells.masked_fill(best, -torch.inf).argmax()), CELLS)
            wrong = f"cell {at} has {_number(cells[at])}, the one that says most {_number(cells[best].max())}"
            return _decided(maps) or wrong
    return ""


def alike(first: Maps, second: Tensor) -> str:
    """Whether maps equal ``second`` [B, h, w], but for the error, and say anything at all."""
    for one, other in zip(first.values, second.to(first.values), strict=True):
        size = float(torch.maximum(one.abs(), other.abs()).max())
        if size == 0:
            return "the map is 0 everywhere"
        off = float((one - other).abs().max())
        if off > 2 * first.error * size:
            return f"values differ by up to {off / size:.2g} of the largest"
    return _decided(first)


def silent(maps: Maps, seen: Tensor, share: float) -> str:
    """Whether at least ``share`` of the evidence, of either sign, lies where ``seen`` [4, 4] is true.

    Of a map finer than cells, pixel by pixel: what cancels within a cell counts.
    """
    ratio = maps.values.shape[1] // CELLS, maps.values.shape[2] // CELLS
    where = seen.repeat_interleave(ratio[0], 0).repeat_interleave(ratio[1], 1).to(maps.values)
    for one in maps.values:
        whole = float(one.abs().sum())
        if whole == 0:
            return "the map is 0 everywhere"
        within = float((one.abs() * where).sum()) / whole
        if within < share:
            return f"{100 * within:.3g} % of the evidence lies where the network looks, and {100 * share:g} % has to"
    return ""


def _decided(maps: Maps) -> str:
    """Nothing, where maps are exact enough; raises `Unfit` where their error alone may have decided."""
    if maps.error > RESOLUTION:
        raise Unfit(
            f"undecided: within {100 * maps.error:.2g} % of the largest value, and {100 * RESOLUTION:.2g} % is needed"
        )
    return ""


def _cells(mask: Tensor) -> list[tuple[int, int]]:
    return [(row, column) for row, column in product(range(CELLS), repeat=2) if bool(mask[row, column])]


def _empty(cells: Tensor) -> str:
    return "the map is 0 everywhere" if float(cells.abs().max()) == 0 else "the map is no evidence of this kind"


def _told(cells: Tensor) -> str:
    """The cells that matter most, as ``(row, column) value``."""
    order = cells.abs().flatten().argsort(descending=True, stable=True)[:3].tolist()
    kept = [divmod(n, CELLS) for n in sorted(order)]
    return ", ".join(f"{at} {_number(cells[at])}" for at in kept)


def _number(value: Tensor) -> str:
    return f"{float(value):.3g}"
