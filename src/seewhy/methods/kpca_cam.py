"""KPCA-CAM: takes an activation, gives its first kernel principal map; asks nothing of the class."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.errors import CapabilityError, UnknownName
from seewhy.methods._channels import signed_like, top_eigenpair
from seewhy.methods._exceptions import NO_SCORE, ONE_DIRECTION
from seewhy.registry import Card, method

__all__ = ["kpca_cam"]

#: positions: half a gigabyte for each matrix of every two
_MOST = 8192


@method(
    Card(
        name="kpca-cam",
        family="cam",
        paper="Karmani et al. 2024, KPCA-CAM, arXiv:2410.00267",
        formula="first kernel principal component of A as positions x channels, kernel tanh(gamma a.b + 1)",
        excepts={**NO_SCORE, "shattering": ONE_DIRECTION},
        cost="1 forward",
        discriminative=False,
        positive=True,
        use="Eigen-CAM for activations that no plane fits",
        caveats=(
            "the same for every class",
            "compares every two positions: layers of at most 8192",
            "the paper leaves the sign open: it is that of the mean activation; where channels average to nothing "
            "(behind a layer norm) the larger responses are positive",
        ),
    )
)
def kpca_cam(activation: Tensor, *, kernel: str = "sigmoid", gamma: float | None = None) -> Tensor:
    """The first kernel principal component of the positions' channel vectors; the sign agrees with the mean activation.

    ``activation`` [B, C, *positions]; values [B, *positions]. ``kernel`` is ``sigmoid`` (tanh(gamma a.b + 1)), ``rbf``
    (exp(-gamma |a - b|^2)) or ``linear``; ``gamma`` is 1 / C unless given. Channels are centred first. Raises
    `CapabilityError` for more than 8192 positions, every two of which would be compared.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="kpca-cam", layer="1").values.shape
    (6, 6)
    """
    count = activation[0, 0].numel()
    if count > _MOST:
        raise CapabilityError(
            f"kpca-cam compares every two of a layer's positions, and this one has {count} (at most {_MOST}): choose a "
            "later layer (seewhy layers), or eigen-cam, which compares channels"
        )
    # image by image: the matrices of one are large enough
    return torch.cat([_component(one[None], kernel, gamma) for one in activation])


def _component(activation: Tensor, kernel: str, gamma: float | None) -> Tensor:
    """The map of one image [1, C, *positions]."""
    vectors = activation.flatten(2).transpose(1, 2).double()
    vectors = vectors - vectors.mean(1, keepdim=True)
    if not bool(vectors.isfinite().all()):
        return torch.full_like(activation[:, 0], float("nan"))
    gram = _gram(vectors, kernel, 1 / activation.shape[1] if gamma is None else gamma)
    centred = gram - gram.mean(1, keepdim=True) - gram.mean(2, keepdim=True) + gram.mean((1, 2), keepdim=True)
    eigenvalue, top = top_eigenpair(centred)
    projected = top * eigenvalue[:, None].clamp(min=0).sqrt()
    return signed_like(projected.to(activation).reshape_as(activation[:, 0]), activation)


def _gram(vectors: Tensor, kernel: str, gamma: float) -> Tensor:
    inner = vectors @ vectors.mT
    if kernel == "linear":
        return inner
    if kernel == "sigmoid":
        return (gamma * inner + 1).tanh()
    if kernel == "rbf":
        square = inner.diagonal(dim1=1, dim2=2)
        return (-gamma * (square[:, :, None] + square[:, None] - 2 * inner)).exp()
    raise UnknownName("kernel", kernel, ("sigmoid", "rbf", "linear"), "seewhy methods kpca-cam")
