"""Controls: take a map and its image, give maps that know no network, for a number to be held against; run no model."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.core.perturb.noise import fingerprint, uniform
from seewhy.errors import UsageError

__all__ = ["centre_bump", "edge_map", "plain_maps", "rank", "spectrum_maps"]

#: turns of giving noise the map's spectrum, then its values, after which neither changes much any more
_TURNS = 5
#: maps that are drawn at once, so that memory does not grow with their number
_AT_ONCE = 32


def spectrum_maps(values: Tensor, n: int = 20, *, of: Tensor | None = None, seed: int = 0) -> Tensor:
    """``n`` random maps [n, *size] that have the values of a map [*size], each as often, and nearly its power spectrum:
    as smooth, as concentrated, and somewhere else.

    Phases are drawn from ``seed`` and the image that the map is ``of`` [C, *size], so that maps of one image which
    hardly differ are held against maps which hardly differ; unless it is given, from the map itself. Spectrum and
    values are imposed in turn (Schreiber & Schmitz 1996, doi:10.1103/PhysRevLett.77.635), the values last. Raises
    `UsageError` for less than one.

    >>> maps = spectrum_maps(torch.arange(16.0).reshape(4, 4), 3)
    >>> maps.shape, bool((maps.flatten(1).sort(1).values == torch.arange(16.0)).all())
    (torch.Size([3, 4, 4]), True)
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UsageError(f"n={n!r}: how many random maps, at least 1")
    flat = values.detach().double().cpu()
    key = fingerprint((flat if of is None else of)[None])[0]
    noise = uniform([(key, k) for k in range(n)], tuple(flat.shape), family="control", seed=seed)
    own = flat.flatten().sort().values
    return torch.cat([_imposed(some, flat, own) for some in torch.split(noise, _AT_ONCE)]).to(values)


def _imposed(noise: Tensor, flat: Tensor, own: Tensor) -> Tensor:
    """Maps [n, *size], drawn by ``noise`` [n, *size] from 0 to 1, with nearly the spectrum of ``flat`` [*size] and the
    values ``own`` [N], sorted."""
    axes = tuple(range(1, noise.ndim))
    # around zero and up to one, single precision is enough for the order of places
    apart = own - own.mean()
    scale = apart.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    near = (apart / scale).float()
    amplitude = torch.fft.rfftn(((flat - own.mean()) / scale).float()[None], dim=axes).abs()
    found = near[(noise * len(own)).long()]

    def turned() -> Tensor:
        spectrum = amplitude * torch.fft.rfftn(found, dim=axes).sgn()
        ordered: Tensor = torch.fft.irfftn(spectrum, s=tuple(flat.shape), dim=axes)
        return ordered

    for _ in range(_TURNS - 1):
        found = _with_values(turned(), near)
    return _with_values(turned(), own)


def _with_values(maps: Tensor, own: Tensor) -> Tensor:
    """Maps [n, *size] in the same order of places, with the values ``own`` [N], sorted. NumPy's sort of single
    precision is several times as fast as PyTorch's, and as counting by first bits, where vectors are wide."""
    order = torch.from_numpy(np.argsort(maps.flatten(1).numpy(), axis=1))
    placed = torch.empty_like(order, dtype=own.dtype)
    placed.scatter_(1, order, own.expand_as(order))
    return placed.reshape(maps.shape)


def edge_map(image: Tensor) -> Tensor:
    """How steep images [B, C, H, W] are, [B, H, W]: the length of Sobel's gradient of the mean over channels, edges
    repeated. What a map looks like that knows the photo and no network.

    Raises `UsageError` for inputs that are no pictures.

    >>> edge_map(torch.tensor([[[[0.0, 0.0, 1.0, 1.0]] * 3]]))[0, 1].tolist()
    [0.0, 4.0, 4.0, 0.0]
    """
    if image.ndim != 4:
        raise UsageError(f"an edge map is one of pictures [B, C, H, W]; got {tuple(image.shape)}")
    grey = F.pad(image.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(grey)
    steps = F.conv2d(grey, torch.stack([across, across.T])[:, None])
    return steps.square().sum(1).sqrt()


def centre_bump(size: tuple[int, ...]) -> Tensor:
    """A Gaussian in the middle, [*size], 1 at its top, with a standard deviation of a quarter of each side: where
    photographers put things.

    >>> centre_bump((3, 3))[1, 1].item()
    1.0
    """
    bump = torch.ones(size, dtype=torch.float64)
    for axis, length in enumerate(size):
        along = (torch.arange(length, dtype=torch.float64) - (length - 1) / 2) / max(length / 4, 1e-9)
        bump *= torch.exp(-0.5 * along.square()).reshape([-1 if n == axis else 1 for n in range(len(size))])
    return bump


def plain_maps(image: Tensor) -> dict[str, Tensor]:
    """What maps [*size] look like that know the photo [C, *size] alone, ``edge`` (of pictures), or not even that,
    ``bump``; float64, on the CPU.

    >>> sorted(plain_maps(torch.rand(3, 4, 4))), sorted(plain_maps(torch.rand(1, 4, 4, 4)))
    (['bump', 'edge'], ['bump'])
    """
    found = {"bump": centre_bump(tuple(image.shape[1:]))}
    if image.ndim == 3:
        found["edge"] = edge_map(image[None].detach().double().cpu())[0]
    return found


def rank(number: float, controls: Tensor, better: str) -> float:
    """At which share of a number and its ``controls`` [n] the number stands, from 1 / (1 + n), better than all of them,
    to 1: (1 + controls at least as good) / (1 + n), as a permutation test counts. Controls without a number are left
    out; NaN where the number is none. Raises `UsageError` unless ``better`` is ``"higher"`` or ``"lower"``.

    >>> rank(0.9, torch.tensor([0.1, 0.2, 0.95]), "higher")
    0.5
    """
    if better not in ("higher", "lower"):
        raise UsageError(f"better={better!r} is 'higher' or 'lower'")
    if not math.isfinite(number):
        return math.nan
    others = controls[controls.isfinite()]
    good = others >= number if better == "higher" else others <= number
    return (1 + int(good.sum())) / (1 + len(others))
