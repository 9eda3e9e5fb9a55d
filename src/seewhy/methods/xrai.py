"""XRAI: takes an image and many overlapping regions of it, ranks the regions by the attribution that they gain."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.core.asks import Attribution, Gradient, Stream
from seewhy.core.perturb.folds import WeightedSum
from seewhy.core.perturb.sources import StraightPath
from seewhy.errors import CapabilityError, UsageError
from seewhy.methods._exceptions import NO_GRADIENT
from seewhy.methods._paths import quadrature
from seewhy.registry import Card, Need, method

__all__ = ["xrai"]


@method(
    Card(
        name="xrai",
        family="gradient",
        paper="Kapishnikov et al. 2019, XRAI: Better Attributions Through Regions, arXiv:1906.02825, algorithm 1",
        formula="regions in the order of their mean attribution; a pixel has that of the region that brought it in",
        unit="{score}",
        excepts=NO_GRADIENT,
        cost="2 steps forwards and backwards, then a search over regions",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="input",
        use="whole objects instead of speckled pixels",
        caveats=(
            "the regions are the picture's, not the network's: an edge map's neatness is no evidence",
            "takes each pixel's largest channel, as published",
        ),
    )
)
def xrai(
    input: Tensor,
    bounds: tuple[Tensor, Tensor],
    regions: Tensor,
    *,
    steps: int = 50,
    rule: str = "gauss-legendre",
    dilation: int = 5,
    min_pixels: int = 50,
) -> Generator[Any, Any, Attribution]:
    """Regions ranked by how much attribution each adds per pixel.

    ``input`` [B, C, H, W]; ``regions`` [B, S, H, W], S segmentations (Felzenszwalb's at six scales, or
    `seewhy.explain`'s ``segments=``); values [B, H, W] in score units a pixel: the mean, over the pixels that a region
    brought in, of integrated gradients (mean of a black and a white baseline; the larger channel counts). Regions are
    widened by ``dilation`` pixels; those that would add fewer than ``min_pixels`` are passed over. Raises `UsageError`
    for a negative width, `CapabilityError` for inputs that are no pictures.
    """
    if input.ndim != 4:
        raise CapabilityError(f"xrai needs pictures [B, C, H, W], not {tuple(input.shape)}; use integrated-gradients")
    if dilation < 0 or min_pixels < 0:
        raise UsageError(f"dilation={dilation}, min_pixels={min_pixels}: pixels, 0 or more, e.g. 5 and 50")
    nodes, weights = quadrature(rule, steps)
    batch, total = input.shape[0], torch.zeros_like(input)
    for bound in bounds:
        baseline = bound.expand_as(input).contiguous()
        path = StraightPath(len(nodes), nodes, baseline)
        mean = yield Stream(path, (Gradient(),), WeightedSum(batch, weights))
        total = total + (input - baseline) * mean / 2
    attribution = total.amax(1)
    return Attribution(torch.stack([_rank(attribution[b], regions[b], dilation, min_pixels) for b in range(batch)]))


def _rank(attribution: Tensor, regions: Tensor, dilation: int, min_pixels: int) -> Tensor:
    """One image's map [H, W]: regions are added greedily, the one with the highest mean over its new pixels first."""
    masks = _masks(regions, dilation).flatten(1).to(attribution.device)
    flat = attribution.flatten()
    ranked, open_ = torch.zeros_like(flat), torch.ones_like(flat, dtype=torch.bool)
    alive = torch.ones(len(masks), dtype=torch.bool, device=flat.device)
    # sums over each region's new pixels, kept up to date by what is taken away
    values = masks.to(flat.dtype)
    sums, counts = values @ flat.detach(), values.sum(1)
    while True:
        alive &= counts >= max(min_pixels, 1)
        if not bool(alive.any()):
            break
        means = torch.where(alive, sums / counts.clamp(min=1), torch.full_like(sums, -torch.inf))
        best = int(means.argmax())
        new = masks[best] & open_
        ranked = torch.where(new, flat[new].mean(), ranked)
        open_ &= ~masks[best]
        gone = new.to(flat.dtype)
        sums, counts = sums - values @ (flat.detach() * gone), counts - values @ gone
        alive[best] = False
    if bool(open_.any()):  # what no region of some size holds
        ranked = torch.where(open_, flat[open_].mean(), ranked)
    return ranked.reshape(attribution.shape)


def _masks(regions: Tensor, dilation: int) -> Tensor:
    """Every piece of every segmentation as a mask [N, H, W], widened by a disk."""
    pieces = [labels == piece for labels in regions for piece in range(int(labels.min()), int(labels.max()) + 1)]
    masks = torch.stack([piece for piece in pieces if bool(piece.any())])
    if dilation == 0:
        return masks
    at = torch.arange(-dilation, dilation + 1)
    disk = (at[:, None] ** 2 + at**2 <= dilation**2).float()[None, None]
    return F.conv2d(masks[:, None].float(), disk, padding=dilation)[:, 0] > 0.5
