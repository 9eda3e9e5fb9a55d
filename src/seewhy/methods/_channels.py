"""What class activation maps share: takes canonical activations [B, C, *positions], gives sums over channels and
positions."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "first_component",
    "mean_over_positions",
    "per_channel",
    "signed_like",
    "sum_over_positions",
    "top_eigenpair",
    "weighted_sum",
    "where_nonzero",
]

#: rows of a matrix from which on its top eigenvector is searched for by itself
_MANY = 1024

#: roundings that a number may be off by
_ROUNDINGS = 64


def mean_over_positions(values: Tensor) -> Tensor:
    """[B, C]."""
    return values.flatten(2).mean(2)


def sum_over_positions(values: Tensor) -> Tensor:
    """[B, C]."""
    return values.flatten(2).sum(2)


def weighted_sum(weights: Tensor, activation: Tensor) -> Tensor:
    """sum_c w_c A_c: weights [B, C], activation [B, C, *positions], map [B, *positions]."""
    return (per_channel(weights, activation) * activation).sum(1)


def first_component(values: Tensor, *, centred: bool = False) -> Tensor:
    """Projection of every position's channel vector on the first right singular vector, [B, *positions]; sign
    arbitrary.

    Computed from the smaller of the two Gram matrices in float64. ``centred`` subtracts the channel means first.
    """
    matrix = values.flatten(2).transpose(1, 2).double()  # [B, P, C]
    if centred:
        matrix = matrix - matrix.mean(1, keepdim=True)
    if not bool(matrix.isfinite().all()):
        return torch.full_like(values[:, 0], float("nan"))
    wide = matrix.shape[2] > matrix.shape[1]
    eigenvalue, top = top_eigenpair(matrix @ matrix.mT if wide else matrix.mT @ matrix)
    # in the wide case the eigenvector is the projection already, up to the singular value
    projected: Tensor = top * eigenvalue[:, None].clamp(min=0).sqrt() if wide else (matrix @ top[:, :, None])[:, :, 0]
    return projected.reshape(values.shape[0], *values.shape[2:]).to(values.dtype)


def top_eigenpair(gram: Tensor) -> tuple[Tensor, Tensor]:
    """The largest eigenvalue [B] of symmetric matrices [B, N, N] and its unit eigenvector [B, N]; differentiable once.

    Torch differentiates all eigenvectors together and divides by the gaps between all eigenvalues, which is noise for
    the many that are equal (or 0). Only the top one is needed: dv = (lambda - G)^+ dG v.
    """
    if not gram.requires_grad and gram.shape[1] > _MANY and (pair := _searched(gram)) is not None:
        return pair
    eigenvalues, vectors = torch.linalg.eigh(gram.detach())
    top, largest = vectors[:, :, -1], eigenvalues[:, -1]
    if not gram.requires_grad:
        return largest, top
    gaps = largest[:, None] - eigenvalues
    inverse = torch.where(gaps > 1e-12 * largest[:, None], 1 / gaps, torch.zeros_like(gaps))
    applied = (gram @ top[:, :, None])[:, :, 0]
    change = (vectors.mT @ (applied - applied.detach())[:, :, None])[:, :, 0] * inverse
    return (top * applied).sum(1), top + (vectors @ change[:, :, None])[:, :, 0]


def _searched(gram: Tensor) -> tuple[Tensor, Tensor] | None:
    """The top eigenpair alone, in a few dozen products with the matrix; None where that does not settle."""
    start = torch.randn(*gram.shape[:2], 1, generator=torch.Generator().manual_seed(0), dtype=gram.dtype)
    values, vectors = torch.lobpcg(gram, 1, X=start.to(gram.device), largest=True, tol=1e-11, niter=300)
    apart = (gram @ vectors - vectors * values[:, None]).flatten(1).norm(dim=1)
    settled = bool((apart <= 1e-8 * values[:, 0].abs()).all())  # False for NaN as well
    return (values[:, 0], vectors[:, :, 0]) if settled else None


def signed_like(values: Tensor, activation: Tensor) -> Tensor:
    """``values`` [B, *positions] with each map's sign turned so that it correlates positively with the mean over
    channels of ``activation`` [B, C, *positions].

    Channels may average to nothing but rounding, as they do behind a layer norm: what is left then says no sign. It is
    the one that makes the larger responses positive (the third moment, else the largest).
    """
    size = activation.square().mean(1).sqrt().flatten(1).double().norm(dim=1)
    a, b = values.flatten(1).double(), activation.mean(1).flatten(1).double()
    eps = torch.finfo(activation.dtype).eps
    least = min(_ROUNDINGS * eps, eps**0.5)
    apart = a - a.mean(1, keepdim=True)
    agreement = (apart * (b - b.mean(1, keepdim=True))).sum(1)
    agreement = _or(agreement, least * apart.norm(dim=1) * size, (a * b).sum(1))  # no variation in either: the mean
    agreement = _or(agreement, least * a.norm(dim=1) * size, a.pow(3).sum(1))
    agreement = _or(agreement, least * a.abs().pow(3).sum(1), a.gather(1, a.abs().argmax(1, keepdim=True))[:, 0])
    sign: Tensor = torch.where(agreement < 0, -1.0, 1.0)
    return values * sign.to(values).reshape(-1, *(1 for _ in values.shape[1:]))


def _or(first: Tensor, least: Tensor, second: Tensor) -> Tensor:
    """The first where it is more than rounding, else the second."""
    return torch.where(first.abs() > least, first, second)


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """One number per channel [B, C], shaped to combine with ``like`` [B, C, *positions]."""
    return values.reshape(*values.shape, *(1 for _ in like.shape[2:]))


def where_nonzero(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, and 0 where the denominator is 0."""
    safe = torch.where(denominator == 0, torch.ones_like(denominator), denominator)
    return torch.where(denominator == 0, torch.zeros_like(numerator), numerator / safe)
