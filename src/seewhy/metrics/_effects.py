"""What hiding parts of an image does to the score: takes images, each with several maps, asks for the scores while
places go in each map's order, while one cell after another is hidden, and while random halves are; gives numbers that
maps can be held against. Judges none."""

from __future__ import annotations

from collections.abc import Generator, Hashable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.core.asks import Attribution, Input, Score, Stream, Supplied
from seewhy.core.perturb.fills import Fill, blurred, mean_colour
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.noise import fingerprint, uniform
from seewhy.core.perturb.sources import ChangedInput
from seewhy.metrics._curves import ranks
from seewhy.registry import Card, Method, Need

__all__ = ["CELLS", "EFFECTS", "FILLS", "in_cells"]

#: cells that a picture is divided into, in all
CELLS = 49
#: what hides things, and the share of the area that goes behind it along a map's order: little behind what leaves
#: shapes, half behind what leaves nothing. A map must do well in spite of either
FILLS = ((blurred, 0.15), (mean_colour, 0.5))
#: random halves
HALVES = 72
#: cells of noise along an axis, of which a random half is made
_COARSE = 6


def in_cells(maps: Tensor, cells: int = CELLS) -> Tensor:
    """The means of maps [n, *size] over about ``cells`` cells, as many along each axis, [n, *grid]: (7, 7) of a
    picture. Cells are as even as the size lets them be.

    >>> in_cells(torch.arange(16.0).reshape(1, 4, 4), 4)
    tensor([[[ 2.5000,  4.5000],
             [10.5000, 12.5000]]])
    """
    for axis, edges in enumerate(_edges(tuple(maps.shape[1:]), cells), start=1):
        parts = [maps.narrow(axis, a, b - a).mean(axis) for a, b in pairwise(edges)]
        maps = torch.stack(parts, axis)
    return maps


def _edges(size: tuple[int, ...], cells: int) -> list[list[int]]:
    """Where cells begin and end along each axis."""
    each = round(cells ** (1 / len(size)))
    counts = [max(1, min(each, length)) for length in size]
    return [[round(length * k / n) for k in range(n + 1)] for length, n in zip(size, counts, strict=True)]


def _effects(
    input: Tensor,
    score: Tensor,
    values: Tensor,
    *,
    cells: int = CELLS,
    halves: int = HALVES,
    seed: int = 0,
) -> Generator[Any, Any, Attribution]:
    """Of images [B, C, *size] with maps [B, n, *size]: ``left`` [B, fills, n, 2], the score that is left when the share
    of the area that belongs to a fill goes, the strongest places and the weakest; ``cells`` [B, fills, *grid], what the
    score loses with each cell alone; and, unless ``halves`` is 0, ``halves`` [B, *grid], the
    covariance of the score with each cell's being visible, in standard deviations of the score, over so many random
    halves, behind the blur.

    The values are the scores.
    """
    size = tuple(input.shape[2:])
    place = ranks(values.flatten(0, 1), seed).cpu().reshape(*values.shape[:2], *size)
    fills = [Fill(fill(input)) for fill, _ in FILLS]
    along = [_asked(input, fill, *_along(place, share)) for fill, (_, share) in zip(fills, FILLS, strict=True)]
    each = [_asked(input, fill, *_one_by_one(input, cells)) for fill in fills]
    half = _by_halves(input, halves, seed) if halves else None
    behind = [] if half is None else [_asked(input, fills[0], *half)]
    answers = [one.double() for one in (yield (*along, *each, *behind))]
    grid = [len(edges) - 1 for edges in _edges(size, cells)]
    left = [one.reshape(len(input), values.shape[1], 2) for one in answers[: len(fills)]]
    lost = [(score.double()[:, None] - one).reshape(len(input), *grid) for one in answers[len(fills) : 2 * len(fills)]]
    arrays = {"left": torch.stack(left, 1), "cells": torch.stack(lost, 1)}
    if half is not None:
        seen = in_cells(half[1].flatten(0, 1).double(), cells).reshape(len(input), halves, -1).to(score.device)
        told = answers[-1] - answers[-1].mean(1, keepdim=True)
        spread = told.square().mean(1, keepdim=True).sqrt()
        told = told / torch.where(spread > 0, spread, torch.ones_like(spread))
        together = torch.einsum("bm,bmc->bc", told, seen - seen.mean(1, keepdim=True)) / halves
        arrays["halves"] = together.reshape(len(input), *grid)
    return Attribution(score, arrays=arrays)


Shown = tuple[Hashable, Tensor]


def _asked(input: Tensor, fill: Fill, name: Hashable, visible: Tensor) -> Stream:
    """A stream of the images behind masks ``visible`` [B or 1, n, *size], which ``name`` is all they depend on."""
    count = visible.shape[1]

    def hidden(samples: Tensor, indices: Tensor) -> Tensor:
        rows = samples.cpu() if len(visible) > 1 else torch.zeros_like(samples.cpu())
        shown = visible[rows, indices.cpu()].to(input)
        return fill(input, samples, shown[:, None])

    source = ChangedInput(count, hidden, (name, fill.key))
    return Stream(source, (Score(),), Collect(len(input), count))


def _along(place: Tensor, share: float) -> Shown:
    """Masks [B, n x 2, *size]: of each map, whose pixels come at ``place`` [B, n, *size], the strongest, then the
    weakest places hidden."""
    count = place[0, 0].numel()
    gone = round(share * count)
    masks = torch.stack([place >= gone, place < count - gone], 2)
    return ("effects along", tuple(fingerprint(place.double())), gone), masks.flatten(1, 2)


def _one_by_one(input: Tensor, cells: int) -> Shown:
    """Masks [1, cells, *size]: each cell hidden alone."""
    size = tuple(input.shape[2:])
    masks = []
    edges = _edges(size, cells)
    for at in torch.cartesian_prod(*(torch.arange(len(axis) - 1) for axis in edges)).reshape(-1, len(size)).tolist():
        mask = torch.ones(size, dtype=torch.bool)
        mask[tuple(slice(axis[k], axis[k + 1]) for axis, k in zip(edges, at, strict=True))] = False
        masks.append(mask)
    return ("effects of cells", size, cells), torch.stack(masks)[None]


def _by_halves(input: Tensor, count: int, seed: int) -> Shown:
    """Masks [B, count, *size]: a random half visible, of pieces about a sixth of the side."""
    size = tuple(input.shape[2:])
    keys = fingerprint(input)
    masks = []
    for key in keys:
        noise = uniform([(key, k) for k in range(count)], (_COARSE,) * len(size), family="halves", seed=seed)
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(size)]
        smooth = F.interpolate(noise[:, None], size, mode=mode, align_corners=False)[:, 0]
        middle = smooth.flatten(1).median(1).values.reshape(-1, *(1 for _ in size))
        masks.append(smooth > middle)
    return ("effects of halves", tuple(keys), count, seed), torch.stack(masks)


def _formula(**parameters: Any) -> Generator[Any, Any, Attribution]:
    given = yield Input(), Score(), Supplied("values")
    return (yield from _effects(*given, **parameters))


#: as an engine runs it
EFFECTS = Method(
    Card(
        name="effects", family="metric", paper="", formula="S(x) - S(x partly hidden)", cost="", call="trust",
        needs=frozenset({Need.INPUT, Need.SCORE, Need.STREAM}), at="input",
    ),
    _formula,
    {"cells": CELLS, "halves": HALVES, "seed": 0},
    (),
    "What hiding parts of an image does to the score.",
)  # fmt: skip
