"""Filters: takes a convolution's weights, gives the kernels to look at, strongest first."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.errors import UsageError
from seewhy.registry import Card, method

__all__ = ["filters"]


@method(
    Card(
        name="filters",
        family="inside",
        paper="Krizhevsky, Sutskever & Hinton 2012, ImageNet Classification with Deep CNNs, section 6.1",
        formula="W_o in the order of |W_o|; of more than 3 input channels the slices W_oi with the largest |W_oi|",
        unit="weight",
        cost="no forward",
        at="layer",
        discriminative=False,
        call="filters",
        use="edges, colours and noise in a first layer: whether it is trained, and for long enough",
        caveats=("a deeper filter reads features, not colours: its slices say little by themselves",),
    )
)
def filters(weights: Tensor, *, top: int = 64, order: str = "norm", slices: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """The kernels of a layer: pictures, which filter each is of, and of which of its input channels.

    ``weights`` [O, I, kh, kw] to pictures [n, P, kh, kw], filters [n] and channels [n, P] with n the ``top`` filters
    at most, in the order of their norm (``order="norm"``, strongest first) or of the layer (``"index"``). Filters of
    one or three input channels (a grey or a colour image) keep them all, P = I, in their order; of others P is the
    ``slices`` input channels with the largest norm, strongest first. Values are the weights, signed, unscaled. Raises
    `UsageError` for numbers under one and another order.

    >>> import torch, seewhy
    >>> gallery = seewhy.filters(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5)), top=2)
    >>> gallery.values.shape
    (2, 3, 5, 5)
    """
    if top < 1 or slices < 1:
        raise UsageError(f"top={top}, slices={slices}: at least one of each, e.g. top=64")
    if order not in ("norm", "index"):
        raise UsageError(f"order={order!r}: 'norm' (strongest first) or 'index' (as in the layer)")
    size = torch.linalg.vector_norm(weights, dim=(1, 2, 3))
    chosen = size.argsort(descending=True, stable=True) if order == "norm" else torch.arange(len(size)).to(size.device)
    kept = weights[chosen[:top]]
    if weights.shape[1] in (1, 3):
        return kept, chosen[:top], torch.arange(weights.shape[1]).expand(len(kept), -1)
    sizes = torch.linalg.vector_norm(kept, dim=(2, 3))
    channels = sizes.argsort(dim=1, descending=True, stable=True)[:, :slices]
    index = channels[:, :, None, None].expand(-1, -1, *weights.shape[2:])
    return kept.gather(1, index), chosen[:top], channels
