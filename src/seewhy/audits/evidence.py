"""Where evidence for a class lies: takes pictures and maps, gives the mean map and which shares of it are on the
border, in the corners and on objects, beside those of maps that know no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from seewhy.audits.regions import frame
from seewhy.audits.subject import Half
from seewhy.metrics.controls import centre_bump, edge_map
from seewhy.metrics.standing import interval

__all__ = ["Share", "Where", "whereabouts"]

#: rows and columns of the mean map at most
_GRID = 14
#: the border, and a corner's sides, in shares of the picture's
_BORDER, _CORNER = 0.08, 0.25


@dataclass(frozen=True)
class Share:
    """Which share of a class's positive evidence lies in a part of the pictures, the mean over pictures with its 95 %
    interval; beside the share of the ``area``, and those that an edge map and a bump in the middle have there."""

    share: float
    low: float
    high: float
    area: float
    edges: float
    bump: float

    def told(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "share": self.share, "interval": [self.low, self.high], "area": self.area, "edge map": self.edges,
            "centre bump": self.bump,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Where:
    """Where the evidence of ``count`` pictures of a class lies: ``mean`` [h, w], at most 14 x 14, of maps whose
    magnitudes add up to 1 each, signed; ``shares`` by part: border, corners, and object where masks are known."""

    count: int
    mean: NDArray[np.float64]
    shares: Mapping[str, Share]

    def told(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "pictures": self.count,
            "mean": self.mean.tolist(),
            "shares": {name: each.told() for name, each in self.shares.items()},
        }


def whereabouts(half: Half, seed: int = 0) -> Where | None:
    """Where the evidence of pictures is; None where there is none."""
    if half.evidence is None:
        return None
    there = half.evidence.flatten(1).abs().sum(1) > 0
    if not bool(there.any()):
        return None
    some = half.picked(torch.nonzero(there)[:, 0])
    assert some.evidence is not None
    maps = some.evidence.double()
    size = (int(maps.shape[1]), int(maps.shape[2]))
    mean = maps / maps.flatten(1).abs().sum(1)[:, None, None]
    grid = (min(size[0], _GRID), min(size[1], _GRID))
    pooled = F.adaptive_avg_pool2d(mean.mean(0)[None, None], grid)[0, 0] * (size[0] * size[1] / (grid[0] * grid[1]))
    edges = edge_map(some.inputs.double())
    bump = centre_bump(size)[None]
    shares = {
        name: _share(maps, part, edges, bump, seed)
        for name, part in _parts(some, size).items()
        if bool((maps > 0).any())
    }
    return Where(len(some), pooled.numpy(), shares)


def _parts(half: Half, size: tuple[int, int]) -> dict[str, Tensor]:
    """Parts of pictures as masks, [1, H, W] or one for each."""
    corners = torch.zeros(size)
    tall, wide = (max(1, round(_CORNER * side)) for side in size)
    for rows in (slice(0, tall), slice(size[0] - tall, None)):
        for columns in (slice(0, wide), slice(size[1] - wide, None)):
            corners[rows, columns] = 1
    found = {"border": frame(size, _BORDER)[None].double(), "corners": corners[None].double()}
    if half.objects is not None:
        found["object"] = half.objects.double()
    return found


def _share(maps: Tensor, part: Tensor, edges: Tensor, bump: Tensor, seed: int) -> Share:
    own = _inside(maps.clamp(min=0), part)
    low, high = interval(own, seed=seed)
    return Share(
        float(own.mean()), low, high, float(part.mean()),
        float(_inside(edges, part).mean()), float(_inside(bump.expand_as(edges), part).mean()),
    )  # fmt: skip


def _inside(maps: Tensor, part: Tensor) -> NDArray[np.float64]:
    """Which share of each map [N, H, W] is in a part; maps of nothing are left out."""
    total = maps.flatten(1).sum(1)
    found = (maps * part).flatten(1).sum(1)
    shares: NDArray[np.float64] = (found[total > 0] / total[total > 0]).numpy()
    return shares
