"""Filters: takes a model, gives the kernels of one of its convolutions as pictures; runs no network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

import seewhy.methods  # noqa: F401 - every method registers itself on import
from seewhy.api.answered.records import array, provenance
from seewhy.api.inside.checks import check_word
from seewhy.core.network.borrowed import Network
from seewhy.core.network.places import as_torch, find_place, place_name
from seewhy.errors import CapabilityError
from seewhy.explanation import Gallery, Status, Tile, columns_for
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.registry import methods as registry
from seewhy.render import DIVERGING, Colorbar, kernel

__all__ = ["filters"]

Pixels = NDArray[np.uint8]

#: of the largest weight shown: filters fainter than that stay faint
_FAINTEST = 1 / 20


def filters(
    model: Model | nn.Module | str,
    layer: str | nn.Module | None = None,
    *,
    top: int = 64,
    order: str = "norm",
    slices: int = 4,
    scale: str = "each",
) -> Gallery:
    """The kernels of a convolution as pictures, strongest first: a `Gallery`.

    ``layer``: a 2-D convolution by name or as a submodule, the first whose kernels are larger than 1x1 unless given.
    Kernels over the three channels of an image are drawn in colour, 0 as mid-grey; others as the ``slices`` input
    channels with the largest norm, each alone, blue below and red above 0. ``order`` is ``"norm"`` or ``"index"``,
    ``top`` the most to show. The ends of the colours are each filter's own largest weight (``scale="each"``: the norm
    is in the title; dead filters stay grey) or the largest of all shown (``"shared"``).

    ``values`` [n, P, kh, kw] are the weights shown, signed, as the model has them; a tile's ``index`` is its filter and
    its ``value`` the norm of the whole kernel; ``arrays["channels"]`` [n, P] are the input channels. Raises
    `CapabilityError` for layers without kernels of two axes, `UnknownName`, `UsageError`.

    Krizhevsky, Sutskever & Hinton 2012, section 6.1.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3))
    >>> seewhy.filters(net).values.shape, seewhy.filters(net, "2", slices=2).values.shape
    ((8, 3, 5, 5), (4, 2, 3, 3))
    """
    shared = check_word("scale", scale, ("shared", "each")) == "shared"
    wrapped = taken(model)
    network = wrapped.network()
    name, conv = _convolution(network, layer, wrapped.spec)
    weights = _weights(network, conv)
    shown, which, channels = registry["filters"].formula(weights, top=top, order=order, slices=slices)
    values, numbers, inputs = array(shown), which.tolist(), _inputs(conv, which.cpu(), channels.cpu())
    norms = array(torch.linalg.vector_norm(weights, dim=(1, 2, 3)))
    colour = conv.in_channels == 3 and conv.groups == 1
    cmap = "gray" if conv.in_channels == 1 else DIVERGING
    largest = [float(np.abs(weight[np.isfinite(weight)]).max(initial=0.0)) for weight in values]
    most = max(largest)
    # a dead filter's rounding errors are no pattern: faint ones stay faint
    ends = [most if shared else max(own, most * _FAINTEST) for own in largest]
    tiles = tuple(
        _tile(kernel(weight, limit=end, colour=colour, cmap=cmap), number, float(norms[number]), () if colour else read)
        for weight, end, number, read in zip(values, ends, numbers, inputs, strict=True)
    )
    size = "×".join(map(str, conv.kernel_size))
    return Gallery(
        title=f"{wrapped.name}: {name}, {conv.out_channels} filters of {size} over {_over(conv)}",
        tiles=tiles,
        values=values,
        columns=columns_for(len(tiles)),
        cell=96 if colour else 128,
        colorbar=Colorbar(cmap, -most, most, "weight") if shared and not colour and most > 0 else None,
        arrays={"channels": np.asarray(inputs), "norms": norms},
        notes=_notes(conv, len(tiles), order, shared, slices, colour),
        status=Status() if np.isfinite(norms).all() else Status("non-finite", "the weights hold NaN or infinity"),
        parameters={"layer": name, "top": top, "order": order, "slices": slices, "scale": scale},
        provenance=provenance(wrapped, weights),
    )


def _convolution(network: Network, layer: str | nn.Module | None, spec: str) -> tuple[str, nn.Conv2d]:
    """The layer asked for, or the first that can be drawn; raises `CapabilityError` for one that cannot."""
    parts = {name: as_torch(network.module, part) for name, part in network.module.named_modules()}
    drawable = {name: part for name, part in parts.items() if isinstance(part, nn.Conv2d) and _reason(part) == ""}
    if layer is None:
        if not drawable:
            raise CapabilityError(
                f"filters draws the kernels of 2-D convolutions larger than 1x1; this {type(network.module).__name__} "
                "has none: see what its layers respond to with feature-maps"
            )
        name = next(iter(drawable))
        return name, drawable[name]
    name = place_name(network.module, layer)
    place = find_place(network.module, name, spec)
    part = as_torch(network.module, place.module)
    if reason := _reason(part):
        inside = next((candidate for candidate in drawable if candidate.startswith(f"{place.name}.")), None)
        near = inside or next(iter(drawable), None)
        hint = f"take {near!r} (layer={near!r})" if near else "this model has no layer that does"
        raise CapabilityError(f"filters draws the kernels of 2-D convolutions; layer {name!r} {reason}: {hint}")
    assert isinstance(part, nn.Conv2d)
    return place.name, part


def _reason(part: nn.Module) -> str:
    """Why ``part`` has no kernels to draw; empty if it has."""
    if not isinstance(part, nn.Conv2d):
        return f"is a {type(part).__name__}"
    return "has kernels of 1×1, a number a channel" if tuple(part.kernel_size) == (1, 1) else ""


def _weights(network: Network, conv: nn.Conv2d) -> Tensor:
    """The kernels [O, I / groups, kh, kw]; computed as in eval mode where they are a function of others."""
    with torch.no_grad():
        if not parametrize.is_parametrized(conv, "weight"):
            return conv.weight.detach()
        with network.borrowed(), torch.no_grad():
            network.keep_buffers()  # reading them may change one
            return conv.weight.detach().clone()


def _inputs(conv: nn.Conv2d, which: Tensor, channels: Tensor) -> list[list[int]]:
    """The layer's input channels that the shown planes read: a group's filters read their own share of them."""
    first = which.div(conv.out_channels // conv.groups, rounding_mode="floor") * (conv.in_channels // conv.groups)
    return (first[:, None] + channels).tolist()


def _tile(pixels: Pixels, number: int, norm: float, inputs: Sequence[int]) -> Tile:
    words = f"input{'s' if len(inputs) > 1 else ''} {', '.join(map(str, inputs))}" if inputs else ""
    return Tile(pixels, (f"filter {number}", f"norm {norm:.3g}", words), number, norm)


def _over(conv: nn.Conv2d) -> str:
    read = conv.in_channels // conv.groups
    return f"{read} input channel{'' if read == 1 else 's'}" + (f" in {conv.groups} groups" if conv.groups > 1 else "")


def _notes(conv: nn.Conv2d, count: int, order: str, shared: bool, slices: int, colour: bool) -> tuple[str, ...]:
    number = f"{count} of {conv.out_channels} filters" if count < conv.out_channels else "all filters"
    first = "largest norm first" if order == "norm" else "in the order of the layer"
    own = f"each filter has its own scale, down to {_FAINTEST:.0%} of the strongest one's"
    scale = "one scale for all" if shared else own
    zero = "mid-grey is 0" if colour or conv.in_channels == 1 else "red above 0, blue below"
    read = conv.in_channels // conv.groups
    parts = f"; of each the {slices} input channels with the largest norm" if read > slices and not colour else ""
    return (f"{number}, {first}{parts}; {zero}, {scale}",)
