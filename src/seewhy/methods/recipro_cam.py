"""Recipro-CAM: takes an activation's shape, asks for the score of each position alone, gives those scores as the
map."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.core.asks import HeadWeights, Score, Stream
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.sources import EditedLayer
from seewhy.errors import UsageError
from seewhy.methods._channels import mean_over_positions
from seewhy.methods._exceptions import every
from seewhy.registry import Card, Need, method

__all__ = ["recipro_cam"]


@method(
    Card(
        name="recipro-cam",
        family="cam",
        paper="Byun & Lee 2022, Recipro-CAM, arXiv:2209.14074, eq. 1-3 and section 3.2",
        formula="map_p = S(A * window_p), window_p a 3x3 Gaussian at position p",
        unit="{score}",
        excepts={
            **every(
                ("proportion", "sign", "cancellation", "class", "blindness", "redundancy"),
                "the window keeps some of what lies beside a position, so that evidence spreads over the next ones",
            ),
            **every(
                ("interaction", "hidden-gradient", "shattering"),
                "keeps one position at a time, weakened by the window's centre of 1/4: a part alone, or below a "
                "threshold, makes no score",
            ),
        },
        cost="1 forward, and one for every position of the layer unless the head is pooling and one linear layer",
        needs=frozenset({Need.STREAM, Need.HEAD}),
        positive=True,
        use="a gradient-free map in as many forwards as the layer has positions (49 for most networks)",
        caveats=("every position also scores the network's bias: compare places, not signs",),
    )
)
def recipro_cam(activation: Tensor, score: Tensor, *, gaussian: bool = True) -> Generator[Any, Any, Tensor]:
    """The score that each position of a layer would get alone.

    ``activation`` [B, C, *positions], ``score`` [B]; values [B, *positions], in score units. With ``gaussian`` a
    position is seen through the paper's window (1 2 1; 2 4 2; 1 2 1) / 16, cut off at the border; without, it is seen
    alone. With a pool-then-linear head, proved on the actual activation, those scores take no further forward.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="recipro-cam", layer="1").values.shape
    (6, 6)
    """
    grid = tuple(activation.shape[2:])
    count = torch.Size(grid).numel()

    def alone(values: Tensor, samples: Tensor, positions: Tensor) -> Tensor:
        return values * _windows(positions, grid, gaussian).to(values)[:, None]

    head = yield HeadWeights(required=False)
    if head is not None:  # linear in the mean: what is hidden is missing from it
        shares = torch.einsum("bc,bcp->bp", head, activation.flatten(2)).reshape(-1, *grid)
        seen = (_seen(shares, gaussian) / count).flatten(1)
        alone_less_all = seen - (head * mean_over_positions(activation)).sum(1, keepdim=True)
        alone_scores: Tensor = (score[:, None] + alone_less_all).unflatten(1, grid)
        return alone_scores
    source = EditedLayer(count, ("window", gaussian), alone)
    scores = yield Stream(source, (Score(),), Collect(activation.shape[0], count))
    return scores.reshape(activation.shape[0], *grid)  # type: ignore[no-any-return]


def _windows(positions: Tensor, grid: tuple[int, ...], gaussian: bool) -> Tensor:
    """The window of each position, [m, *grid]."""
    rows = torch.zeros(len(positions), torch.Size(grid).numel(), device="cpu")
    rows[torch.arange(len(positions)), positions] = 1
    return _seen(rows.reshape(len(positions), *grid), gaussian)


def _seen(maps: Tensor, gaussian: bool) -> Tensor:
    """Maps [m, *grid] seen through the window of each position: the window is the same on both sides."""
    if not gaussian:
        return maps
    grid = maps.shape[1:]
    if len(grid) not in (1, 2, 3):
        raise UsageError(
            f"recipro-cam: no Gaussian window for a layer with {len(grid)} axes of positions; gaussian=False"
        )
    kernel = torch.tensor([0.25, 0.5, 0.25])
    window = kernel
    for _ in grid[1:]:
        window = window[..., None] * kernel
    convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(grid)]
    return convolve(maps[:, None], window[None, None].to(maps), padding=1)[:, 0]
