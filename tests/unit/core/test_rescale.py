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
    """Values one or a few roundings apart: the slope, and no ratio of what rounding left."""
    start = torch.linspace(0.1, 0.9, 192).reshape(1, 3, 8, 8)
    x = torch.nextafter(start, torch.ones(()))
    found = _map(_Small(function, 1.0), x, baseline=start) / (x - start)[0]
    at = (x - 0.5).requires_grad_()
    (slope,) = torch.autograd.grad(function(at).sum(), at)
    assert torch.allclose(found, slope[0], rtol=1e-4)


@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.Softplus, nn.Mish, nn.LogSigmoid])
@pytest.mark.parametrize("step", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
def test_near_the_baseline_in_single_precision(activation: type[nn.Module], step: float) -> None:
    """The map of float32 is that of float64, from far away to next to the baseline."""
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 6, 3), activation(), nn.Conv2d(6, 6, 3), activation()]
    net = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)).eval()
    start = torch.rand(1, 3, 12, 12)
    x = start + step * torch.randn(1, 3, 12, 12)
    single = seewhy.explain(net, x, method="deep-lift", target=0, reduce="none", baseline=start)
    double = seewhy.explain(
        net.double(), x.double(), method="deep-lift", target=0, reduce="none", baseline=start.double()
    )
    assert abs(single.values - double.values).max() <= 1e-3 * abs(double.values).max()
    assert abs(float(double.error)) <= 1e-6 * abs(double.values).sum()
