"""Windows followed through a network: every kind of layer, every border, against the whole network in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
from seewhy.core.compile.building import Build, Steps
from seewhy.core.compile.export import export
from seewhy.core.compile.window_extents import Extent, Kernel
from seewhy.core.compile.windows import WindowPlan, Windows, plan_windows


class Of(nn.Module):
    """Layers given by a function of them, then a mean and scores."""

    def __init__(self, layers: dict[str, nn.Module], forward: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.layers, self.of = nn.ModuleDict(layers), forward

    def forward(self, x: Tensor) -> Tensor:
        x = self.of(self.layers, x)
        return x.flatten(2).mean(2) if x.ndim == 4 else x


def _conv(a: int, b: int, k: int, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(a, b, k, **more)


NETS: dict[str, Callable[[], nn.Module]] = {
    "convolutions": lambda: Of({"a": _conv(3, 4, 3), "b": _conv(4, 5, 5, padding=2), "c": _conv(5, 4, 3, stride=2, padding=1)}, lambda m, x: m["c"](m["b"](m["a"](x)).relu()).relu()),
    "dilation": lambda: Of({"a": _conv(3, 4, 3, dilation=2, padding=2), "b": _conv(4, 4, 3, padding=(0, 1), stride=(1, 2))}, lambda m, x: m["b"](m["a"](x).tanh())),
    "depthwise": lambda: Of({"a": _conv(3, 6, 1), "b": _conv(6, 6, 3, padding=1, groups=6, stride=2), "c": _conv(6, 4, 1)}, lambda m, x: F.hardswish(m["c"](F.relu6(m["b"](m["a"](x)))))),
    "even kernels": lambda: Of({"a": _conv(3, 4, 4, padding=1), "b": _conv(4, 4, 2, stride=2)}, lambda m, x: m["b"](m["a"](x)).sigmoid()),
    "max pools": lambda: Of({"a": _conv(3, 4, 3, padding=1)}, lambda m, x: F.max_pool2d(F.max_pool2d(m["a"](x), 3, 2, padding=1), 2)),
    "mean pools": lambda: Of({"a": _conv(3, 4, 3)}, lambda m, x: F.avg_pool2d(F.avg_pool2d(m["a"](x), 3, 1, padding=1), 2, 2)),
    "pools not counting their padding": lambda: Of({"a": _conv(3, 8, 3), "b": _conv(8, 4, 3)}, lambda m, x: m["b"](F.avg_pool2d(m["a"](x), 3, 1, padding=1, count_include_pad=False))),
    "ceiling pools": lambda: Of({"a": _conv(3, 8, 3), "b": _conv(8, 4, 2)}, lambda m, x: m["b"](F.max_pool2d(m["a"](x), 2, 2, ceil_mode=True))),
    "residual": lambda: Of({"a": _conv(3, 4, 3, padding=1), "b": _conv(4, 4, 3, padding=1), "n": nn.BatchNorm2d(4)}, lambda m, x: ((y := m["a"](x).relu()) + m["n"](m["b"](y))).relu()),
    "residual down": lambda: Of({"a": _conv(3, 4, 3, padding=1, stride=2), "b": _conv(4, 4, 3, padding=1), "s": _conv(3, 4, 1, stride=2)}, lambda m, x: (m["b"](m["a"](x).relu()) + m["s"](x)).relu()),
    "concatenation": lambda: Of({"a": _conv(3, 4, 1), "b": _conv(3, 4, 5, padding=2), "c": _conv(8, 4, 3)}, lambda m, x: m["c"](torch.cat([m["a"](x), m["b"](x)], 1))),
    "margins": lambda: Of({"a": _conv(3, 4, 3, stride=2), "b": _conv(4, 4, 3)}, lambda m, x: m["b"](F.pad(m["a"](F.pad(x, (0, 1, 2, 3), value=0.7)), (1, 1, 1, 1)))),
    "scaling": lambda: Of({"a": _conv(3, 4, 3), "b": _conv(4, 4, 3)}, lambda m, x: m["b"](m["a"](x * 2 - 1) / torch.arange(1.0, 5).reshape(4, 1, 1).to(x)) * 0.3),
    "products": lambda: Of({"a": _conv(3, 4, 3, padding=1), "b": _conv(3, 4, 1)}, lambda m, x: m["a"](x) * m["b"](x).sigmoid()),
    "squeeze and excite": lambda: Of({"a": _conv(3, 8, 3), "s": _conv(8, 8, 1), "b": _conv(8, 2, 1)}, lambda m, x: m["b"]((y := m["a"](x).relu()) * m["s"](y.mean((2, 3), keepdim=True)).sigmoid())),
    "group norm": lambda: Of({"a": _conv(3, 8, 5, padding=2), "g": nn.GroupNorm(2, 8), "b": _conv(8, 2, 1)}, lambda m, x: m["b"](m["g"](m["a"](x)))),
    "flattening": lambda: Of({"a": _conv(3, 4, 3, stride=2), "l": nn.Linear(4 * 12 * 13, 5)}, lambda m, x: m["l"](m["a"](x).relu().flatten(1))),
    "shuffling": lambda: Of({"a": _conv(3, 8, 3), "b": _conv(8, 4, 1)}, lambda m, x: m["b"](m["a"](x).unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2))),
    "softmax": lambda: Of({"a": _conv(3, 4, 3, stride=2)}, lambda m, x: m["a"](x).flatten(2).mean(2).softmax(1)),
}  # fmt: skip


def _made(name: str) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(7)
        net = NETS[name]()
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
    return net.eval()


SIZE = (25, 27)


def _plan(net: nn.Module, x: Tensor, lo: Tensor, hi: Tensor, steps: Steps) -> WindowPlan | None:
    build = Build(export(net, x))
    return plan_windows(*build.graph_of(steps), build.exported.spec, lo, hi)


def _windows(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Windows of different sizes: at every corner, at every border, inside, one pixel, and one that is the largest."""
    tops = torch.tensor(
        [[0, 0], [0, 21], [20, 0], [20, 21], [0, 9], [11, 0], [7, 8], [8, 7], [9, 9], [24, 26], [0, 26], [12, 13]]
    )
    size = torch.tensor([[height, width]]).expand(len(tops), 2).clone()
    size[9:] = 1
    hi = torch.minimum(tops + size - 1, torch.tensor(SIZE) - 1)
    return tops, hi


@pytest.mark.parametrize("name", list(NETS))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_following_windows_gives_what_the_whole_network_gives(name: str, dtype: torch.dtype) -> None:
    net = _made(name).to(dtype)
    draw = torch.Generator().manual_seed(2)
    x = torch.randn(1, 3, *SIZE, generator=draw).to(dtype)
    lo, hi = _windows(4, 5)
    steps = Steps(True, True, dtype == torch.float32, dtype == torch.float32)
    plan = _plan(net, x, lo, hi, steps)
    assert plan is not None
    rows = torch.randperm(len(lo), generator=draw).tolist()
    variants = x.repeat(len(rows), 1, 1, 1)
    for m, row in enumerate(rows):
        (top, left), (bottom, right) = lo[row].tolist(), hi[row].tolist()
        variants[m, :, top : bottom + 1, left : right + 1] = torch.randn(
            3, bottom - top + 1, right - left + 1, generator=draw
        ).to(dtype)
    with torch.no_grad():
        want, whole = net(variants), net(x)
    found = plan.of(x)(variants, rows)
    assert not found.is_inference()
    assert (want - whole).abs().amax() > 3e-3 * whole.abs().max()
    assert torch.allclose(found, want, rtol=0, atol=(1e-12 if dtype == torch.float64 else 2e-5))
    some = plan.of(x)(variants[2:5], rows[2:5])
    assert torch.allclose(some, want[2:5], rtol=0, atol=(1e-12 if dtype == torch.float64 else 2e-5))


@pytest.mark.parametrize(
    ("name", "followed"),
    [
        ("residual", 7),
        ("concatenation", 5),
        ("squeeze and excite", 3),
        ("group norm", 2),
        ("pools not counting their padding", 2),
        ("ceiling pools", 2),
        ("margins", 5),
    ],
)
def test_how_far_windows_are_followed(name: str, followed: int) -> None:
    """Up to what is global, or has a border of its own; counted on the graph as it is, with its input."""
    net = _made(name)
    x = torch.zeros(1, 3, *SIZE)
    plan = _plan(net, x, *_windows(4, 5), Steps())
    assert plan is not None
    assert len(plan.windowed) == followed


def test_windows_that_cover_most_of_the_image_are_not_followed() -> None:
    lo, hi = torch.zeros(1, 2, dtype=torch.long), torch.tensor([[20, 20]])
    assert _plan(_made("residual"), torch.zeros(1, 3, *SIZE), lo, hi, Steps()) is None


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_reach_is_exactly_what_changes(size: int, stride: int, padding: int, dilation: int) -> None:
    """Against brute force: which outputs of a convolution of ones feel each window of a row."""
    n = 17
    kernel = Kernel((size, size), (stride, stride), (padding, padding), (dilation, dilation))
    lo = torch.tensor([[a, a] for a in range(n) for b in range(a, n)])
    hi = torch.tensor([[b, b] for a in range(n) for b in range(a, n)])
    inputs = torch.zeros(len(lo), 1, n)
    for row, (a, b) in enumerate(zip(lo[:, 0].tolist(), hi[:, 0].tolist(), strict=True)):
        inputs[row, 0, a : b + 1] = 1
    felt = F.conv1d(inputs, torch.ones(1, 1, size), stride=stride, padding=padding, dilation=dilation)[:, 0] > 0
    found = Extent.of((n, n), lo, hi).behind(kernel, (felt.shape[1], felt.shape[1]))
    for row, places in enumerate(felt):
        hit = places.nonzero()[:, 0].tolist()
        first, last = int(found.lo[row, 0]), int(found.hi[row, 0])
        if not hit:
            # between the strides, nothing: an interval may say one place too many only where dilation leaves gaps
            assert first > last or dilation > 1
        else:
            assert first <= hit[0]
            assert last >= hit[-1]
            assert dilation > 1 or (first, last) == (hit[0], hit[-1])
    start, extent = found.start, torch.tensor(found.size)
    assert bool((start >= 0).all())
    assert bool((start + extent <= felt.shape[1]).all())
    assert bool((start <= found.lo.clamp(max=felt.shape[1] - 1)).all())
    assert bool((start + extent - 1 >= found.hi).all())


@pytest.mark.usefixtures("no_spot_checks")
@pytest.mark.parametrize("fill", ["grey", 0.5, "blur"])
def test_occlusion_follows_windows_and_says_so(fill: Any) -> None:
    net = _made("residual down")
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    if isinstance(fill, str):
        fill = 0.25 if fill == "grey" else torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    asked: dict[str, Any] = {"method": "occlusion", "window": 5, "stride": 3, "fill": fill, "target": [1, 2]}
    exact = seewhy.explain_all(net, x, **asked, prepare=False)
    first = seewhy.explain_all(net, x, **asked, prepare=True)
    found = seewhy.explain_all(net, x, **asked, prepare=True)
    for a, b, c in zip(exact, found, first, strict=True):
        assert "fewer multiplications" in b.provenance["prepared"]["windows"]
        assert b.provenance["prepared"]["checked"]["scores, of what changes in a window"] == "agrees"
        assert np.abs(a.values - b.values).max() <= 1e-4 * np.abs(a.values).max()
        assert (b.cost.forwards, b.cost.checks) == (a.cost.forwards, 0)
        assert c.cost.checks > 0


def test_windows_go_together_however_large_the_last_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is made for each window counts: crops of 144 KiB here, not the image's own map of 1 MiB, made once, nor
    the last layer's weights of 1.25 MiB."""
    monkeypatch.setattr("seewhy.core.memory_budget._BLOCK", 2**20)
    net = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.MaxPool2d(8), nn.Flatten(), nn.Linear(4096, 80)).eval()
    together: list[int] = []
    call = Windows.__call__
    monkeypatch.setattr(
        Windows, "__call__", lambda self, variants, rows: together.append(len(rows)) or call(self, variants, rows)
    )
    asked: dict[str, Any] = {"method": "occlusion", "window": 8, "stride": 8, "target": 1, "prepare": True}
    x = torch.randn(1, 3, 64, 64)
    seewhy.explain(net, x, **asked)
    # four are compared, four metered
    assert together[:3] == [4, 4, 7]
    assert sum(together) == 4 + 64
    together.clear()
    seewhy.explain(net, x, **asked)
    assert together[:2] == [4, 7]


def test_a_plan_that_is_wrong_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a rule wrong, the comparison of the first windows would tell, and the map would still be right."""
    reach = Extent.behind
    monkeypatch.setattr(
        Extent,
        "behind",
        lambda self, kernel, shape: reach(self, Kernel((1, 1), kernel.stride, kernel.padding, (1, 1)), shape),
    )
    net = _made("convolutions")
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    asked: dict[str, Any] = {"method": "occlusion", "window": 6, "stride": 3, "target": 1}
    found = seewhy.explain(net, x, **asked, prepare=True)
    exact = seewhy.explain(net, x, **asked, prepare=False)
    assert "differs by" in found.provenance["prepared"]["checked"]["scores, of what changes in a window"]
    assert np.abs(exact.values - found.values).max() <= 1e-4 * np.abs(exact.values).max()


@pytest.mark.parametrize(("layer", "which"), [("a", "weight"), ("b", "bias")])
def test_changed_weights_are_noticed_by_plans(layer: str, which: str) -> None:
    net = _made("residual down")
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    asked: dict[str, Any] = {"method": "occlusion", "window": 5, "stride": 5, "target": 1}
    seewhy.explain(net, x, **asked, prepare=True)
    getattr(net.layers[layer], which).data.mul_(-3)
    exact, found = (seewhy.explain(net, x, **asked, prepare=mode) for mode in (False, True))
    assert np.abs(exact.values - found.values).max() <= 1e-4 * np.abs(exact.values).max()
