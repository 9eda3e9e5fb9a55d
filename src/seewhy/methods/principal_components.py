"""Principal components: takes the activations of a layer on several images, gives the directions in which its positions
differ most, and how far each position lies along them."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.errors import UsageError
from seewhy.registry import Card, method

__all__ = ["principal_components"]


@method(
    Card(
        name="principal-components",
        family="inside",
        paper="Oquab et al. 2023, DINOv2: Learning Robust Visual Features without Supervision, arXiv:2304.07193, "
        "fig. 1; Pearson 1901, doi:10.1080/14786440109462720",
        formula="(A - mean) V, V the right singular vectors of A - mean [positions, channels], the largest first",
        unit="activation",
        cost="1 forward an image",
        at="layer",
        discriminative=False,
        call="components",
        use="which parts of photos a layer takes for alike, as colours; class or no class",
        caveats=(
            "what the components are depends on the photos; the first one mostly tells object from ground",
            "a component's sign means nothing: its largest weight is made positive",
        ),
    )
)
def principal_components(activation: Tensor, *, rank: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """The ``rank`` directions along which the positions of all images vary most, and where each position lies on them.

    ``activation`` [N, C, *positions] to maps [N, rank, *positions] in the activation's units, 0 at the mean of all
    positions; directions [rank, C] of length one, orthogonal, the largest weight of each positive; and shares [rank] of
    the variance, the largest first. Images and positions are rows, channels columns; computed in float64, by singular
    values, and given in the activation's type. A component beyond the rank of the activation is 0 everywhere. Raises
    `UsageError` for a rank that the activation cannot have.

    >>> import torch
    >>> maps, directions, shares = principal_components(torch.rand(2, 5, 4, 4))
    >>> maps.shape, directions.shape, bool(shares[0] >= shares[1])
    (torch.Size([2, 3, 4, 4]), torch.Size([3, 5]), True)
    """
    grid, channels = activation.shape[2:], activation.shape[1]
    rows = activation.detach().to("cpu", torch.float64).movedim(1, -1).reshape(-1, channels)
    most = min(rows.shape)
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= most:
        raise UsageError(
            f"rank={rank!r}: this activation has {channels} channels at {len(rows)} positions, so a rank from 1 to "
            f"{most}"
        )
    rows = rows - rows.mean(0)
    _, sizes, right = torch.linalg.svd(rows, full_matrices=False)
    directions = right[:rank]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    directions = directions * torch.where(largest < 0, -1.0, 1.0)
    # what is left of a matrix of a lower rank is rounding
    some = sizes > sizes[0] * max(rows.shape) * torch.finfo(activation.dtype).eps
    maps = rows @ directions.T * some[:rank]
    variances = sizes.square() * some
    shares = variances[:rank] / variances.sum().clamp(min=torch.finfo(torch.float64).tiny)
    stacked = maps.reshape(len(activation), *grid, rank).movedim(-1, 1)
    return stacked.to(activation.dtype), directions.to(activation.dtype), shares.to(activation.dtype)
