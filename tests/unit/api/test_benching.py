"""Benchmarks of a model at hand, on networks that answer in no time: what is timed, what is told, nothing left behind."""

from __future__ import annotations

import copy
import json
import queue
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.api.bench import entering, peers, running
from seewhy.api.bench.entering import Entry, StandIn, prepared
from seewhy.api.bench.peers import Asked
from seewhy.api.bench.racing import Contestant, Lap
from seewhy.api.bench.result import Bench, MethodBench
from seewhy.api.bench.running import bench
from seewhy.core.compile.fusing import can_fuse
from seewhy.core.network.foreign import Foreign, Program
from seewhy.errors import TargetError, UnknownName, UsageError

X = torch.rand(3, 12, 14, generator=torch.Generator().manual_seed(0))
METHODS = ["grad-cam", "saliency", "integrated-gradients", "occlusion"]


def _net(*more: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4), *more)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other library is installed."""
    for name in ("captum.attr", "pytorch_grad_cam", "torchcam.methods", "zennit.attribution"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[peers.Asked], Any]], None]:
    """Make one library, called ``other``, that runs the function given."""

    def make(run: Callable[[peers.Asked], Any]) -> None:
        made = ModuleType("seewhy.api.bench.peers.other_")
        made.LIBRARY, made.PACKAGE = "other", "other"
        made.contestants = lambda asked: [Contestant("other", lambda: run(asked), setting="n=1")]
        monkeypatch.setitem(sys.modules, made.__name__, made)
        monkeypatch.setattr(peers, "LIBRARIES", ("other_",))

    return make


@pytest.mark.usefixtures("nobody", "no_step_pays")
def test_the_usual_methods_with_a_forward_beside_each() -> None:
    found = bench(_net().eval(), X, rounds=1)
    assert [each.method for each in found.methods] == METHODS
    assert [(each.forwards, each.backwards) for each in found.methods] == [(1, 1), (1, 1), (52, 50), (43, 0)]
    assert found.methods[0].layer == "0"
    for each in found.methods:
        assert [(lap.name, lap.on) for lap in each.laps] == [("seewhy", "eager"), ("forward", "eager")]
        assert each.in_forwards(each.laps[0]) == each.seconds() / each.seconds("forward")
    assert found.preparation == {"state": "not prepared: the model itself is as fast"}
    assert set(found.missing) == {"captum", "pytorch-grad-cam", "torchcam", "zennit"}
    assert found.missing["pytorch-grad-cam"].startswith("not installed: pip install grad-cam")


@pytest.mark.usefixtures("nobody", "no_step_pays")
def test_json_and_markdown_tell_the_same() -> None:
    found = bench(_net().eval(), X, ["grad-cam"], target=2, rounds=2)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["facts"]["target"] == "class 2"
    assert document["forward"]["prepared"] is None
    ours, forward = document["methods"][0]["contestants"]
    assert len(ours["seconds"]) == len(forward["seconds"]) == 2
    text = found.markdown()
    assert "| grad-cam at 0 | 1 forward, 1 backward | seewhy |" in text
    assert "- zennit: not" not in text  # which has no such method, installed or not
    assert "- captum: not installed" in text


def test_a_library_gets_a_copy_and_its_result_is_judged(library: Any) -> None:
    def half(asked: peers.Asked) -> np.ndarray:
        with torch.no_grad():
            asked.module[3].weight.zero_()
        asked.module.train()
        return np.zeros((1, *asked.x.shape[1:]))

    library(half)
    net = _net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.warns(UserWarning, match="train mode"):
        found = bench(net, X, "saliency", rounds=1).methods[0]
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    other = next(lap for lap in found.laps if lap.name == "other")
    assert (other.difference, other.agrees, other.setting) == (pytest.approx(1.0), False, "n=1")
    assert found.fastest is other
    row = next(row for row in Bench("m", {}, (found,)).rows() if row[2].startswith("other"))
    assert (row[2], row[6]) == ("other (n=1)", "differs (1.0e+00)")


def test_a_library_that_fails_is_told(library: Any) -> None:
    def fail(asked: peers.Asked) -> np.ndarray:
        raise KeyError("hook")

    library(fail)
    found = bench(_net().eval(), X, "saliency", rounds=1)
    assert found.methods[0].fastest is None
    assert ("other (n=1)", "", "", "", "failed: KeyError: 'hook'") in [row[2:] for row in found.rows()]


def test_a_prepared_model_is_raced_too(library: Any) -> None:
    asked_of, heard = list[peers.Asked](), list[torch.Size]()

    def run(asked: peers.Asked) -> np.ndarray:
        asked_of.append(asked)
        handle = asked.place.register_forward_hook(lambda layer, given, made: heard.append(made.shape))
        gradient = torch.autograd.grad(asked.module(leaf := asked.x.clone().requires_grad_())[:, 1].sum(), leaf)[0]
        handle.remove()
        return gradient.numpy()

    library(run)
    net = _net().eval()
    found = bench(net, X, "saliency", target=1, rounds=1)
    assert found.preparation["batch norms"] == "1"
    assert f"kept: {'tiles' if can_fuse(X) else 'channels_last'}" in found.preparation["gradients"]
    (method,) = found.methods
    assert [(lap.name, lap.on) for lap in method.laps] == [
        (name, on) for name in ("seewhy", "forward") for on in ("eager", "prepared")
    ] + [("other", "eager"), ("other", "prepared")]
    assert all(lap.agrees for lap in method.laps if lap.name != "forward")
    assert found.forward("prepared") > 0
    modules = [each.module for each in asked_of]
    assert net not in modules
    assert {isinstance(each, StandIn) for each in modules} == {False, True}
    heard.clear()
    run(Asked(prepared(seewhy.wrap(net), X[None], "0").module, X[None], "saliency", [1], "0"))
    assert heard == [(1, 6, 10, 12)]


def test_the_bare_pass_prepared_is_the_one_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = list[bool]()

    class Bare(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            ran.append(torch.is_grad_enabled())
            return x

    monkeypatch.setattr(running, "prepared", lambda *given: Entry(None, Bare(), {"made": "by hand"}))
    found = bench(_net().eval(), X, "saliency", target=1, rounds=3, peers=False)
    assert found.preparation == {"made": "by hand"}
    assert ran == [False] * (1 + len(next(lap for lap in found.methods[0].laps if lap.on == "prepared").seconds))


def test_scores_are_prepared_apart_from_gradients() -> None:
    x = X[None].clone().requires_grad_()
    net = _net().eval()
    found = prepared(seewhy.wrap(net), x.detach())
    with torch.no_grad():
        expected = net(x)
    for made, records in ((found.module, True), (found.scores, False)):
        assert made(x).requires_grad is records
        assert torch.allclose(made(x), expected, atol=1e-5)
    assert "kept: tiles" in found.record["scores"] or not can_fuse(x)
    assert found.record["checked"].count("agrees") == 2


def test_a_stand_in_is_hooked_replaced_and_copied_as_a_module_is() -> None:
    net = _net().eval()
    model, x = seewhy.wrap(net), torch.stack([X, X.flip(-1)])
    made, again = (prepared(model, x, "0").module for _ in range(2))
    assert [each.device for each in made.parameters()] == [x.device]
    with torch.no_grad():
        assert not made(x).requires_grad
        inner, expected = net[0](x), net(x)
    assert torch.allclose(made(x), expected, atol=1e-5)
    assert made(x).requires_grad  # as of a module with weights, though x wants no gradient
    assert not x.requires_grad

    def heard(module: nn.Module, at: nn.Module) -> list[Tensor]:
        got = list[Tensor]()
        handle = at.get_submodule("0").register_forward_hook(lambda layer, given, out: got.append(out.detach()))
        module(x)
        handle.remove()
        return got

    copied = copy.deepcopy(made)
    for module in (made, copied):
        (activation,) = heard(module, module)
        assert torch.allclose(activation, inner, atol=1e-5)
    for module, at in ((copied, made), (made, copied), (again, made)):
        assert heard(module, at) == []

    class Zero(nn.Module):
        def forward(self, given: Tensor) -> Tensor:
            return given * 0

    made.add_module("0", Zero())
    assert torch.allclose(made(x), net[3].bias.expand(2, 4))
    for module in (copied, again):
        assert torch.allclose(module(x), expected, atol=1e-5)
    # nothing of it stays in the module that stands behind all three
    made(x)
    assert torch.allclose(seewhy.prepare(net, x, ["0"]).module(x), expected, atol=1e-5)


def test_a_preparation_that_was_dropped_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = SimpleNamespace(module=None, record={"used": False, "why": "its scores differ"})
    monkeypatch.setattr(entering, "prepare", lambda *given, **named: dropped)
    found = prepared(seewhy.wrap(_net()), X[None])
    assert (found.module, found.scores, found.why) == (None, None, "not prepared: its scores differ")
    laps = bench(_net().eval(), X, "saliency", rounds=1, peers=False).methods[0].laps
    assert {lap.on for lap in laps} == {"eager"}


@pytest.mark.parametrize("method", ["guided-backprop", "deconvnet"])
def test_libraries_that_hook_rectifiers_get_no_prepared_model(method: str) -> None:
    pytest.importorskip("captum")
    found = bench(_net().eval(), X, method, rounds=1)
    laps = [(lap.name, lap.on) for lap in found.methods[0].laps]
    assert ("captum", "eager") in laps
    assert ("seewhy", "prepared") in laps
    assert [name for name, on in laps if on == "prepared"] == ["seewhy", "forward"]
    assert found.missing[f"{method} on our prepared model"].startswith("other libraries left out: they hook")


def test_a_callable_is_timed_where_it_can_be() -> None:
    net = _net().eval()
    found = bench(lambda x: net(x), X, rounds=1)
    assert [each.method for each in found.methods] == ["occlusion", "rise"]
    assert all(each.seconds("forward") > 0 for each in found.methods)
    assert found.missing == {"peers": "not run: they explain torch modules, not plain callables"}
    refused = bench(lambda x: net(x), X, "saliency", rounds=1).methods[0]
    assert "a callable has scores only" in refused.failure
    assert refused.laps == ()


@pytest.mark.parametrize(("fixture", "kinds"), [("no_step_pays", 1), ("steps_pay", 2)])
def test_the_bare_pass_of_what_runs_outside_torch_is_its_own(
    fixture: str, kinds: int, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(fixture)
    # no list, which would be state that every forward changes: a network with that has no program
    net, ran = _net().eval(), queue.SimpleQueue[int]()

    class Outside(Program):
        runtime, tolerance = "elsewhere", 1e-3

        def run(self, x: Tensor) -> Any:
            ran.put(len(x))
            return net(x), ()

    class Stands(Foreign):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.program = _net(), Outside()

        def forward(self, x: Tensor) -> Any:
            return self.net(x)

    stands = Stands().eval()
    found = bench(stands, X, "saliency", rounds=4)
    assert found.missing == {"peers": "not run: elsewhere gives this model's scores, and they explain torch modules"}
    assert found.methods[0].seconds("forward") > 0
    before = ran.qsize()
    bench(stands, X, "saliency", rounds=9)
    # five rounds more: in each the bare pass, and the check that saliency makes of the module, on every kind
    assert ran.qsize() - before == before + 10 * kinds


def test_settings_reach_the_methods_that_take_them() -> None:
    found = bench(
        _net().eval(), X, ["occlusion", "integrated-gradients", "saliency"], rounds=1, peers=False,
        settings={"window": 4, "steps": 3, "fill": 0.5},
    )  # fmt: skip
    windows, path, _ = found.methods
    assert windows.settings == "window=4, stride=2, fill=0.5"
    assert (path.forwards, path.backwards) == (5, 3)
    adaptive = bench(
        _net().eval(), X, "integrated-gradients", rounds=1, peers=False, settings={"rule": "adaptive", "max_steps": 8}
    ).methods[0]
    assert adaptive.settings == "rule=adaptive, baseline=0.0, max_steps=8"


def test_what_a_method_lacks_is_told_and_the_others_run() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 14, 4)).eval()
    found = bench(net, X, ["guided-backprop", "saliency"], rounds=1, peers=False)
    assert "rectifier" in found.methods[0].failure or "activation" in found.methods[0].failure
    assert found.methods[1].seconds() > 0


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"method": "gradcam"}, UnknownName, "nearest: 'grad-cam'"),
        ({"method": []}, UsageError, "no methods"),
        ({"method": "maximise"}, UsageError, "seewhy maximise runs it"),
        ({"method": "saliency", "settings": {"stepz": 1}}, UnknownName, "no parameter 'stepz' of saliency"),
        ({"method": "saliency", "settings": {"fill": 0}}, UsageError, "fill=0: saliency has none"),
        ({"method": "saliency", "target": 4}, TargetError, "no class 4: the output has 4, the last is 3"),
        ({"method": "grad-cam", "layer": "9"}, UnknownName, "no layer '9'"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        bench(_net().eval(), X, rounds=1, peers=False, **given)


def test_a_model_without_classes_is_refused() -> None:
    with pytest.raises(TargetError, match="no row of class scores"):
        bench(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), X, "saliency", rounds=1, peers=False)


def test_times_are_told_beside_the_best_of_ours() -> None:
    laps = (
        Lap("seewhy", "eager", seconds=(2.0,), agrees=True, difference=0.0),
        Lap("seewhy", "prepared", seconds=(1.0,), agrees=True, difference=1e-3),
        Lap("forward", "eager", seconds=(0.5,)),
        Lap("other", "eager", seconds=(3.0,), agrees=True, difference=1e-6),
    )
    rows = Bench("m", {}, (MethodBench("saliency", forwards=1, backwards=1, laps=laps),)).rows()
    assert [row[2:] for row in rows] == [
        ("seewhy", "2 s", "4.0", "", "the reference"),
        ("seewhy, prepared", "1 s", "2.0", "", "equal (1.0e-03)"),
        ("other", "3 s", "6.0", "3.00x", "equal (1.0e-06)"),
    ]
