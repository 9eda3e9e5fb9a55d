"""Prepared networks: what is exported, what is done to it, when it is believed, and that the model never changes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import networks
import seewhy
from seewhy.core.compile import measuring
from seewhy.core.compile.building import Build, Prepared, Steps
from seewhy.core.compile.checksums import Contents
from seewhy.core.compile.export import export
from seewhy.core.compile.folding import fold_batch_norms
from seewhy.core.compile.measuring import Pieces, best_pieces, best_steps
from seewhy.core.compile.programs import Preparer
from seewhy.core.compile.state import addresses, structure
from seewhy.core.forward.agreement import difference, gap, mixes, rounding
from seewhy.core.forward.session import rounded
from seewhy.core.network.borrowed import Network
from seewhy.errors import CapabilityError

ALL = Steps(fold=True, channels_last=True, fuse=True, tiles=True)


class Block(nn.Module):
    """A residual block with a grouped convolution, a reused ReLU in place, and a sum written into."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, channels, 3, padding=1, groups=2, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.two = nn.Conv2d(channels, channels, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.norm(self.one(x)))
        out = self.two(out)
        out += x
        return self.relu(out)


class Net(nn.Module):
    """Every step has something to do: folding, layouts, fusing, a flattening that is no view in another layout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.block = Block(8)
        self.pool = nn.MaxPool2d(2)
        self.wide = nn.Sequential(nn.Conv2d(8, 6, 3), nn.SiLU(), nn.Dropout2d(0.5))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(6 * 6 * 6, 10), nn.Hardswish(), nn.Linear(10, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.wide(self.pool(self.block(self.stem(x)))))


def _net(make: Callable[[], nn.Module] = Net) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        net = make().eval()
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.3, 3)
                part.weight.data.uniform_(0.5, 2)
                part.bias.data.normal_()
    return net


def _x(batch: int = 2, size: int = 32) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("steps", [Steps(), Steps(True), Steps(True, True), ALL], ids=["plain", "fold", "last", "fuse"])
@pytest.mark.parametrize("recorded", ["none", "after", "all"])
@pytest.mark.parametrize("batch", [1, 3])
def test_every_program_gives_the_models_output_and_layers(steps: Steps, recorded: Any, batch: int) -> None:
    net, x = _net(), _x(batch)
    layers = ("block", "block.relu", "wide.0")
    program, _ = Build(export(net, x)).program(layers, recorded, steps)
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}
    want: dict[str, list[Tensor]] = {name: [] for name in layers}
    with torch.no_grad():
        for found, root in ((want, net), (seen, program)):
            hooks = [
                root.get_submodule(n).register_forward_hook(
                    lambda m, a, out, n=n, found=found: found[n].append(out.clone())
                )
                for n in layers
            ]
            found["out"] = [root(x)]
            for hook in hooks:
                hook.remove()
    assert {n: len(each) for n, each in seen.items()} == {"block": 1, "block.relu": 2, "wide.0": 1, "out": 1}
    for name, tensors in want.items():
        for a, b in zip(tensors, seen[name], strict=True):
            assert torch.allclose(a, b, atol=2e-5), name


def test_steps_do_what_they_say() -> None:
    build = Build(export(_net(), _x()))
    assert build.program([], "none", Steps(True))[1] == {"batch norms": 2, "fused": 0, "tiled": 0, "linear": 0}
    assert build.program([], "none", ALL)[1] == {"batch norms": 2, "fused": 4, "tiled": 1, "linear": 2}
    # what is looked at is not folded away
    assert build.program(["stem.0"], "none", Steps(True))[1]["batch norms"] == 1
    assert build.program([], "all", ALL)[1]["fused"] == 4
    assert build.program(["block"], "after", ALL)[1]["fused"] == 4


def test_copies_live_as_long_as_a_program_uses_them() -> None:
    build = Build(export(_net(), _x()))
    program, _ = build.program([], "none", ALL)
    held = len(build._copies)
    again, _ = build.program(["block"], "none", ALL)
    assert len(build._copies) == held > 0
    del program, again
    assert len(build._copies) == 0


class _IntoView(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        y[:, 0].add_(1)
        return y.mean((2, 3))


class _Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x if x.mean() > 0 else -x).mean((2, 3))


class _NoGrad(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            gate = self.conv(x).sigmoid()
        return (gate * self.conv(x)).mean((2, 3))


@pytest.mark.parametrize("net", [_IntoView(), _Branches(), _NoGrad()], ids=["view", "branches", "no-grad"])
def test_what_cannot_be_prepared_goes_on_eagerly_and_says_why(
    net: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    x = _x(1, 8)
    with pytest.raises(CapabilityError, match=r"writes into what others|cannot export|gradients switched off"):
        export(net.eval(), x)
    one = seewhy.explain(net, x, method="saliency", target=0, prepare=True)
    assert one.provenance["prepared"]["used"] is False
    assert one.provenance["prepared"]["why"]
    assert np.array_equal(one.values, seewhy.explain(net, x, method="saliency", target=0, prepare=False).values)
    assert capfd.readouterr() == ("", "")  # torch prints whole graphs


def test_a_written_tensor_is_read_anew_by_those_who_read_later() -> None:
    class Side(nn.Module):
        """A ReLU called for what it does to its argument."""

        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            before = y + 1
            torch.relu_(y)
            y.mul_(3)
            return (before + y).mean((2, 3))

    x = _x(2, 8)
    program, _ = Build(export(Side(), x)).program([], "none", ALL)
    assert torch.allclose(program(x), Side()(x), atol=1e-6)


@pytest.mark.usefixtures("no_spot_checks")
@pytest.mark.parametrize(
    "method",
    ["saliency", "guided-backprop", "grad-cam", "ablation-cam", "eigen-cam", "smooth-grad", "occlusion", "recipro-cam"],
)
def test_methods_give_what_they_give_on_the_model(method: str) -> None:
    net, x = _net(), _x(2)
    asked: dict[str, Any] = (
        {"method": method, "target": 1}
        | ({"n": 4} if method == "smooth-grad" else {})
        | ({"window": 16} if method == "occlusion" else {})
    )
    exact = seewhy.explain_all(net, x, **asked, prepare=False)
    seewhy.explain_all(net, x, **asked, prepare=True)  # the layer is chosen, and programs compared
    found = seewhy.explain_all(net, x, **asked, prepare=True)
    for a, b in zip(exact, found, strict=True):
        assert b.provenance["prepared"]["used"] is True
        assert b.cost.checks == 0
        assert a.layer == b.layer
        assert np.linalg.norm(a.values - b.values) <= 1e-3 * np.linalg.norm(a.values)
        assert (b.cost.forwards, b.cost.backwards) == (a.cost.forwards, a.cost.backwards)


@pytest.mark.usefixtures("no_spot_checks")
def test_the_first_use_is_compared_and_later_ones_are_not() -> None:
    net, x = _net(), _x(1)
    costs = [
        seewhy.explain(net, x, method="saliency", target=0, prepare=mode).cost for mode in (True, True, "verify", False)
    ]
    assert [cost.checks for cost in costs] == [1, 0, 1, 0]
    assert [cost.forwards for cost in costs] == [1, 1, 1, 1]
    seewhy.explain(net, x, method="grad-cam", layer="block", target=0, prepare=False)  # its grid is proved, once
    # another layer is another use, and so is a batch
    assert seewhy.explain(net, x, method="grad-cam", layer="block", target=0, prepare=True).cost.checks == 1
    assert seewhy.explain_all(net, _x(2), method="saliency", target=0, prepare=True).cost.checks == 2


def _scaled(net: nn.Module) -> None:
    with torch.no_grad():
        net.block.two.weight.mul_(-1)


def _through_data(net: nn.Module) -> None:
    net.stem[0].weight.data[0, 0, 0, 0] += 3


def _through_numpy(net: nn.Module) -> None:
    net.stem[1].running_mean.numpy()[0] += 3


def _swapped(net: nn.Module) -> None:
    """Two output channels change places: no sum over a whole tensor would tell."""
    version, data = net.wide[0].weight._version, net.wide[0].weight.data
    data.copy_(data.flip(0))
    assert net.wide[0].weight._version == version


def _stride(net: nn.Module) -> None:
    net.wide[0].padding, net.wide[0].dilation = (1, 1), (2, 2)


def _layer(net: nn.Module) -> None:
    net.wide[1] = nn.Tanh()


def _parameter(net: nn.Module) -> None:
    net.head[1].weight = nn.Parameter(-net.head[1].weight.detach())


def _loaded(net: nn.Module) -> None:
    net.load_state_dict({k: v * -1 if k.endswith("bias") else v for k, v in net.state_dict().items()})


def _linear_data(net: nn.Module) -> None:
    """Read where it is: nothing was copied, so nothing has to be noticed."""
    net.head[3].weight.data.mul_(2)


def _forward(net: nn.Module) -> None:
    net.pool.forward = lambda x: nn.functional.avg_pool2d(x, 2)


def _hook(net: nn.Module) -> None:
    net.pool.register_forward_hook(lambda m, a, out: -out)


CHANGES = [
    _scaled,
    _through_data,
    _through_numpy,
    _swapped,
    _stride,
    _layer,
    _parameter,
    _loaded,
    _linear_data,
    _forward,
    _hook,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__[1:])
@pytest.mark.parametrize("method", ["saliency", "occlusion"])
def test_whatever_changes_in_the_model_is_noticed(change: Callable[[nn.Module], None], method: str) -> None:
    net, x = _net(), _x(1)
    asked: dict[str, Any] = {"method": method, "target": 1} | ({"window": 16} if method == "occlusion" else {})
    before = seewhy.explain(net, x, **asked, prepare=True)
    change(net)
    exact = seewhy.explain(net, x, **asked, prepare=False)
    found = seewhy.explain(net, x, **asked, prepare=True)
    assert not np.allclose(before.values, exact.values, rtol=1e-2, atol=0)
    assert np.linalg.norm(found.values - exact.values) <= 1e-3 * np.linalg.norm(exact.values)
    assert found.score == pytest.approx(exact.score, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("off", "itself", "agrees"),
    [(5e-5, 0.0, True), (2e-4, 1e-5, False), (2e-4, 1.5e-4, True), (2e-4, float("nan"), False), (1e-3, 1.0, False)],
)
def test_what_rounding_does_to_the_network_itself_is_allowed(off: float, itself: float, agrees: bool) -> None:
    def made(by: float) -> Any:
        forward = SimpleNamespace(raw=torch.tensor([[1.0, by]]), ends_in="logits", computed_in=None)
        return SimpleNamespace(
            outputs=forward, tape=SimpleNamespace(activations={}), demand=SimpleNamespace(graph="none")
        )

    # the first way of rounding moves nothing; one of several is enough
    said = difference(made(0.0), made(off), iter([made(0.0), made(itself)]))
    assert (said == "") is agrees
    assert agrees or f"output 0 differs by {off:.1e} of the largest value" in said


def test_a_network_is_asked_what_rounding_does_to_it_in_other_orders_and_with_other_numbers() -> None:
    x = torch.randn(2, 3, 8, 8)
    turned, *moved = rounded(x)
    assert torch.equal(turned, x)
    assert turned.stride() != x.stride()
    assert len({each.numpy().tobytes() for each in [x, *moved]}) == 5
    for each in moved:
        assert (each - x).abs().max() < 2e-6
        assert each.is_contiguous()
    assert all(1e-17 < float((each - x.double()).abs().max()) < 1e-14 for each in [*rounded(x.double())][1:])


def test_a_gradient_of_its_own_is_kept() -> None:
    class Straight(torch.autograd.Function):
        """Rounds, and passes the gradient on as if it had not."""

        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.round()

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            return grads[0]

    class Rounded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return Straight.apply(5 * self.conv(x)).mean((2, 3))  # type: ignore[no-untyped-call,no-any-return]

    net, x = _net(Rounded), _x(1, 8)
    exact = seewhy.explain(net, x, method="saliency", target=0, prepare=False)
    found = seewhy.explain(net, x, method="saliency", target=0, prepare=True)
    assert exact.values.any()
    assert np.array_equal(exact.values, found.values)
    assert not found.provenance["prepared"]["used"]
    why = next(iter(found.provenance["prepared"]["checked"].values()))
    assert "gradients at the input differ" in why


def test_the_model_is_left_as_it_was() -> None:
    net, x = _net(), _x(2)
    net.settings, net.block.sizes = {"a": [1]}, [3, 4]  # torch's export leaves copies of such
    net.block.train()
    net.wide[0].weight.requires_grad_(False)
    calls: list[int] = []
    net.pool.register_forward_hook(lambda m, a, out: calls.append(1))
    before, ids = copy.deepcopy(net.state_dict()), structure(list(net.modules()))
    flags = [part.training for part in net.modules()]
    state, modes = torch.get_rng_state(), (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seewhy.explain_all(net, x, method=["saliency", "grad-cam", "occlusion"], target=0, prepare=True, window=16)
    assert structure(list(net.modules())) == ids
    assert [part.training for part in net.modules()] == flags
    assert torch.equal(state, torch.get_rng_state())
    assert modes == (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    assert all(torch.equal(a, b) for a, b in zip(before.values(), net.state_dict().values(), strict=True))
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not net.wide[0].weight.requires_grad


def test_a_dead_models_preparation_goes_with_it() -> None:
    import gc
    import weakref

    net = _net()
    seewhy.explain(net, _x(1), method="saliency", target=0, prepare=True)
    weak = weakref.ref(net)
    del net
    gc.collect()
    assert weak() is None


def test_attributes_that_always_change_end_in_the_eager_model() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.calls = nn.Conv2d(3, 4, 3), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.conv(x).relu().mean((2, 3))

    net, x = _net(Counting), _x(1, 8)
    for _ in range(5):
        last = seewhy.explain(net, x, method="saliency", target=0, prepare=True)
    assert "keep changing" in last.provenance["prepared"]["why"]


def test_backward_hooks_keep_the_eager_model() -> None:
    net = _net()
    net.block.register_full_backward_hook(lambda m, gi, go: (gi[0] * 0,))
    found = seewhy.explain(net, _x(1), method="saliency", target=0, prepare=True)
    assert not found.values.any()
    assert "backward hooks" in found.provenance["prepared"]["why"]


@pytest.mark.parametrize("price", [0.0, float("inf")])
def test_auto_prepares_when_it_is_worth_it(price: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seewhy.core.compile.programs.PRICE", price)
    monkeypatch.setattr("seewhy.core.compile.programs.PASSES", 0)
    found = seewhy.explain(_net(), _x(1), method="occlusion", window=16, target=0)
    assert found.provenance["prepare"] == "auto"
    assert found.provenance["prepared"]["used"] is (price == 0)


def test_auto_prepares_for_a_stream_that_would_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = _net(), _x(1)
    monkeypatch.setattr("seewhy.core.compile.programs.PRICE", 1e-4)  # less than the windows of one picture take
    assert not seewhy.explain(net, x, method="saliency", target=0).provenance["prepared"]["used"]


def test_preparing_pays_after_so_many_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seewhy.core.compile.programs.PRICE", 3.0)
    network = Network(_net())
    with network.borrowed() as call:
        preparer = Preparer(network, call, _x(1), "auto")
        preparer.log(4.0, 2)
        preparer.expect()
        assert preparer.record["why"] == "passes took 4.0 s so far, preparing takes about 83 s"
        preparer.expect(38, 1.0)  # 42 seconds, of 3 + 40
        assert "operations" not in preparer.record
        preparer.expect(39, 1.0)
        assert "operations" in preparer.record
        assert "operations" in Preparer(network, call, _x(1), "auto").record


def test_two_programs_at_a_time_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    alive, most = WeakSet[Prepared](), []
    program = Build.program

    def build(self: Build, *args: Any, **kwargs: Any) -> Any:
        made, counts = program(self, *args, **kwargs)
        alive.add(made)
        most.append(len(alive))
        return made, counts

    monkeypatch.setattr(Build, "program", build)
    net, x = _net(), _x(2)
    assert best_steps(Build(export(net, x)), net, x, gradients=True)[1]["kept"] == "tiles"
    assert most == [1, 2, 2, 2]
    monkeypatch.setattr(measuring, "_times", lambda old, new, x, gradients: (1.0, 2.0))
    most.clear()
    alive.clear()
    assert best_steps(Build(export(net, x)), net, x, gradients=True)[0] is None
    assert most == [1, 1, 1, 1]


def test_what_compares_does_not_make_chunks_small(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x, sizes = _net(), _x(1), list[int]()
    start = Prepared.start
    monkeypatch.setattr(Prepared, "start", lambda self, x: sizes.append(len(x)) or start(self, x))
    asked: dict[str, Any] = {"method": "smooth-grad-cam-pp", "layer": "wide.0", "n": 32, "memory": 600_000}
    largest = []
    for _ in range(2):
        sizes.clear()
        seewhy.explain(net, x, **asked, target=0, prepare=True)
        largest.append(max(sizes))
    assert largest[0] == largest[1] > 4


@pytest.mark.parametrize(("first", "then", "measured"), [(2, 1, [2]), (1, 2, [1, 2])])
def test_steps_of_several_images_do_for_one(
    first: int, then: int, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(
        "seewhy.core.compile.fastest.best_steps",
        lambda build, call, x, gradients, engines: sizes.append(len(x)) or (Steps(True, True, True), {}),
    )
    net = _net()
    for images in (first, then):
        found = seewhy.explain_all(net, _x(images), method="saliency", target=0, prepare=True)
        record = found[0].provenance["prepared"]
        assert record["used"]
    assert sizes == measured


def test_what_is_done_once_does_not_make_chunks_small(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x, sizes = _net(), _x(1), list[int]()
    monkeypatch.setattr("seewhy.core.compile.fastest.best_pieces", lambda run, x, gradients: Pieces(8, 1000))
    forward = Prepared.forward
    monkeypatch.setattr(Prepared, "forward", lambda self, x: sizes.append(len(x)) or forward(self, x))
    seewhy.explain(net, x, method="integrated-gradients", rule="trapezoid", steps=16, target=0, prepare=True)
    assert [n for n in sizes if n > 1] == [2, 8, 7]  # the first is compared with the model


def test_contents_see_every_bit_and_every_exchange() -> None:
    tensor = torch.randn(64, 32, 5, 5).to(memory_format=torch.channels_last)
    window = torch.randn(8, 8)[:, ::2]
    look = Contents([tensor, window, torch.zeros(0)])
    assert look.unchanged()
    window.data[3, 1] += 1
    assert not look.unchanged()
    window.data[3, 1] -= 1
    tensor.data[-1, -1, -1, -1] = torch.nextafter(tensor[-1, -1, -1, -1], torch.tensor(9.0))
    assert not look.unchanged()


def test_addresses_see_what_counts_versions() -> None:
    net = _net()
    before = addresses(list(net.parameters()))
    assert addresses(list(net.parameters())) == before
    _scaled(net)
    assert addresses(list(net.parameters())) != before


@pytest.mark.parametrize("name", list(networks.NETWORKS))
def test_small_networks_of_every_kind(name: str) -> None:
    net, x = networks.make(name, dtype=torch.float32).net, networks.image(dtype=torch.float32)
    program, _ = Build(export(net, x)).program([], "none", ALL)
    with torch.no_grad():
        assert torch.allclose(program(x), net(x), atol=1e-5)


class Pooled(nn.Module):
    """A head of mean pooling and one linear layer, and what may follow it."""

    def __init__(self, squash: nn.Module | None = None, pool: nn.Module | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = pool or nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, 5))
        self.squash = squash or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.squash(self.head(self.pool(self.body(x))))


CLOSED = ["grad-cam", "xgrad-cam", "hires-cam", "layer-cam", "ablation-cam", "recipro-cam", "cam", "grad-cam-pp"]


@pytest.mark.usefixtures("no_spot_checks")
@pytest.mark.parametrize("method", CLOSED)
@pytest.mark.parametrize("squash", [None, nn.Softmax(1), nn.Sigmoid()], ids=["logits", "softmax", "sigmoid"])
def test_closed_forms_take_one_forward_and_no_backward(method: str, squash: nn.Module | None) -> None:
    net, x = _net(lambda: Pooled(squash)), _x(2)
    target = [1, seewhy.targets.Margin(2, 3)]
    asked: dict[str, Any] = {"method": method, "layer": "body", "target": target}
    exact = seewhy.explain_all(net, x, **asked, prepare=False)
    seewhy.explain_all(net, x, **asked, prepare=True)
    found = seewhy.explain_all(net, x, **asked, prepare=True)
    assert (found.cost.forwards, found.cost.backwards, found.cost.checks) == (2, 0, 0)
    for a, b in zip(exact, found, strict=True):
        assert a.values.any()
        assert np.abs(a.values - b.values).max() <= 1e-5 * np.abs(a.values).max()
        assert b.score == pytest.approx(a.score, abs=1e-5)


def test_closed_forms_of_all_classes_take_one_forward() -> None:
    net, x = _net(Pooled), _x(1)
    asked: dict[str, Any] = {"method": ["grad-cam", "ablation-cam", "recipro-cam"], "layer": "body", "target": "all"}
    exact = seewhy.explain_all(net, x, **asked, prepare=False)
    seewhy.explain_all(net, x, **asked, prepare=True)
    found = seewhy.explain_all(net, x, **asked, prepare=True)
    assert len(found) == 15
    assert (found.cost.forwards, found.cost.backwards) == (1, 0)
    assert exact.cost.backwards >= 5
    for a, b in zip(exact, found, strict=True):
        assert np.abs(a.values - b.values).max() <= 1e-5 * np.abs(a.values).max()


def test_a_target_that_is_not_linear_in_the_scores_has_its_gradient_in_closed_form_only() -> None:
    """Its slope is known, but what it loses without a channel is not a product of two numbers."""
    net, x = _net(Pooled), _x(1)
    target = seewhy.targets.Probability(2)
    for method in ("grad-cam", "ablation-cam", "recipro-cam"):
        asked: dict[str, Any] = {"method": method, "layer": "body", "target": target}
        exact = seewhy.explain(net, x, **asked, prepare=False)
        seewhy.explain(net, x, **asked, prepare=True)
        found = seewhy.explain(net, x, **asked, prepare=True)
        assert np.abs(exact.values - found.values).max() <= 1e-4 * np.abs(exact.values).max()
        assert found.cost.backwards == 0
        assert found.cost.forwards == exact.cost.forwards


@pytest.mark.parametrize(
    "target",
    [seewhy.targets.Neuron("body", 1, (2, 3)), lambda output: output[:, 1] ** 2, seewhy.targets.Centred(1)],
    ids=["neuron", "callable", "centred"],
)
def test_targets_of_any_kind_stay_right(target: Any) -> None:
    net, x = _net(Pooled), _x(2)
    asked: dict[str, Any] = {"method": "hires-cam", "layer": "body", "target": target}
    exact = seewhy.explain_all(net, x, **asked, prepare=False)
    for _ in range(2):
        for a, b in zip(exact, seewhy.explain_all(net, x, **asked, prepare=True), strict=True):
            assert np.abs(a.values - b.values).max() <= 1e-5 * np.abs(a.values).max()


@pytest.mark.parametrize("pool", [nn.AdaptiveMaxPool2d(1), nn.AdaptiveAvgPool2d(2), nn.AvgPool2d(30), nn.AvgPool2d(29)])
def test_only_a_mean_over_all_positions_is_one(pool: nn.Module) -> None:
    class Other(Pooled):
        def __init__(self) -> None:
            super().__init__(pool=pool)
            wide = 32 if isinstance(pool, nn.AdaptiveAvgPool2d) else 8
            self.head[2] = nn.Linear(wide, 5)

    net, x = _net(Other), _x(1)
    asked: dict[str, Any] = {"method": "grad-cam", "layer": "body", "target": 1}
    exact = seewhy.explain(net, x, **asked, prepare=False)
    seewhy.explain(net, x, **asked, prepare=True)
    found = seewhy.explain(net, x, **asked, prepare=True)
    assert np.abs(exact.values - found.values).max() <= 1e-5 * np.abs(exact.values).max()
    assert found.cost.backwards == (0 if isinstance(pool, nn.AvgPool2d) and pool.kernel_size == 30 else 1)


@pytest.mark.parametrize("place", ["pool", "head.2", "head"])
def test_no_closed_form_of_what_a_hook_changes_behind_the_layer(place: str) -> None:
    net, x = _net(Pooled), _x(1)
    net.get_submodule(place).register_forward_hook(lambda module, args, out: -3 * out)
    asked: dict[str, Any] = {"method": "grad-cam", "layer": "body", "target": 1}
    exact = seewhy.explain(net, x, **asked, prepare=False)
    for _ in range(2):
        found = seewhy.explain(net, x, **asked, prepare=True)
        assert np.abs(exact.values - found.values).max() <= 1e-5 * np.abs(exact.values).max()


def test_weights_that_are_no_numbers_are_told_in_closed_form_too() -> None:
    """A class that nobody asked about has one: the gradient is zero times that, which is no number."""
    net, x = _net(Pooled), _x(1)
    asked: dict[str, Any] = {"method": "grad-cam", "layer": "body", "target": 1}
    seewhy.explain(net, x, **asked, prepare=True)
    with torch.no_grad():
        net.head[2].weight[3, 0] = torch.nan
    for prepare in (False, True, True):
        assert "holds NaN" in seewhy.explain(net, x, **asked, prepare=prepare).status.cause


def test_what_has_no_closed_form_beside_one_that_has() -> None:
    net, x = _net(Pooled), _x(1)
    asked: dict[str, Any] = {"method": ["grad-cam", "score-cam"], "layer": "body", "target": 1}
    exact = seewhy.explain_all(net, x, **asked, prepare=False)
    found = seewhy.explain_all(net, x, **asked, prepare=True)
    for a, b in zip(exact, found, strict=True):
        assert np.abs(a.values - b.values).max() <= 1e-4 * np.abs(a.values).max()


@pytest.mark.usefixtures("no_spot_checks")
def test_prepare_by_hand_gives_a_module_to_hook_and_differentiate() -> None:
    net, x = _net(), _x(1)
    made = seewhy.prepare(net, x, layers=["block"])
    if made.module is None:  # no step was faster on this machine, which it says
        assert "eager" in str(made.record)
        return
    seen: list[Tensor] = []
    made.module.get_submodule("block").register_forward_hook(lambda m, a, out: seen.append(out))
    leaf = x.clone().requires_grad_()
    assert torch.allclose(made.module(leaf), net(x), atol=1e-5)
    made.module(leaf)[0, 1].backward()
    want = x.clone().requires_grad_()
    net(want)[0, 1].backward()
    assert torch.allclose(leaf.grad, want.grad, atol=1e-4)
    assert seen[0].shape == net.block(net.stem(x)).shape
    assert seewhy.explain(net, x, method="saliency", target=0, prepare=True).cost.checks <= 1


def test_prepare_by_hand_says_why_not() -> None:
    made = seewhy.prepare(_Branches(), _x(1, 8))
    assert made.module is None
    assert "cannot export" in made.record["why"]
    with pytest.raises(seewhy.errors.UnknownName, match="nearest"):
        seewhy.prepare(_net(), _x(1), layers="blck")


def test_a_program_divides_its_batch_where_that_is_faster() -> None:
    net, x = _net(), _x(5)
    program, _ = Build(export(net, x)).program(["block"], "after", ALL)
    whole = program(x)
    program.chunk = 2
    assert [len(each) for each in program.start(x)] == [5, 5]
    assert torch.allclose(program(x), whole, atol=1e-5)
    assert torch.allclose(whole, net(x), atol=1e-5)


def test_a_network_that_mixes_its_samples_is_not_divided() -> None:
    class Mixing(nn.Module):
        """Every sample's scores depend on how many there are."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).relu().mean((2, 3)) * x.shape[0]

    net = _net(Mixing)
    asked: dict[str, Any] = {"method": "recipro-cam", "layer": "conv", "target": 1}
    for batch in (2, 5, 5):
        x = _x(batch, 8)
        exact, found = (seewhy.explain_all(net, x, **asked, prepare=mode) for mode in (False, True))
        for a, b in zip(exact, found, strict=True):
            assert b.score == pytest.approx(a.score, rel=1e-5)
    assert "its samples influence each other" in found[0].provenance["prepared"]["why"]


def test_numbers_too_small_for_all_their_digits_are_not_taken_for_mixing() -> None:
    """Random weights let some networks' scores fade to 1e-40, where rounding is a thousandth of them."""
    net = _net()
    least = torch.finfo(torch.float32).tiny
    small, other = torch.full((3,), least / 100), torch.full((3,), least / 100) * 1.001
    assert gap(small, other) < rounding(torch.float32) < gap(1000 * small, 1000 * other)
    assert gap(torch.zeros(3), small) == pytest.approx(least / 100)
    assert not mixes(lambda x: net(x) * 1e-40, _x(1))
    assert mixes(lambda x: net(x) * 1e-40 * len(x), _x(1))


@pytest.mark.parametrize("method", ["saliency", "guided-backprop"])
def test_gradients_of_a_batch_are_taken_piece_by_piece(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = _net(), _x(5)
    exact = seewhy.explain_all(net, x, method=method, prepare=False)
    seewhy.explain_all(net, x[:2], method=method, prepare=True)
    sizes: list[int] = []
    forward = Prepared.forward
    monkeypatch.setattr(Prepared, "forward", lambda self, x: sizes.append(len(x)) or forward(self, x))
    found = seewhy.explain_all(net, x, method=method, prepare=True)
    assert sizes == [2, 2, 1]
    assert (found.cost.forwards, found.cost.backwards) == (5, 5)
    for a, b in zip(exact, found, strict=True):
        assert (a.target, b.score) == (b.target, pytest.approx(a.score, rel=1e-5))
        assert np.linalg.norm(a.values - b.values) <= 1e-3 * np.linalg.norm(a.values)


def test_pieces_are_no_larger_than_they_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(measuring, "_PATIENCE", float("inf"))
    monkeypatch.setattr(measuring, "_timed", lambda run, x, gradients: sizes.append(len(x)) or 1e-6 * len(x))
    x = torch.zeros(1, 3, 8, 8)
    found = best_pieces(torch.relu, x, gradients=False)
    assert found == Pieces(16, 3 * x.numel() * 4)  # a piece's own price is shared by the most
    assert set(sizes) == {2, 4, 8, 16}
    sizes.clear()
    monkeypatch.setattr(measuring, "_MOST", 4 * found.each)
    assert best_pieces(torch.relu, x, gradients=False).samples == 4
    assert set(sizes) == {2, 4}


def test_two_batch_norms_in_a_row_become_one_convolution() -> None:
    """The second one is folded into what the first one left, not into the same weights again."""
    torch.manual_seed(0)
    norms = nn.BatchNorm2d(6, affine=False), nn.BatchNorm2d(6), nn.BatchNorm2d(6)
    for norm in norms:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.2, 3)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), *norms, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    exported = export(net.eval(), torch.rand(1, 3, 9, 9))
    tensors = dict(exported.tensors)
    folded, _ = fold_batch_norms(exported.graph, tensors)
    assert folded == 3
    (conv,) = (node for node in exported.graph.nodes if node.target is torch.ops.aten.conv2d.default)
    x = torch.rand(2, 3, 9, 9)
    with torch.no_grad():
        found = nn.functional.conv2d(x, *(tensors[str(each.target)] for each in conv.args[1:3]))
        assert torch.allclose(found, net[:4](x), atol=1e-5)


@pytest.mark.parametrize("end", [nn.Identity, nn.Sigmoid])
def test_windows_through_a_network_that_ends_in_a_map(end: type[nn.Module]) -> None:
    """Nothing comes after the last convolution that would put its patches together."""
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1)]
    net, x = nn.Sequential(*body, end()).eval(), torch.rand(1, 3, 64, 64)
    mask = np.zeros((64, 64), bool)
    mask[20:40, 30:50] = True
    asked: dict[str, Any] = {"method": "occlusion", "window": 6, "stride": 6, "target": seewhy.targets.Region(mask, 1)}
    plain, prepared = (seewhy.explain(net, x, **asked, prepare=prepare) for prepare in (False, True))
    assert "windows" in prepared.provenance["prepared"]
    np.testing.assert_allclose(prepared.values, plain.values, atol=1e-6)


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_dropout_in_place_is_nothing_in_eval_mode(kind: type[nn.Module]) -> None:
    """MobileNets have it before their last layer; torch has no form of its call without a side effect."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        steps = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), kind(inplace=True)
        net = nn.Sequential(*steps, nn.Flatten(), nn.Linear(8, 4)).eval()
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = seewhy.explain_all(net, x, "saliency", target=1, prepare=True)
    assert found[0].provenance["prepared"]["used"], found[0].provenance["prepared"]
    plain = seewhy.explain_all(net, x, "saliency", target=1, prepare=False)
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-4, atol=1e-7)
