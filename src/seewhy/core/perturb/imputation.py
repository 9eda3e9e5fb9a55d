"""Noisy linear imputation: takes pictures and what of them stays visible, gives the pictures with every hidden pixel
the weighted mean of its neighbours; runs no model."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.noise import fingerprint, gaussian
from seewhy.errors import CapabilityError

__all__ = ["Imputed"]

#: the largest residual that is left, in roundings of the picture's range; turns after which that is given up (some ten
#: are needed)
_ROUNDINGS, _MOST = 16, 200


@dataclass(frozen=True, eq=False)
class Imputed(Fill):
    """Hidden pixels become the weighted mean of all their neighbours, hidden ones as well: the solution of a sparse
    linear system for each mask (Rong et al. 2022, ROAD, arXiv:2202.00449, section 5), plus noise of standard deviation
    ``noise``, in input units. Neither colour nor edge tells where something was hidden.

    Masks count as hidden below one half; where nothing is visible, the picture's mean is. ``reference`` is the pictures
    themselves [B, C, H, W].
    """

    noise: float = 0.01
    seed: int = 0

    @property
    def key(self) -> Hashable:
        """What it depends on."""
        return "imputed", self.noise, self.seed

    def __call__(self, x: Tensor, samples: Tensor, visible: Tensor) -> Tensor:
        """Rows ``samples`` of ``x``, imputed where ``visible`` is under one half, the rest to the bit; not
        differentiable. Raises `CapabilityError` for inputs that are no pictures."""
        if x.ndim != 4:
            raise CapabilityError(f"imputation needs pictures [B, C, H, W], not {tuple(x.shape)}; give another fill")
        shown = x[samples].detach()
        hidden = (visible < 0.5).expand(-1, 1, -1, -1)
        found = _solved(shown, hidden.to(shown))
        if self.noise:
            # the noise of a picture and a mask is the same in any company
            keys = [
                (one + other, 0)
                for one, other in zip(fingerprint(shown), fingerprint(hidden.to(torch.float32)), strict=True)
            ]
            found = found + self.noise * gaussian(keys, tuple(x.shape[1:]), family="imputation", seed=self.seed).to(x)
        return torch.where(hidden, found, shown)


def _solved(x: Tensor, hidden: Tensor) -> Tensor:
    """Pictures [m, C, H, W] that are harmonic where they are ``hidden`` [m, 1, H, W]: conjugate gradients, all masks at
    once, from a guess by pyramids, each direction corrected at every scale.

    The system is that of a graph's Laplacian: each pixel times the weights of the neighbours that it has, minus their
    weighted sum. It is symmetric and, while anything is visible, positive definite.
    """
    scales = _scales(hidden)
    degree = _neighbours(torch.ones_like(hidden[:1]))
    nothing = hidden.amin((2, 3), keepdim=True) > 0
    guess = torch.where(nothing, x.mean((2, 3), keepdim=True), _guessed(x, 1 - hidden))
    found = torch.where(hidden > 0, guess, x)
    residual = hidden * (_neighbours(found) - degree * found)
    direction = ahead = _corrected(residual, scales)
    size = (residual * ahead).sum((2, 3), keepdim=True)
    span = x.amax((2, 3), keepdim=True) - x.amin((2, 3), keepdim=True)
    tolerance = _ROUNDINGS * torch.finfo(x.dtype).eps * span
    for _ in range(_MOST):
        if bool((residual.abs() <= tolerance).all()):
            break
        turned = hidden * (degree * direction - _neighbours(direction))
        step = _ratio(size, (direction * turned).sum((2, 3), keepdim=True))
        found = found + step * direction
        residual = residual - step * turned
        ahead = _corrected(residual, scales)
        before, size = size, (residual * ahead).sum((2, 3), keepdim=True)
        direction = ahead + _ratio(size, before) * direction
    return found


@dataclass(frozen=True, eq=False)
class _Scale:
    """The system at one scale: what is ``hidden`` [m, 1, h, w], that over each pixel's weights, and what carries values
    from the next scale's rows and columns to those of this one, [h, h'] and [w, w']; none at the coarsest."""

    hidden: Tensor
    inverse: Tensor
    rows: Tensor | None = None
    columns: Tensor | None = None


def _scales(hidden: Tensor) -> list[_Scale]:
    """From the finest to the coarsest at which anything is hidden: a pixel of four is, where all four are. (Where one
    is enough, what is seen in between is lost, and hundreds of turns are needed.)"""
    inverse = _ratio(hidden, _neighbours(torch.ones_like(hidden[:1])))
    if min(hidden.shape[2:]) > 1:
        coarse = -F.max_pool2d(-hidden, 2, ceil_mode=True)
        if bool(coarse.any()):
            rows, columns = (
                _between(fine, small).to(hidden) for fine, small in zip(hidden.shape[2:], coarse.shape[2:], strict=True)
            )
            return [_Scale(hidden, inverse, rows, columns), *_scales(coarse)]
    return [_Scale(hidden, inverse)]


def _between(fine: int, coarse: int) -> Tensor:
    """Linear interpolation from ``coarse`` places to ``fine`` ones, as a matrix [fine, coarse]: with its transpose for
    the way back, corrections stay symmetric."""
    each = torch.eye(coarse, dtype=torch.float64)[:, None]
    return F.interpolate(each, size=fine, mode="linear", align_corners=False)[:, 0].T


def _corrected(residual: Tensor, scales: list[_Scale]) -> Tensor:
    """About what has to be added for a ``residual`` to vanish, by one cycle over all scales (Briggs, Henson &
    McCormick, A multigrid tutorial, chapter 3): a turn of Jacobi's, what is left of it solved at half the size, a turn
    of Jacobi's. Full turns are the best ones for this stencil: they shrink all that half the size cannot show to a
    third."""
    here, *coarser = scales
    found = here.inverse * residual
    if here.rows is not None and here.columns is not None:
        left = here.hidden * _neighbours(found)
        below = coarser[0].hidden * (here.rows.T @ left @ here.columns)
        found = found + here.hidden * (here.rows @ _corrected(below, coarser) @ here.columns.T)
    return here.inverse * (residual + _neighbours(found))


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """above / below, 0 where that has no meaning."""
    return torch.where(below > 0, above / torch.where(below > 0, below, torch.ones_like(below)), 0.0)


def _neighbours(maps: Tensor) -> Tensor:
    """The weighted sum of each pixel's neighbours [m, C, H, W], those at a side twice as much as those at a corner: the
    outer product of (1, 2, 1) with itself, without its middle, over 12."""
    down = 2 * maps
    down[..., 1:, :] += maps[..., :-1, :]
    down[..., :-1, :] += maps[..., 1:, :]
    both = 2 * down
    both[..., 1:] += down[..., :-1]
    both[..., :-1] += down[..., 1:]
    return both.sub_(maps, alpha=4).div_(12)


def _guessed(x: Tensor, visible: Tensor) -> Tensor:
    """Something smooth that agrees with what is visible: means of what is seen, coarser where less is."""
    if min(x.shape[2:]) < 2 or bool((visible > 0).all()):
        mean = _ratio((x * visible).sum((2, 3), keepdim=True), visible.sum((2, 3), keepdim=True))
        return torch.where(visible > 0, x, mean)
    share = F.avg_pool2d(visible, 2, ceil_mode=True, count_include_pad=False)
    sums = F.avg_pool2d(x * visible, 2, ceil_mode=True, count_include_pad=False)
    coarse = _guessed(_ratio(sums, share), (share > 0).to(x))
    fine = F.interpolate(coarse, size=tuple(x.shape[2:]), mode="bilinear", align_corners=False)
    return torch.where(visible > 0, x, fine)
