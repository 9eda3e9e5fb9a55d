"""Winograd: takes a picture and the weights of a 3 x 3 convolution, gives the convolution with a quarter of the
multiplications; knows nothing of graphs.

Sixteen outputs, a tile of 4 x 4, are A' [(G g G') * (B' d B)] A for 6 x 6 inputs d and the weights g (Lavin and Gray
2016, arXiv:1509.09308): 36 products for every pair of channels instead of 144. The products of all tiles are one
grouped 1 x 1 convolution. Rounding is about four times that of the convolution itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.core.compile.onednn import Numbers, fused_call, pack
from seewhy.core.memory_budget import unmetered

__all__ = ["by_tiles", "pays", "tile_bias", "tile_weight"]

#: a tile's side, and that of what it is made of
_SIDE, _FROM = 4, 6

#: G of the paper
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)

#: the one of the 36 products that counts once in each of the 16 outputs
_EVERYWHERE = _FROM + 1

_PRODUCTS = Numbers(groups=_FROM * _FROM)

#: bytes of products at a time: with more, they have left the caches before they are read again
_TOGETHER = 16 * 2**20

#: fewer channels than this are not worth a measurement
_FEW = 64

#: a way is taken if it saves this share of the time; rounds of measuring
_GAIN, _ROUNDS = 0.05, 3

_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "none": lambda y: y,
    "relu": Tensor.relu_,
    "hardtanh": Tensor.clamp_,
    "sigmoid": Tensor.sigmoid_,
    "tanh": Tensor.tanh_,
    "swish": lambda y: F.silu(y, inplace=True),
    "hardswish": lambda y: F.hardswish(y, inplace=True),
    "leaky_relu": lambda y, slope: F.leaky_relu_(y, slope),
}


def tile_weight(weight: Tensor, out_size: tuple[int, int]) -> Tensor:
    """Weights [out, in, 3, 3] as `by_tiles` takes them: G g G', packed for maps of ``out_size`` (H, W) to come out; for
    others the same comes out, far slower."""
    out, inner = weight.shape[:2]
    g = torch.tensor(_KERNEL, dtype=torch.float64, device=weight.device)
    products = torch.kron(g, g) @ weight.detach().double().reshape(-1, 9).T
    kernels = products.reshape(_PRODUCTS.groups * out, inner, 1, 1).to(weight.dtype)
    return pack(kernels, (1, _PRODUCTS.groups * inner, *_band(max(inner, out), out_size)), _PRODUCTS)


def tile_bias(bias: Tensor) -> Tensor:
    """A bias [out] as `by_tiles` takes it."""
    spread = bias.new_zeros(_FROM * _FROM, len(bias))
    spread[_EVERYWHERE] = bias.detach()
    return spread.reshape(-1)


def by_tiles(
    x: Tensor,
    added: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    padding: tuple[int, int],
    function: str,
    numbers: list[Any],
) -> Tensor:
    """A function, in oneDNN's words, of the convolution of ``x`` [B, C, H, W] and of what is ``added``; ``weight`` and
    ``bias`` from `tile_weight` and `tile_bias`. Channels last in memory."""
    batch, inner, height, width = x.shape
    out = weight.shape[0] // _PRODUCTS.groups
    out_size = height + 2 * padding[0] - 2, width + 2 * padding[1] - 2
    band, across = _band(max(inner, out), out_size)
    down = _tiles(out_size[0])
    y = x.new_empty(batch, *out_size, out)
    pictures = max(1, _TOGETHER // (_bytes(max(inner, out), across) * down))
    with unmetered():  # what comes between is freed with every band
        for given, result in zip(torch.split(x.permute(0, 2, 3, 1), pictures), torch.split(y, pictures), strict=True):
            for first in range(0, _SIDE * down, _SIDE * band):
                # the last band may reach beyond the picture: for a smaller one oneDNN would pack the weights anew
                rows = slice(max(first - padding[0], 0), first + _SIDE * band + 2 - padding[0])
                margins = max(padding[0] - first, 0), padding[1]
                products = _products(_padded(given[:, rows], margins, band, across), weight, bias)
                part = result[:, first : first + _SIDE * band]
                columns = x.new_empty(len(part), part.shape[1], across, _FROM * out)
                _from_products(products, columns, 1)
                _from_products(columns, part, 2)
    y = y.permute(0, 3, 1, 2)
    return _FUNCTIONS[function](y if added is None else y.add_(added), *numbers)


def _products(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Of whole tiles [B, 4 down + 2, 4 across + 2, C] the products [B, down, across, 36 out]."""
    columns = _to_products(x, 2).flatten(3)
    given = _to_products(columns, 1).flatten(3).permute(0, 3, 1, 2)
    operation, arguments = fused_call(given, None, weight, bias, _PRODUCTS, "none", [])
    return operation(*arguments).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


def _band(channels: int, out_size: tuple[int, int]) -> tuple[int, int]:
    """How many rows of tiles at a time, and how many tiles in each, for maps of ``out_size`` (H, W) to come out."""
    down, across = map(_tiles, out_size)
    most = max(1, _TOGETHER // _bytes(channels, across))
    return -(-down // -(-down // most)), across


def _bytes(channels: int, across: int) -> int:
    """Of the products of a row of tiles, in float32."""
    return 4 * _PRODUCTS.groups * channels * across


def _tiles(outputs: int) -> int:
    """How many tiles cover so many outputs."""
    return -(-outputs // _SIDE)


def _padded(x: Tensor, margins: tuple[int, int], down: int, across: int) -> Tensor:
    """What so many tiles are made of: ``x`` [B, H, W, C] within zeros, of which ``margins`` say how many are above and
    to the left."""
    batch, height, width, channels = x.shape
    padded = x.new_empty(batch, _SIDE * down + 2, _SIDE * across + 2, channels)
    (top, left), bottom, right = margins, margins[0] + height, margins[1] + width
    for margin in (padded[:, :top], padded[:, bottom:], padded[:, top:bottom, :left], padded[:, top:bottom, right:]):
        margin.zero_()
    padded[:, top:bottom, left:right] = x
    return padded


def _to_products(x: Tensor, axis: int) -> Tensor:
    """B' along one axis: ``x`` [B, H, W, C], of which every tile reads six and the next begins four further, as
    [B, H, W, 6, C]."""
    tiles = x.shape[axis] // _SIDE
    d = [_every_fourth(x.narrow(axis, n, _SIDE * (tiles - 1) + 1), axis) for n in range(_FROM)]
    transformed = x.new_empty(*d[0].shape[:3], _FROM, x.shape[3])
    v = transformed.unbind(3)
    torch.sub(d[4], d[2], alpha=5, out=v[0]).add_(d[0], alpha=4)
    torch.sub(d[5], d[3], alpha=5, out=v[5]).add_(d[1], alpha=4)
    even, odd = torch.sub(d[4], d[2], alpha=4), torch.sub(d[3], d[1], alpha=4)
    torch.add(even, odd, out=v[1])
    torch.sub(even, odd, out=v[2])
    torch.sub(d[4], d[2], out=even)
    torch.sub(d[3], d[1], out=odd)
    torch.add(even, odd, alpha=2, out=v[3])
    torch.sub(even, odd, alpha=2, out=v[4])
    return transformed


def _every_fourth(x: Tensor, axis: int, first: int = 0) -> Tensor:
    """``x`` along ``axis``, a place in every tile."""
    return x[(slice(None),) * axis + (slice(first, None, _SIDE),)]


def _from_products(products: Tensor, y: Tensor, axis: int) -> None:
    """A' along one axis: of ``products`` [B, H, W, 6 C] the outputs, into ``y`` [B, H, W, C], as far as it reaches."""
    m = torch.unflatten(products, 3, (_FROM, -1)).unbind(3)
    sums, differences = (m[1] + m[2], m[3] + m[4]), (m[1] - m[2], m[3] - m[4])
    for place, (pair, factor, rest) in enumerate(
        ((sums, 1, m[0]), (differences, 2, None), (sums, 4, None), (differences, 8, m[5]))
    ):
        to = _every_fourth(y, axis, place)
        reach = to.shape[axis]  # the last tile may stand over
        torch.add(*(term.narrow(axis, 0, reach) for term in pair), alpha=factor, out=to)
        if rest is not None:
            to.add_(rest.narrow(axis, 0, reach))


#: what `pays` has found, by its arguments
decided: dict[tuple[int, int, tuple[int, int, int], int], bool] = {}


def pays(out: int, inner: int, out_shape: tuple[int, int, int], threads: int) -> bool:
    """Whether tiles are faster for ``inner`` to ``out`` channels and maps of ``out_shape`` [B, H, W] on so many
    ``threads``, measured once."""
    if min(out, inner) < _FEW or min(out_shape[1:]) < _SIDE:
        return False
    key = out, inner, out_shape, threads
    if key not in decided:
        decided[key] = _faster(out, inner, out_shape)
    return decided[key]


def _faster(out: int, inner: int, out_shape: tuple[int, int, int]) -> bool:
    """Whether tiles are faster, measured now."""
    x = torch.ones(out_shape[0], inner, *out_shape[1:]).contiguous(memory_format=torch.channels_last)
    weight, how = torch.ones(out, inner, 3, 3), Numbers((1, 1))
    tiles, packed = tile_weight(weight, out_shape[1:]), pack(weight, tuple(x.shape), how)
    operation, given = fused_call(x, None, packed, None, how, "relu", [])
    ways: tuple[Callable[[], Tensor], ...] = (
        lambda: operation(*given),
        lambda: by_tiles(x, None, tiles, None, how.padding, "relu", []),
    )
    times = [float("inf")] * 2
    with torch.inference_mode():
        for _ in range(1 + _ROUNDS):  # the first time round memory is taken
            for n, way in enumerate(ways):
                began = time.perf_counter()
                way()
                times[n] = min(times[n], time.perf_counter() - began)
            if times[1] > 2 * times[0]:
                break
    return times[0] / times[1] > 1 + _GAIN
