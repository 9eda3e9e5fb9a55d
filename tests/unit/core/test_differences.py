"""DeepLIFT's ratios: taken wherever two values differ by more than rounding, whatever their scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seewhy


class _Small(nn.Module):
    """A function of values ``scale`` times as small, its result ``scale`` times as large."""

    def __init__(self, function: Callable[[Tensor], Tensor], scale: float) -> None:
        super().__init__()
        self.function, self.scale = function, scale

    def forward(self, x: Tensor) -> Tensor:
        """One score [B, 1] of images [B, C, H, W]."""
        return (self.function((x - 0.5) * self.scale) / self.scale).flatten(1).sum(1, keepdim=True)


def _map(net: nn.Module, x: Tensor, **options: Any) -> Tensor:
    return torch.as_tensor(seewhy.explain(net, x, method="deep-lift", target=0, reduce="none", **options).values)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-7, 1e-12])
def test_a_kink_between_two_small_values_is_seen(scale: float, dtype: torch.dtype) -> None:
    """From 0.25 to 1 around a kink at 0.5 a rectifier's ratio is 2/3 (its gradient 1)."""
    x, start = torch.ones(1, 3, 8, 8, dtype=dtype), torch.full((1, 3, 8, 8), 0.25, dtype=dtype)
    found = _map(_Small(torch.relu, scale).to(dtype), x, baseline=start)
    assert torch.allclose(found, torch.full_like(found, 0.5), rtol=1e-5)


@pytest.mark.parametrize("function", [torch.sigmoid, torch.nn.functional.gelu])
def test_no_ratio_of_rounding_errors(function: Callable[[Tensor], Tensor]) -> None:
    """Values one or a few roundings apart: the slope, and no more than two of sixteen roundings away from it."""
    start = torch.linspace(0.1, 0.9, 192).reshape(1, 3, 8, 8)
    x = torch.nextafter(start, torch.ones(()))
    found = _map(_Small(function, 1.0), x, baseline=start) / (x - start)[0]
    at = (x - 0.5).requires_grad_()
    (slope,) = torch.autograd.grad(function(at).sum(), at)
    assert torch.allclose(found, slope[0], rtol=2 / 16)
