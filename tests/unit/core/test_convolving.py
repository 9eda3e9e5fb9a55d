"""Convolutions that oneDNN does in one call with what follows them: the same values and gradients as torch's own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.core.compile.building import Build, Steps
from seewhy.core.compile.convolution import Convolution, convolve
from seewhy.core.compile.export import export
from seewhy.core.compile.fusing import Packing
from seewhy.core.compile.onednn import FUSED
from seewhy.core.forward.agreement import gap
from seewhy.core.intercept.backward_rules import clipped

pytestmark = pytest.mark.skipif(FUSED is None, reason="this torch has no oneDNN")

RELU, RELU6 = (0.0, math.inf), (0.0, 6.0)
# kernel, stride, padding, dilation, groups, channels in and out, bounds, with a sum
CASES = {
    "plain": ((3, 3), (1, 1), (1, 1), (1, 1), 1, 5, 7, None, False),
    "relu of a sum": ((1, 1), (1, 1), (0, 0), (1, 1), 1, 16, 32, RELU, True),
    "depthwise relu6": ((3, 3), (1, 1), (1, 1), (1, 1), 16, 16, 16, RELU6, False),
    "groups": ((3, 2), (1, 1), (0, 1), (1, 1), 2, 8, 12, RELU, False),
    "dilated": ((3, 3), (1, 1), (2, 2), (2, 2), 1, 4, 8, RELU, True),
    "padded beyond its kernel": ((1, 1), (1, 1), (2, 2), (1, 1), 1, 4, 8, None, False),
    "stem": ((7, 7), (2, 2), (3, 3), (1, 1), 1, 3, 16, RELU, False),
    "stem of three by three": ((3, 3), (2, 2), (1, 1), (1, 1), 1, 3, 8, RELU6, False),
    "stem with inputs that nothing reads": ((2, 7), (3, 3), (0, 2), (1, 1), 1, 3, 4, None, True),
    "patches": ((4, 4), (4, 4), (0, 0), (1, 1), 1, 3, 8, None, False),
    "strided": ((3, 3), (2, 2), (1, 1), (1, 1), 1, 32, 16, RELU, True),
    "strided, in groups": ((3, 3), (2, 2), (1, 1), (1, 1), 8, 8, 8, RELU6, False),
    "strided along one axis": ((3, 3), (2, 1), (1, 1), (1, 1), 1, 3, 8, RELU, False),
    "in tiles": ((3, 3), (1, 1), (1, 1), (1, 1), 1, 5, 7, RELU, False),
    "in tiles, with a sum": ((3, 3), (1, 1), (0, 0), (1, 1), 1, 16, 24, RELU6, True),
    "in tiles, margins of two": ((3, 3), (1, 1), (2, 2), (1, 1), 1, 33, 20, None, True),
    "in tiles, forth alone": ((3, 3), (1, 1), (3, 1), (1, 1), 1, 4, 4, RELU, False),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_torch(case: str) -> None:
    kernel, stride, padding, dilation, groups, inner, outer, bounds, summed = CASES[case]
    make = torch.Generator().manual_seed(0)
    x = torch.randn(2, inner, 27, 22, generator=make).requires_grad_()
    weight = torch.randn(outer, inner // groups, *kernel, generator=make)
    bias = torch.randn(outer, generator=make)
    want = torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
    added = torch.randn(want.shape, generator=make).requires_grad_() if summed else None
    want = want if added is None else want + added
    want = want if bounds is None else want.clamp(*bounds)
    tensors = {"weight": weight, "bias": bias}
    packing = Packing("weight", "bias", 2, tiles=case.startswith("in tiles"))
    sizes = ((27, 22), (want.shape[2], want.shape[3]))
    how, packed, shift = packing.forth(Convolution(stride, padding, dilation, groups, bounds), *sizes, tensors)
    how, back = packing.back(how, *sizes, tensors)
    assert how.tiles == case.startswith("in tiles")
    assert (how.back is None) == (
        case
        in (
            "strided",
            "strided, in groups",
            "strided along one axis",
            "padded beyond its kernel",
            "in tiles, forth alone",
        )
    )
    assert how.back is None or how.back.tiles == how.tiles
    found = convolve(x, added, tensors[packed], tensors[str(shift)], tensors[back], how)
    assert gap(want, found) < 1e-4
    grad = torch.randn(want.shape, generator=make)
    asked = [x] if added is None else [x, added]
    for ours, theirs in zip(
        torch.autograd.grad(found, asked, grad), torch.autograd.grad(want, asked, grad), strict=True
    ):
        assert gap(theirs, ours) < 1e-4


@pytest.mark.parametrize("recorded", ["none", "all"])
@pytest.mark.parametrize(
    "function",
    [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-1, 1), nn.SiLU(), nn.Hardswish(), nn.LeakyReLU(0.2)],
    ids=lambda f: type(f).__name__,
)
@pytest.mark.parametrize("summed", [False, True], ids=["", "summed"])
@pytest.mark.parametrize("tiles", [False, True], ids=["", "tiles"])
def test_every_function_behind_a_convolution(function: nn.Module, summed: bool, recorded: str, tiles: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.function = nn.Conv2d(4, 4, 3, padding=1), function

        def forward(self, x: Tensor) -> Tensor:
            return self.function(self.conv(x) + x if summed else self.conv(x)).mean((2, 3))

    torch.manual_seed(0)
    net, x = Net().eval(), 3 * torch.randn(2, 4, 9, 9)
    program, counts = Build(export(net, x)).program([], recorded, Steps(True, True, True, tiles))
    assert (counts["fused"], counts["tiled"]) == (1, int(tiles))
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    (ours, theirs) = (run(each) for run, each in zip((program, net), inputs, strict=True))
    assert torch.allclose(ours, theirs, atol=1e-5)
    if recorded == "all":
        a, b = (
            torch.autograd.grad(out.square().sum(), each)[0] for out, each in zip((ours, theirs), inputs, strict=True)
        )
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("method", ["guided-backprop", "deconvnet"])
@pytest.mark.parametrize("function", [nn.ReLU(), nn.ReLU6()], ids=["relu", "relu6"])
def test_rules_reach_a_rectifier_inside_a_convolution(method: str, function: nn.Module) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, stride=2), function, nn.Conv2d(8, 8, 3), function, nn.Flatten(), nn.LazyLinear(3)]
    net, x = nn.Sequential(*layers).eval(), 5 * torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        net(x)
    exact, found = (seewhy.explain_all(net, x, method=method, target=1, prepare=mode) for mode in (False, True))
    assert found[0].provenance["prepared"]["fused"] == 2
    plain = seewhy.explain_all(net, x, method="saliency", target=1, prepare=True)
    for a, b, c in zip(exact, found, plain, strict=True):
        assert abs(a.values - b.values).max() <= 1e-5 * abs(a.values).max()
        assert abs(c.values - b.values).max() > 1e-2 * abs(a.values).max()


class Shared(nn.Module):
    """Gradients that two nodes are handed: of a plain sum, and of a sum that is fused."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(4))
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.b(x).relu(), self.a(x).relu()
        return self.c((self.d(x) + second if self.fused else second) + first)


@pytest.mark.parametrize("fused", [False, True])
def test_a_gradient_that_others_read_is_not_written_into(fused: bool) -> None:
    torch.manual_seed(0)
    net, x = Shared(fused).eval(), torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    program, counts = Build(export(net, x)).program([], "all", Steps(True, True, True))
    assert counts["fused"] == 3 + fused
    found, want = (torch.autograd.grad(run(leaf)[:, 0].sum(), leaf)[0] for run, leaf in _leaves(program, net, x))
    assert torch.allclose(found, want, atol=1e-6)


def test_a_gradient_that_nobody_else_reads_is_clipped_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    reused: list[bool] = []
    monkeypatch.setattr(
        "seewhy.core.compile.convolution.clipped",
        lambda *given, reuse: reused.append(reuse) or clipped(*given, reuse=reuse),
    )
    layers = [nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3), nn.ReLU6(), nn.Conv2d(3, 3, 3), nn.ReLU()]
    net, x = nn.Sequential(*layers).eval(), torch.randn(2, 3, 12, 12)
    program, _ = Build(export(net, x)).program([], "all", Steps(True, True, True))
    found, want = (torch.autograd.grad(run(leaf).square().sum(), leaf)[0] for run, leaf in _leaves(program, net, x))
    assert reused == [False, True, True]
    assert torch.allclose(found, want, atol=1e-5)


def _leaves(*given: Any) -> Iterator[tuple[Any, Tensor]]:
    """Every network but the last, which is the input, with a leaf of its own."""
    *nets, x = given
    return ((net, x.clone().requires_grad_()) for net in nets)
