"""Looking into a network for the references: takes a module, one image and a class, gives arrays; imports nothing of
the library under test.

Everything is float64 and one image at a time. The hook runs for the length of one forward.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Probe", "bilinear", "noise"]


@dataclass(frozen=True)
class Probe:
    """What a reference is given: a network, one image [1, C, H, W], a class, a layer (``name`` or ``name#k``)."""

    net: nn.Module
    x: Tensor
    k: int
    layer: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)

    def score(self, x: Tensor | None = None) -> float:
        """The class's logit."""
        with torch.no_grad():
            return float(self.net((self.x if x is None else x).clone())[0, self.k])

    def logits(self) -> np.ndarray:
        """All logits, [K]."""
        with torch.no_grad():
            return self.net(self.x.clone())[0].numpy()

    def input_gradient(self, x: Tensor | None = None) -> np.ndarray:
        """d logit / d input, [C, H, W], at ``x``."""
        leaf = (self.x if x is None else x).detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self.net(leaf.clone())[0, self.k], leaf)
        return gradient[0].numpy()

    def at_layer(
        self, x: Tensor | None = None, *, layer: str = "", score: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(activation, gradient) [C, h, w] of the layer."""
        leaf, out = self.open(x, layer=layer)
        total = out[0, self.k] if score is None else score(out[0])
        (gradient,) = torch.autograd.grad(total, leaf)
        return leaf.detach()[0].numpy(), gradient[0].numpy()

    def open(self, x: Tensor | None = None, *, layer: str = "") -> tuple[Tensor, Tensor]:
        """(activation, scores) with a graph from one to the other."""
        leaves: list[Tensor] = []

        def take(activation: Tensor) -> Tensor:
            leaves.append(activation.detach().clone().requires_grad_())
            return leaves[0]

        out = self._forward(self.x if x is None else x, layer or self.layer, take)
        return leaves[0], out

    def score_with(self, change: Callable[[np.ndarray], np.ndarray]) -> float:
        """The logit when the layer puts out ``change(activation)``."""
        out = self._forward(self.x, self.layer, lambda a: torch.from_numpy(change(a[0].numpy().copy()))[None])
        return float(out[0, self.k].detach())

    def run_with(self, activation: Tensor) -> Tensor:
        """The logits when the layer puts out ``activation`` [1, C, h, w], with a graph from it on."""
        return self._forward(self.x, self.layer, lambda _: activation)

    def unit_gradient(self, x: Tensor, at: tuple[int, ...]) -> np.ndarray:
        """d unit / d input, [C, H, W], of the unit ``at`` of what the layer gave last."""
        found: list[Tensor] = []
        handle = self.net.get_submodule(self.layer.partition("#")[0]).register_forward_hook(
            lambda m, args, out: found.append(out.clone())
        )
        leaf = x.detach().clone().requires_grad_()
        try:
            self.net(leaf.clone())
        finally:
            handle.remove()
        return torch.autograd.grad(found[-1][(0, *at)], leaf)[0][0].numpy()

    def _forward(self, x: Tensor, layer: str, swap: Callable[[Tensor], Tensor]) -> Tensor:
        name, _, number = layer.partition("#")
        module = self.net.get_submodule(name)
        wanted = int(number) if number else self._calls(module)
        count = 0

        def hook(_: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor | None:
            nonlocal count
            count += 1
            if count != wanted:
                return None
            torch.set_grad_enabled(True)
            value = swap(out.detach())
            if out is args[0]:  # in place: others may hold the same tensor
                out.copy_(value)
                return None
            return value.clone()

        handle = module.register_forward_hook(hook)
        try:
            with torch.no_grad():
                return self.net(x.clone())
        finally:
            handle.remove()

    def _calls(self, module: nn.Module) -> int:
        count = 0

        def hook(*_: object) -> None:
            nonlocal count
            count += 1

        handle = module.register_forward_hook(hook)
        try:
            with torch.no_grad():
                self.net(self.x.clone())
        finally:
            handle.remove()
        return count


def bilinear(map_: np.ndarray, height: int, width: int) -> np.ndarray:
    """``map_`` [h, w] at [height, width], corners not aligned, pixel by pixel."""
    if map_.shape == (height, width):
        return map_.copy()
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            (top, bottom, down), (left, right, across) = (
                _between(y, map_.shape[0], height),
                _between(x, map_.shape[1], width),
            )
            upper = (1 - across) * map_[top, left] + across * map_[top, right]
            lower = (1 - across) * map_[bottom, left] + across * map_[bottom, right]
            out[y, x] = (1 - down) * upper + down * lower
    return out


def _between(at: int, n: int, m: int) -> tuple[int, int, float]:
    """The two cells of ``n`` that pixel ``at`` of ``m`` lies between, and how far along."""
    place = max((at + 0.5) * n / m - 0.5, 0.0)
    low = min(int(place), n - 1)
    return low, min(low + 1, n - 1), place - low


def noise(x: Tensor, index: int, shape: tuple[int, ...], family: str, seed: int) -> np.ndarray:
    """The documented draw: standard normal float32 from a generator seeded by a hash of (values, family, seed,
    index)."""
    key = hashlib.blake2b(x[0].to(torch.float32).contiguous().numpy().tobytes(), digest_size=16).digest()
    word = hashlib.blake2b(key + f"|{family}|{seed}|{index}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(word, "little") >> 1)
    return torch.randn(shape, generator=generator).double().numpy()
