"""DeepLIFT's ratios: taken wherever two values differ by more than rounding, whatever their scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
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


class _Batches(nn.Module):
    """Two convolutions and a linear layer, which run as ``way`` says."""

    def __init__(self, way: Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 3)
        self.way = way

    def body(self, x: Tensor) -> Tensor:
        """Scores of one batch."""
        return self.head(F.max_pool2d(torch.relu(self.two(torch.relu(self.one(x)))), 2).mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self.body, x)


def _batches(way: Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]) -> _Batches:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return _Batches(way).eval()


def _by_hand(net: _Batches, x: Tensor, start: Tensor, k: int) -> Tensor:
    """The rescale rule in float64 of one picture [1, C, H, W] through ``body`` once, written out layer by layer."""
    (a, b), (v, w) = (x.double(), start.double()), (net.one.weight.double(), net.two.weight.double())
    first = [F.conv2d(each, v, net.one.bias.double(), padding=1) for each in (a, b)]
    second = [F.conv2d(each.clamp(min=0), w, net.two.bias.double(), padding=1) for each in first]
    tops = [each.clamp(min=0) for each in second]
    windows = [each.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4) for each in tops]
    (high, at), (high_start, at_start) = (each.max(-1) for each in windows)
    each_place = net.head.weight[k].double()[None, :, None, None] / high[0, 0].numel()
    most, apart = torch.maximum(high, high_start), windows[0] - windows[1]
    lifted = torch.zeros_like(windows[0])
    for place, gain in ((at, most - high_start), (at_start, high - most)):
        risen = apart.gather(4, place[..., None])[..., 0]
        part = torch.where(gain != 0, each_place * gain / torch.where(risen == 0, 1.0, risen), 0.0)
        lifted.scatter_add_(4, place[..., None], part[..., None])
    size = high.shape[2:]
    m = lifted.unflatten(4, (2, 2)).permute(0, 1, 2, 4, 3, 5).reshape(1, -1, 2 * size[0], 2 * size[1])
    for (z, z_start), weight in ((second, w), (first, v)):
        m = m * (z.clamp(min=0) - z_start.clamp(min=0)) / (z - z_start)
        m = F.conv_transpose2d(m, weight, padding=1)
    return (m * (a - b))[0].detach()


def _halves(body: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    one, two = body(torch.cat([x, x.flip(-1)])).chunk(2)
    return (one + two) / 2


def _turned(body: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return body(torch.stack([x, x.flip(-1)], 1).flatten(0, 1)).unflatten(0, (-1, 2)).mean(1)


def _noisy(body: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return body(x) + torch.relu(torch.randn(1, 3))


WAYS: dict[str, Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]] = {
    "at once": lambda body, x: body(x),
    "one by one": lambda body, x: torch.cat([body(each[None]) for each in x]),
    "last first": lambda body, x: body(x.flip(0)).flip(0),
    "in two parts": lambda body, x: torch.cat([body(part) for part in x.chunk(2)]),
    "with its mirror image, halves": _halves,
    "with its mirror image, in turn": _turned,
    "with something beside it": lambda body, x: body(torch.cat([x, torch.ones_like(x[:1])]))[: len(x)],
    "with the same random numbers": _noisy,
}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("way", WAYS)
def test_a_network_may_do_with_its_batch_as_it_likes(way: str, count: int) -> None:
    """Every input has its own baseline, whatever goes through the network beside it, in whatever order."""
    net, draw = _batches(WAYS[way]), torch.Generator().manual_seed(count)
    x, start = torch.rand(2, count, 3, 8, 12, generator=draw)
    found = seewhy.explain_all(net, x, method="deep-lift", target=1, reduce="none", baseline=start)
    for each, picture, reference in zip(found, x, start, strict=True):
        right = _by_hand(net, picture[None], reference[None], 1)
        if "mirror" in way:
            right = (right + _by_hand(net, picture[None].flip(-1), reference[None].flip(-1), 1).flip(-1)) / 2
        assert np.abs(each.values - right.numpy()).max() <= 1e-4 * float(right.abs().max())
        assert each.status.code == "ok"
        assert abs(float(each.error)) <= 1e-5


def test_what_is_rewritten_later_is_compared_as_it_was() -> None:
    def rewriting(body: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        z = 3 * x - 1
        out = torch.relu_(z.clone())
        inner = z * 1
        clipped = torch.sigmoid(inner).sum((2, 3))
        with torch.no_grad():
            z.zero_()
        return out.sum((2, 3)) + clipped

    x, start = torch.rand(2, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = _map(_batches(rewriting).double(), x, baseline=start)
    a, b = (3 * x - 1)[0], (3 * start - 1)[0]
    right = torch.zeros_like(a)
    right[0] = (a.clamp(min=0) - b.clamp(min=0) + a.sigmoid() - b.sigmoid())[0]
    assert torch.allclose(found, right, atol=1e-9)


def test_another_way_for_the_baseline_is_refused() -> None:
    def choosing(body: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return body(x) if bool(x.sum() > 100) else body(torch.relu(x - 0.5))

    net, x = _batches(choosing), torch.ones(1, 3, 8, 12)
    with pytest.raises(seewhy.errors.CapabilityError, match=r"deep-lift compares every activation with the baseline's"):
        _map(net, x, baseline=0.0)
    assert _map(net, x, baseline=0.9).isfinite().all()


@pytest.mark.parametrize("pool", [lambda z: F.max_pool2d(z, 2), lambda z: F.adaptive_max_pool2d(z, 1)])
def test_places_that_differ_by_rounding_win_alike(pool: Callable[[Tensor], Tensor]) -> None:
    """An even baseline gives one value everywhere, but for what the machine adds up first: the first place wins."""
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    even = torch.full_like(x, 0.7)
    right = _map(_Small(pool, 1.0), x, baseline=even)
    for seed in range(4):
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
        found = _map(_Small(pool, 1.0), x, baseline=even * (1 + 2e-7 * noise))
        assert torch.allclose(found, right, atol=1e-5)


@pytest.mark.parametrize("step", [torch.round, torch.floor, torch.ceil, torch.trunc, torch.sign, Tensor.round_])
def test_steps_are_functions_like_any_other(step: Callable[[Tensor], Tensor]) -> None:
    """Their gradient is 0 everywhere, their ratio is not: what is told adds up to what the score changed by."""
    torch.manual_seed(0)
    weights, start = torch.randn(1, 3, 4, 4, dtype=torch.float64), torch.full((1, 3, 4, 4), -0.4, dtype=torch.float64)
    x = 2 * torch.rand(1, 3, 4, 4, dtype=torch.float64) + 0.6

    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (step(3 * x) * weights).flatten(1).sum(1, keepdim=True)

    found = _map(Net(), x, baseline=start)
    expected = (step(3 * x) - step(3 * start)) * weights
    assert torch.allclose(found, expected[0], rtol=1e-9)
    assert float(expected.abs().sum()) > 1
