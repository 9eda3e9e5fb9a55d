"""Non-negative factors: takes a matrix without negative numbers, gives two whose product is close to it; knows no
images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm as norm

__all__ = ["error_of", "scaled", "shares_of", "start", "sweep"]

Factors = tuple[Tensor, Tensor]


def start(rows: Tensor, rank: int) -> Factors:
    """A first guess from the singular vectors of ``rows`` [M, C]: of each the positive or the negative part, whichever
    is larger (NNDSVD). Zeros become a hundredth of the mean, since a sweep can only scale what is not zero.

    The right vectors come from the small matrix [C, C]; their signs do not matter.
    """
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    scales, right = values.flip(0)[:rank].clamp(min=0).sqrt(), vectors.flip(1)[:, :rank]
    tiny = torch.finfo(rows.dtype).tiny
    left = rows @ right / scales.clamp(min=tiny)
    maps, directions = [], []
    for k in range(rank):
        parts = [((sign * left[:, k]).clamp(min=0), (sign * right[:, k]).clamp(min=0)) for sign in (1, -1)]
        sizes = [(norm(a), norm(b)) for a, b in parts]
        best = max(range(2), key=lambda n: float(sizes[n][0] * sizes[n][1]))
        (a, b), (long, wide) = parts[best], sizes[best]
        size = (scales[k] * long * wide).sqrt()
        maps.append(size * a / long.clamp(min=tiny))
        directions.append(size * b / wide.clamp(min=tiny))
    floor = (rows.mean() / rank).sqrt() / 100
    return torch.stack(maps, 1).maximum(floor), torch.stack(directions).maximum(floor)


def sweep(rows: Tensor, maps: Tensor, directions: Tensor) -> Factors:
    """Every column of ``maps`` [M, rank], then every row of ``directions`` [rank, C], set to its best given the
    rest."""
    maps = _columns(rows @ directions.T, directions @ directions.T, maps)
    return maps, _columns(rows.T @ maps, maps.T @ maps, directions.T).T


def _columns(target: Tensor, gram: Tensor, columns: Tensor) -> Tensor:
    """argmin over each column in turn of |rows - columns others|, >= 0; a factor that is nothing stays as it is."""
    columns = columns.clone()
    for k in range(columns.shape[1]):
        size = gram[k, k]
        if float(size) > 0:
            step = (target[:, k] - columns @ gram[:, k]) / size
            columns[:, k] = (columns[:, k] + step).clamp(min=0)
    return columns


def error_of(rows: Tensor, maps: Tensor, directions: Tensor) -> float:
    """|rows - maps directions| / |rows|; 0 for a matrix of zeros."""
    size = float(norm(rows))
    return float(norm(rows - maps @ directions)) / size if size else 0.0


def scaled(rows: Tensor, maps: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same product with directions of length one, in the order of the share of the sum of ``rows`` that each factor
    has; and those shares [rank]."""
    sizes = norm(directions, dim=1)
    maps, directions = maps * sizes, directions / sizes.clamp(min=torch.finfo(rows.dtype).tiny)[:, None]
    shares = shares_of(rows, maps, directions)
    order = shares.argsort(descending=True, stable=True)
    return maps[:, order], directions[order], shares[order]


def shares_of(rows: Tensor, maps: Tensor, directions: Tensor) -> Tensor:
    """What part of the sum of ``rows`` each factor accounts for, [rank], together at most 1.

    Where the product is larger than a value, its factors have that value between them, in proportion to what they
    give; where it is smaller, the rest is nobody's.
    """
    product, total = maps @ directions, rows.sum()
    kept = torch.where(product > 0, rows / product.clamp(min=torch.finfo(rows.dtype).tiny), 0).clamp(max=1)
    shares = (maps * (kept @ directions.T)).sum(0)
    return shares / total if float(total) > 0 else torch.zeros_like(shares)
