"""Layers that run several times: the call that is explained is one that the picture reaches, or is refused in a line that
names one that it does; compared with Grad-CAM by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.errors import CapabilityError


class Siamese(nn.Module):
    """A backbone that sees the picture, then a stored one; its score is how alike they are."""

    def __init__(self, first: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = first
        self.f = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.register_buffer("stored", torch.randn(1, 3, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        both = [self.f(each) for each in ((x, self.stored) if self.first else (self.stored, x))]
        a, b = both if self.first else both[::-1]
        return torch.stack([(a * b).mean((1, 2, 3)), -(a - b).pow(2).mean((1, 2, 3))], 1)


def _picture(count: int = 1) -> Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def _cam(net: Siamese, x: Tensor, k: int) -> np.ndarray:
    a, b = net.f(x).detach().requires_grad_(), net.f(net.stored).detach()
    score = (a * b).mean() if k == 0 else -(a - b).pow(2).mean()
    (gradient,) = torch.autograd.grad(score, a)
    return (gradient.mean((2, 3), keepdim=True) * a).sum(1)[0].detach().numpy()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("method", ["grad-cam", "score-cam", "eigen-cam", "saliency", "internal-influence"])
@pytest.mark.parametrize(("name", "instead"), [("f", "f#1"), ("f#2", "f#1"), ("f.2", "f.2#1"), ("f[in]", "f[in]#1")])
def test_a_call_on_something_stored_is_refused(name: str, instead: str, method: str, count: int) -> None:
    net, x = Siamese().eval(), _picture(count)
    for _ in range(2):  # what is remembered as well
        with pytest.raises(CapabilityError) as raised:
            seewhy.explain_all(net, x, method=method, target=0, layer=name)
        assert f"layer={instead!r}" in str(raised.value)
        assert "\n" not in str(raised.value)
    seewhy.explain_all(net, x, method="grad-cam", target=0, layer=instead)


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("k", [0, 1])
def test_the_call_that_is_named_instead_is_the_picture_s(k: int, prepare: bool) -> None:
    net, x = Siamese().eval(), _picture()
    e = seewhy.explain(net, x, target=k, layer="f#1", prepare=prepare)
    assert e.values == pytest.approx(_cam(net, x, k), rel=1e-4, abs=1e-7)
    other = Siamese(first=False).eval()  # the last call is the picture's
    assert seewhy.explain(other, x, target=k, layer="f").values == pytest.approx(_cam(other, x, k), rel=1e-4, abs=1e-7)


def test_how_a_layer_is_read_does_not_make_it_the_picture_s() -> None:
    reshape: Callable[[Any], Any] = lambda a: a  # noqa: E731
    with pytest.raises(CapabilityError, match="layer='f#1'"):
        seewhy.explain(Siamese().eval(), _picture(), target=0, layer="f", reshape=reshape)


def test_a_unit_of_a_call_on_something_stored_is_refused() -> None:
    with pytest.raises(CapabilityError, match="layer='f#1'"):
        seewhy.explain(Siamese().eval(), _picture(), method="saliency", target=seewhy.targets.Neuron("f", 1))


class Stored(nn.Module):
    """A layer that no picture reaches at all."""

    def __init__(self) -> None:
        super().__init__()
        self.other, self.own = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.register_buffer("stored", torch.randn(1, 3, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        return (self.own(x) + self.other(self.stored)).mean((2, 3))


def test_a_layer_that_no_picture_reaches_says_so() -> None:
    with pytest.raises(CapabilityError, match="no call of it does"):
        seewhy.explain(Stored().eval(), _picture(), target=0, layer="other")


class Cut(Siamese):
    """Records no graph of its backbone, whose units answer to the picture all the same."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            a = self.f(x)
        return a.mean((2, 3))


def test_parts_without_a_graph_and_dead_ones_are_reached() -> None:
    assert seewhy.explain(Cut().eval(), _picture(), method="eigen-cam", target=0, layer="f").values.shape == (16, 16)
    dead = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    dead[0].bias.data.fill_(-1e3)
    assert seewhy.explain(dead, _picture(), target=0, layer="1").values.shape == (14, 14)
