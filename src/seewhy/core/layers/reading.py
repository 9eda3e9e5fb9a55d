"""Reading a layer: takes answers and the layouts that it could have, gives the one that they speak for, and the order
of a row of tokens; draws nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from seewhy.core.layers.answers import Answers
from seewhy.core.layers.extents import WHOLE
from seewhy.core.layers.verdicts import CONTRADICTED, PROVED, Proof
from seewhy.core.network.layouts import Layout

__all__ = ["decide", "in_order", "misfit", "shifts"]

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
    if not layout.tokens or layout.frames or layout.order is not None or not 0 < spare <= _AMONG:
        return None
    said = answers.said(layout)
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
        if not layout.fits(answers.shape) or layout.images(answers.shape) != 1 + 2 * len(answers.stripes.codes):
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
        codes = answers.stripes.all_expected(axis, cells, [WHOLE])[0].double()
        r = torch.stack([ratios[axis, digit].flatten() for digit in digits]).cpu()
        r = r - r.mean(1, keepdim=True)
        scale = r.abs().amax(1, keepdim=True).clamp(min=1e-12)
        apart.append(((r / scale)[:, :, None] - codes[:, None, :]).square().sum(0))
    return apart
