"""Factors: takes the activations of a layer on several images, gives the few patterns they are made of, and where each
is."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.errors import UsageError
from seewhy.methods._factoring import error_of, scaled, start, sweep
from seewhy.registry import Card, method

__all__ = ["factors"]


@method(
    Card(
        name="factors",
        family="inside",
        paper="Olah et al. 2018, The Building Blocks of Interpretability, doi:10.23915/distill.00010; "
        "HALS: Cichocki & Phan 2009; NNDSVD: Boutsidis & Gallopoulos 2008",
        formula="argmin |relu(A) - M D|^2 with M >= 0 [positions, rank] and D >= 0 [rank, channels]",
        cost="1 forward an image",
        at="layer",
        discriminative=False,
        call="factors",
        use="the handful of things that a layer tells apart in a set of photos, class or no class",
        caveats=(
            "what the factors are depends on the photos and on the rank",
            "negative activations are left out: the notes say how much that is",
        ),
    )
)
def factors(
    activation: Tensor, *, rank: int = 6, steps: int = 300, tolerance: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor, float, int]:
    """Non-negative matrix factorisation of relu(activation), images and positions as rows, channels as columns.

    ``activation`` [N, C, *positions] to maps [N, rank, *positions] >= 0 in the activation's units, directions [rank, C]
    >= 0 of length one, shares [rank] of the activation's total that each factor accounts for (the largest first;
    together at most 1: what the product has too much of is nobody's), the relative error |relu(A) - M D| / |relu(A)|,
    and the number of sweeps. Hierarchical alternating least squares from a start by singular vectors: nothing is
    random. It ends when a sweep lowers the relative error by less than ``tolerance`` times itself, or after ``steps``
    sweeps. Raises `UsageError` for a rank that the activation cannot have.

    >>> import torch
    >>> maps, directions, shares, error, sweeps = factors(torch.rand(2, 5, 4, 4), rank=2)
    >>> maps.shape, directions.shape
    (torch.Size([2, 2, 4, 4]), torch.Size([2, 5]))
    """
    grid, channels = activation.shape[2:], activation.shape[1]
    rows = activation.movedim(1, -1).reshape(-1, channels).clamp(min=0)
    most = min(rows.shape)
    if not 1 <= rank <= most or steps < 1 or not tolerance >= 0:
        raise UsageError(
            f"rank={rank}, steps={steps}, tolerance={tolerance:g}: this activation has {channels} channels at "
            f"{len(rows)} positions, so a rank from 1 to {most}; steps from 1, tolerance from 0"
        )
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.float()
    maps, directions = start(rows, rank)
    error, sweeps, going = error_of(rows, maps, directions), 0, True
    while going and sweeps < steps:
        maps, directions = sweep(rows, maps, directions)
        before, error = error, error_of(rows, maps, directions)
        sweeps, going = sweeps + 1, before - error > tolerance * before
    maps, directions, shares = scaled(rows, maps, directions)
    stacked = maps.reshape(len(activation), *grid, rank).movedim(-1, 1)
    return stacked, directions, shares, error, sweeps
