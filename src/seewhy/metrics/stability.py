"""Stability: takes what explains and images, gives how alike the maps are of images that look the same; runs what
explains."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.perturb.noise import fingerprint, gaussian
from seewhy.core.perturb.sources import spread_of
from seewhy.errors import UsageError
from seewhy.metrics._likeness import rank_correlation
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["stability"]

#: axes of pictures [B, C, H, W]
_PICTURES = 4


@metric(
    MetricCard(
        name="stability",
        paper="Alvarez-Melis & Jaakkola 2018, arXiv:1806.08049; rank correlation as in Adebayo et al. 2018",
        formula="mean of Spearman(M(x), M(x changed)) over noise, a shift by one pixel undone, JPEG",
        better="higher",
        range="-1 to 1",
        cost="3 maps, 4 with JPEG",
        use="whether a map would be another one for a photo that looks the same",
        fooled=("a map that never changes, whatever the image, has 1: look at randomisation beside it",),
        constant=True,
    )
)
def stability(
    explain: Callable[[Tensor], Tensor],
    input: Tensor,
    *,
    sigma: float = 0.02,
    levels: tuple[Sequence[float], Sequence[float]] | None = None,
    quality: int = 75,
    seed: int = 0,
) -> Attribution:
    """How alike the maps of an image and of its like are, by rank correlation, on average.

    ``explain`` takes inputs [N, C, *size] and gives maps of the image's size [N, *size]; ``input`` [B, C, *size]; a
    number from -1 to 1 for each image, and those of ``noise`` (Gaussian, ``sigma`` of the image's range), ``shift``
    (one pixel along the last axis, edge repeated, undone in the map) and, where ``levels`` say what black and white are
    in each channel in input units, ``jpeg``: the picture of 8 bits, compressed with ``quality``. Raises `UsageError`
    for maps of another size, and for levels of inputs that are no pictures of one or three channels.

    >>> import torch, seewhy
    >>> image = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> round(seewhy.metrics.stability(lambda x: x.sum(1), image), 1)
    1.0
    """
    if not sigma > 0:
        raise UsageError(f"sigma={sigma!r}: the size of the noise, above 0, as a share of the image's range")
    first = torch.as_tensor(explain(input)).detach().double()
    if first.shape != (len(input), *input.shape[2:]):
        raise UsageError(
            f"explain gave {tuple(first.shape)} for images {tuple(input.shape)}: maps of their size (Explanation.map)"
        )
    pairs = [(key, 0) for key in fingerprint(input)]
    noise = gaussian(pairs, tuple(input.shape[1:]), family="stability", seed=seed).to(input)
    found = {"noise": rank_correlation(first, _map(explain, input + sigma * spread_of(input) * noise))}
    moved = torch.cat([input[..., :1], input[..., :-1]], -1)
    found["shift"] = rank_correlation(first[..., :-1], _map(explain, moved)[..., 1:])
    if levels is not None:
        found["jpeg"] = rank_correlation(first, _map(explain, _compressed(input, levels, quality)))
    return Attribution(torch.stack(list(found.values()), 1).nanmean(1), arrays=found)


def _map(explain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.as_tensor(explain(x)).detach().double()


def _compressed(x: Tensor, levels: tuple[Sequence[float], Sequence[float]], quality: int) -> Tensor:
    if x.ndim != _PICTURES or x.shape[1] not in (1, 3):
        raise UsageError(f"levels= are of pictures [B, 1 or 3, H, W]; got {tuple(x.shape)}: leave it out")
    black, white = (torch.as_tensor(end).to(x).reshape(1, -1, 1, 1) for end in levels)
    pixels = ((x - black) / (white - black) * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    read = []
    for one in np.moveaxis(pixels, 1, -1):
        file = io.BytesIO()
        Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one).save(file, "jpeg", quality=quality)
        again = np.asarray(Image.open(file))
        read.append(again[None] if again.ndim == 2 else np.moveaxis(again, -1, 0))
    return black + torch.from_numpy(np.stack(read)).to(x) / 255 * (white - black)
