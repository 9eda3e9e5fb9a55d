"""Packing: takes a convolution's weights and the sizes of its maps, gives the way in which it is computed fastest and
the weights in the order in which that reads them; changes no graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seewhy.core.graph.assembling import kept
from seewhy.core.graph.convolving import Convolution
from seewhy.core.graph.onednn import Numbers, pack
from seewhy.core.graph.winograd import pays, tile_bias, tile_weight

__all__ = ["Fused", "Packing"]

#: so many pixels, and no side longer, say which way is faster for more of them
_PIXELS, _SIDE = 8192, 128


@dataclass(frozen=True)
class Packing:
    """How one convolution's ``weight`` and ``bias``, known by their names, are packed: for a ``batch`` of pictures;
    with ``tiles``, 3 x 3 convolutions are computed by Winograd's algorithm where that is faster.

    What is made is put among the ``tensors`` handed over, once. None are held: graphs live until they are collected.
    """

    weight: str
    bias: str | None
    batch: int
    tiles: bool

    def forth(
        self, how: Convolution, read: tuple[int, int], made: tuple[int, int], tensors: dict[str, Tensor]
    ) -> tuple[Convolution, str, str | None]:
        """The convolution from maps of ``read`` (H, W) to ones of ``made``, and the names of its weights and bias."""
        how, weight = self._best("packed", how, how, tensors[self.weight], read, made, tensors)
        if self.bias is None or not how.tiles:
            return how, weight, self.bias
        return how, weight, kept(f"{self.bias}.in tiles", tensors, partial(tile_bias, tensors[self.bias]))

    def back(
        self, how: Convolution, read: tuple[int, int], made: tuple[int, int], tensors: dict[str, Tensor]
    ) -> tuple[Convolution, str]:
        """The same with its way back to the gradient at what it reads, and the name of the weights of that."""
        way = how.reversed(tensors[self.weight].detach())
        if way is None:
            return how, self.weight
        best, name = self._best("turned", how, *way, made, read, tensors)
        return replace(how, back=best), name

    def _best(
        self,
        word: str,
        asked: Convolution,
        how: Convolution,
        weight: Tensor,
        read: tuple[int, int],
        made: tuple[int, int],
        tensors: dict[str, Tensor],
    ) -> tuple[Convolution, str]:
        # one weight may serve several convolutions, which move in other ways
        word = f"{word} of {tuple(asked.numbers)}"
        if self.tiles and _by_tiles(how, weight, self.batch, made):
            name = f"{self.weight}.{word} in tiles for {made}"
            return replace(how, tiles=True), kept(name, tensors, partial(tile_weight, weight, made))
        size = self.batch, weight.shape[1] * how.groups, *read
        name = f"{self.weight}.{word} for {size}"
        return replace(how, tiles=False), kept(name, tensors, partial(pack, weight, size, how.numbers))


def _by_tiles(how: Convolution, weight: Tensor, batch: int, made: tuple[int, int]) -> bool:
    """Whether Winograd's algorithm is for such a convolution, and faster."""
    if how.numbers._replace(padding=(0, 0)) != Numbers() or weight.shape[2:] != (3, 3):
        return False
    height, width = (min(n, _SIDE) for n in made)
    pictures = min(batch, max(1, _PIXELS // (height * width)))
    return pays(weight.shape[0], weight.shape[1], (pictures, height, width), torch.get_num_threads())


@dataclass(frozen=True, eq=False)
class Fused:
    """What a fused node computes: a function, in oneDNN's words, of a convolution and of what may be added."""

    packing: Packing
    how: Convolution
    function: str
    numbers: list[Any]

    def of_patches(
        self, size: tuple[int, int], tensors: dict[str, Tensor]
    ) -> Callable[[Tensor, Tensor | None], Tensor]:
        """The same, of patches that bring along what lies around them, to ones of ``size`` (H, W)."""
        kernel = tensors[self.packing.weight].shape[2:]
        each = zip(self.how.stride, self.how.dilation, kernel, size, strict=True)
        height, width = (s * (n - 1) + d * (k - 1) + 1 for s, d, k, n in each)
        how, weight, bias = self.packing.forth(replace(self.how, padding=(0, 0)), (height, width), size, tensors)
        packed, shift = tensors[weight], None if bias is None else tensors[bias]
        return lambda x, added: how.run(x, packed, shift, added, self.function, self.numbers)
