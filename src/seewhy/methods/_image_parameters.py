"""Pictures that can be optimised: takes free numbers, gives images in [0, 1] that look like photographs in colour and
frequency; random views of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["COLOURS", "fourier", "phases", "pixels", "views"]

#: square root of the covariance of natural images' colours, its columns scaled to at most 1 (Olah et al. 2017)
COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], dtype=torch.float64)

#: free numbers and how they become a picture [B, C, H, W] in [0, 1]
Parametrisation = tuple[Tensor, Callable[[Tensor], Tensor]]


def _recorrelated(image: Tensor) -> Tensor:
    """Independent colour channels as red, green and blue; other numbers of channels stay as they are."""
    if image.shape[1] != 3:
        return image
    matrix = (COLOURS / torch.linalg.vector_norm(COLOURS, dim=0).max()).to(image)
    mixed: Tensor = torch.einsum("rc,bchw->brhw", matrix, image)
    return mixed


def _falling(size: tuple[int, int]) -> Tensor:
    """1 / |f| for every coefficient of a real 2-D transform, [H, W // 2 + 1], float64; f in cycles a pixel."""
    height, width = size
    rows, columns = (torch.fft.fftfreq(height, dtype=torch.float64), torch.fft.rfftfreq(width, dtype=torch.float64))
    inverse: Tensor = 1 / (rows[:, None].square() + columns.square()).sqrt().clamp(min=1 / max(size))
    return inverse


def fourier(noise: Tensor, size: tuple[int, int], decay: float) -> Parametrisation:
    """Coefficients scaled by 1 / f^decay, colours decorrelated, then a sigmoid: Adam then moves coarse scales further
    than fine ones.

    ``noise`` [B, C, H, W // 2 + 1, 2], standard normal. Whatever the decay, all scales together have the energy that
    the published 1 / f has.
    """
    falling = _falling(size)
    steep = falling**decay
    scale = steep * (falling.square().sum() / steep.square().sum()).sqrt() * math.sqrt(size[0] * size[1])

    def picture(free: Tensor) -> Tensor:
        spectrum = torch.view_as_complex(free) * scale.to(free)
        # a quarter of the inverse transform: the sigmoid then starts near its linear part
        return _recorrelated(torch.fft.irfft2(spectrum, s=size) / 4).sigmoid()

    return 0.01 * noise, picture


def phases(noise: Tensor, size: tuple[int, int], decay: float) -> Parametrisation:
    """Only the phases are free: magnitudes stay those of natural images, 1 / f in every channel (MACO).

    ``noise`` as in `fourier`; ``decay`` has no part in it.
    """
    magnitude = _falling(size)

    def picture(free: Tensor) -> Tensor:
        middle, spread = free.flatten(1).mean(1), free.flatten(1).std(1) + 1e-5
        angles = (free - middle[:, None, None, None]) / spread[:, None, None, None]
        image = torch.fft.irfft2(torch.polar(magnitude.to(free).expand_as(angles), angles), s=size, norm="ortho")
        image = (image - image.mean((2, 3), keepdim=True)) / (image.std((2, 3), keepdim=True) + 1e-5)
        return _recorrelated(2 * image).sigmoid()

    return noise[..., 0].clone(), picture


def pixels(noise: Tensor, size: tuple[int, int], decay: float) -> Parametrisation:
    """The pixels themselves: what the others are there to avoid."""
    return 0.01 * noise, lambda free: free.sigmoid()


def views(image: Tensor, draws: Tensor, *, jitter: int, scale: float, rotate: float) -> Tensor:
    """Random views [N, C, H, W] of ``image`` [N, C, H, W]: moved, scaled and turned a little, one resampling.

    ``draws`` [N, 4] in [0, 1): shift along both axes (up to ``jitter`` pixels), factor (1 +- ``scale``), angle
    (+- ``rotate`` degrees). What comes in from outside is the image mirrored.
    """
    spread = (2 * draws - 1).to(image)
    angle, factor = spread[:, 3] * math.radians(rotate), 1 / (1 + spread[:, 2] * scale)
    height, width = image.shape[2:]
    cos, sin = factor * angle.cos(), factor * angle.sin()
    shift_x, shift_y = spread[:, 0] * 2 * jitter / width, spread[:, 1] * 2 * jitter / height
    matrix = torch.stack(
        [torch.stack([cos, -sin * height / width, shift_x], 1), torch.stack([sin * width / height, cos, shift_y], 1)], 1
    )
    grid = F.affine_grid(matrix, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)
