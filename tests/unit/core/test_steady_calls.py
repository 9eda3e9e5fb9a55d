"""A call on a network that is prepared and warm: how often what is looked at, and that each kind of change is still
seen."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy import targets as t
from seewhy.api.answered.records import _best
from seewhy.core.compile import closed_form, fastest, programs
from seewhy.core.compile.building import Steps
from seewhy.core.compile.checksums import Bits, Contents
from seewhy.core.network import parts as network_parts
from seewhy.core.network.borrowed import Network
from seewhy.core.network.capture import capture
from seewhy.core.network.outputs import Outputs
from seewhy.core.network.parts import Parts, seen_of
from seewhy.core.network.places import find_place
from seewhy.models import _fingerprint


def _net() -> nn.Sequential:
    """Large enough for sums: the second convolution has 36 KB of weights."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        body = nn.Sequential(
            nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.BatchNorm2d(32), nn.ReLU()
        )
        return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 200)).eval()


@pytest.fixture(autouse=True)
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is worth its while, and nobody checks in between."""
    monkeypatch.setattr(fastest, "best_steps", lambda *given, **asked: (Steps(True, True, True), {}))
    monkeypatch.setattr(programs, "now_and_then", lambda times: False)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def _asked(net: nn.Module, x: Tensor) -> seewhy.Explanation:
    return seewhy.explain(net, x, "grad-cam", 1, layer="0", prepare=True)


def _counted(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[int]:
    made, original = list[int](), getattr(owner, name)

    def counting(*given: object) -> object:
        made.append(1)
        return original(*given)

    monkeypatch.setattr(owner, name, counting)
    return made


def test_a_warm_call_sums_the_weights_once_and_looks_at_the_parts_once(
    x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = _net()
    first = _asked(net, x)
    _asked(net, x)
    sums, looks = _counted(monkeypatch, Contents, "unchanged"), _counted(monkeypatch, network_parts, "_looked_at")
    hashed, samples = _counted(monkeypatch, _fingerprint, "fingerprint"), _counted(monkeypatch, Bits, "now")
    again = _asked(net, x)
    assert again.provenance["prepared"]["used"]
    assert np.array_equal(again.values, first.values)
    assert again.provenance["fingerprint"] == first.provenance["fingerprint"]
    assert (len(sums), len(hashed)) == (1, 0)
    assert len(looks) == 1
    assert len(samples) == 2  # small tensors of the program's, and those that it has nothing of


def _data(of: Callable[[nn.Sequential], Tensor], change: Callable[[Tensor], object]) -> Callable[[nn.Sequential], None]:
    def apply(net: nn.Sequential) -> None:
        change(of(net).data)

    return apply


_CHANGES: dict[str, Callable[[nn.Sequential], object]] = {
    "one folded weight": _data(lambda net: net[0][3].weight, lambda w: w[3, 2, 1, 1].add_(0.5)),
    "filters change places": _data(lambda net: net[0][3].weight, lambda w: w.copy_(w.flip(0))),
    "channels change places": _data(lambda net: net[0][3].weight, lambda w: w.copy_(w.roll(1, 1))),
    "a statistic": _data(lambda net: net[0][1].running_mean, lambda m: m[4].add_(1)),
    "the head, which is read in place": _data(lambda net: net[3].weight, lambda w: w.mul_(2)),
    "in place": lambda net: net[0][0].weight.requires_grad_(False).mul_(0.5),
    "another tensor": lambda net: setattr(net[0][0], "weight", nn.Parameter(net[0][0].weight.detach() * 0.5)),
    "an attribute": lambda net: setattr(net[0][3], "dilation", (2, 2)),
    "another part": lambda net: net[0].__setitem__(2, nn.Tanh()),
    "a hook": lambda net: net[0][2].register_forward_hook(lambda module, args, out: 2 * out),
    "a forward of its own": lambda net: setattr(net[0][2], "forward", lambda x: x),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_what_changes_between_two_warm_calls_is_seen(x: Tensor, change: str) -> None:
    net = _net()
    before = _asked(net, x)
    assert _asked(net, x).provenance["prepared"]["used"]
    _CHANGES[change](net)
    after = _asked(net, x)
    expected = seewhy.explain(net, x, "grad-cam", 1, layer="0", prepare=False)
    assert np.allclose(after.values, expected.values, rtol=1e-3, atol=1e-6)
    assert after.score == pytest.approx(expected.score, rel=1e-4)
    assert after.score != pytest.approx(before.score, rel=1e-4)
    if change not in ("a hook", "a forward of its own"):  # which are no part of what a network is
        assert after.provenance["fingerprint"] == expected.provenance["fingerprint"]
        assert after.provenance["fingerprint"] != before.provenance["fingerprint"]


def test_a_count_that_no_program_reads_is_part_of_the_fingerprint(x: Tensor) -> None:
    net = _net()
    before = _asked(net, x).provenance["fingerprint"]
    assert _asked(net, x).provenance["fingerprint"] == before
    net[0][1].num_batches_tracked.data.add_(1)
    assert _asked(net, x).provenance["fingerprint"] == seewhy.wrap(net).fingerprint() != before


def test_a_wrapper_has_a_fingerprint_of_its_own(x: Tensor) -> None:
    net = _net()
    wrapper = nn.DataParallel(net)
    own = _asked(net, x).provenance["fingerprint"]
    before = _asked(wrapper, x).provenance["fingerprint"]
    wrapper.gain = 2.0
    assert len({own, before, _asked(wrapper, x).provenance["fingerprint"]}) == 3


def test_a_warm_call_leaves_flags_random_numbers_and_settings_as_they_were(x: Tensor) -> None:
    net = _net()
    _asked(net, x)
    net.train()
    net[0][1].eval()
    flags = [part.training for part in net.modules()]
    torch.manual_seed(3)
    random.seed(3)
    before = torch.get_rng_state(), random.getstate(), torch.is_grad_enabled()
    with pytest.warns(UserWarning, match="train mode"):
        assert _asked(net, x).provenance["prepared"]["used"]
    assert [part.training for part in net.modules()] == flags
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), torch.is_grad_enabled()) == before[1:]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_parts_are_looked_at_anew_once_the_model_has_run(x: Tensor) -> None:
    class Counting(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x.mean((2, 3))

    network = Network(Counting().eval())
    with network.borrowed() as call:
        assert network.parts.seen.of("calls") == ()
        call(x)
        assert network.parts.seen.of("calls") == (1,)
        call(x)
        assert network.parts.seen.of("calls") == (2,)


def test_what_parts_have_is_found_by_name_whatever_else_they_have() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net.gain = 2
    parts = Parts(net)
    assert parts.seen.of("gain") == (2,)
    assert parts.seen.of("training") == (True,) * 3
    assert parts.seen.of("weight") == ()  # among the parameters
    assert [len(held) for held in parts.seen.of("_parameters")] == [0, 2, 0]
    net[1].gain = 3
    assert parts.seen.of("gain") == (2,)
    assert seen_of([*parts]).of("gain") == (2, 3)
    parts.forget()
    assert parts.seen.of("gain") == (2, 3)


@pytest.mark.parametrize("shape", [(32, 18, 3, 3), (960, 1, 3, 3), (128, 96, 1, 1), (48, 300), (64, 32, 5, 5)])
def test_contents_see_slices_change_places_along_every_axis(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    contents = Contents([tensor])
    for axis, length in enumerate(shape):
        for a, b in ((0, 1), (0, length - 1), (0, length // 2), (length // 3, length - 2)):
            if not a < b < length:
                continue
            kept = tensor.clone()
            tensor.index_copy_(axis, torch.tensor([a, b]), kept.index_select(axis, torch.tensor([b, a])))
            assert not contents.unchanged(), (axis, a, b)
            tensor.copy_(kept)
    assert contents.unchanged()


_TARGETS: dict[str, t.Target] = {
    "logit": t.Logit(3), "last": t.Logit(-1), "margin": t.Margin(1, 4), "centred": t.Centred(2),
    "sum": 2 * t.Logit(1) - t.Margin(2, 0), "probability": t.Probability(2), "mixed": t.Logit(1) + t.Probability(1),
}  # fmt: skip


@pytest.mark.parametrize("name", _TARGETS)
def test_slopes_that_targets_tell_are_those_of_autograd(name: str) -> None:
    logits = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    known = closed_form._slopes([_TARGETS[name]] * 2, logits)
    if name in ("probability", "mixed"):
        assert known is None
        return
    leaf = logits.clone().requires_grad_()
    (slope,) = torch.autograd.grad(_TARGETS[name](Outputs(leaf, 2)).sum(), leaf)
    assert torch.equal(known, slope)


def test_a_target_made_of_one_of_ours_is_differentiated(x: Tensor) -> None:
    class Squared(t.Logit):
        def __call__(self, output: object) -> Tensor:
            return super().__call__(output).square()

    net = _net()
    _asked(net, x)
    found = seewhy.explain(net, x, "grad-cam", Squared(1), layer="0", prepare=True)
    assert found.provenance["prepared"]["used"]
    expected = seewhy.explain(net, x, "grad-cam", Squared(1), layer="0", prepare=False)
    assert np.allclose(found.values, expected.values, rtol=1e-3, atol=1e-6)


def test_the_best_classes_come_in_the_order_of_a_whole_sort() -> None:
    draw = torch.Generator().manual_seed(0)
    rows = [torch.randint(0, 9, (30,), generator=draw).float() for _ in range(20)]
    rows += [torch.randn(30, generator=draw) for _ in range(20)]
    rows += [torch.tensor([1.0, float("nan"), 3.0, float("nan"), 2.0, 0.0, 5.0]), torch.ones(3), torch.ones(9)]
    for row in rows:
        assert torch.equal(_best(row, 5), row.argsort(descending=True)[:5])


@pytest.mark.parametrize("rewritten", [True, False])
def test_what_nobody_writes_into_is_captured_as_it_is(x: Tensor, rewritten: bool) -> None:
    net, gave = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Identity()), list[Tensor]()
    net[0].register_forward_hook(lambda module, args, out: gave.append(out))
    with capture({"0": find_place(net, "0")}, graph="lazy", rewritten=rewritten) as tape, torch.no_grad():
        out = net(x)
    assert (tape.activations["0"] is gave[0]) is not rewritten
    assert (out is gave[0]) is not rewritten
    assert tape.activations["0"].requires_grad
