"""Programs that stand for a model: where they were wrong once, and the mechanisms that keep them from it.

Right values are computed by hand, on the model itself, in float64.
"""

from __future__ import annotations

import copy
import pydoc
import signal
import threading
import time
import types
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

import seewhy
from networks import FusedAttention, Transformer
from seewhy.api.given.images import read_items
from seewhy.core.compile.building import Build, Prepared, Steps
from seewhy.core.compile.checksums import Contents
from seewhy.core.compile.closed_form import Closed
from seewhy.core.compile.export import export
from seewhy.core.compile.programs import Preparer
from seewhy.core.compile.state import structure
from seewhy.core.compile.state_of_code import read_by
from seewhy.core.forward.demand import Use
from seewhy.core.intercept.functions import Interceptor
from seewhy.core.memory_budget import Meter
from seewhy.core.network.borrowed import Network
from seewhy.core.uninterrupted import apart
from seewhy.registry import methods

ALL = Steps(True, True, True, True)
#: globals that a forward below reads
GAIN = 1.0
SETTINGS = types.SimpleNamespace(gain=1.0)


class Net(nn.Module):
    """A small network with a batch norm, for pictures of any size."""

    def __init__(self, end: nn.Module | None = None, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))
        self.end = end or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.head(self.features(x)))


def seeded(make: Callable[[], nn.Module]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = make().eval()
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_()  # type: ignore[union-attr,operator]
                part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr,operator]
        return net


def images(batch: int, channels: int = 3, size: int = 24) -> Tensor:
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(7))


def alike(found: Any, exact: Any, share: float = 1e-3) -> bool:
    """Whether every map is the exact one, up to a share of its size."""
    pairs = zip(*([each] if isinstance(each, seewhy.Explanation) else each for each in (found, exact)), strict=True)
    return all(np.linalg.norm(a.values - b.values) <= share * np.linalg.norm(b.values) for a, b in pairs)


def occluded(net: nn.Module, x: Tensor, target: int, window: int) -> np.ndarray[Any, Any]:
    """Occlusion by hand: what the logit loses where a window is set to 0, windows side by side, in float64."""
    double = copy.deepcopy(net).double()
    double.end = nn.Identity()
    x, size = x.double(), x.shape[-1]
    values = np.zeros((size, size))
    with torch.no_grad():
        whole = double(x)[0, target]
        for top in range(0, size, window):
            for left in range(0, size, window):
                changed = x.clone()
                changed[..., top : top + window, left : left + window] = 0
                values[top : top + window, left : left + window] = float(whole - double(changed)[0, target])
    return values


# ---------------------------------------------------------------------------------------------- where a graph is made


@pytest.mark.parametrize("prepare", ["auto", True, "verify"])
@pytest.mark.parametrize("method", ["saliency", "grad-cam", "rise", "occlusion"])
@pytest.mark.parametrize("batch", [3, 5])
def test_several_images_in_one_call(batch: int, method: str, prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seewhy.core.compile.programs.PRICE", 0.0)
    monkeypatch.setattr("seewhy.core.compile.programs.PASSES", 0)
    asked: dict[str, Any] = {"target": 1} | ({"n": 24} if method == "rise" else {})
    asked |= {"window": 8, "stride": 8} if method == "occlusion" else {}
    net = seeded(Net)
    found = seewhy.explain_all(net, images(batch), method, **asked, prepare=prepare)
    if method != "grad-cam":  # whose layer is chosen on the model
        assert found[0].provenance["prepared"]["used"] or prepare == "auto"
    assert alike(found, seewhy.explain_all(net, images(batch), method, **asked, prepare=False))


def test_a_graph_is_made_outside_every_mode() -> None:
    net = seeded(Net)
    with Meter():
        assert export(net, images(2)).operations > 4
        assert len(_get_current_dispatch_mode_stack()) == 1
        assert apart(lambda: len(_get_current_dispatch_mode_stack())) == 0


def test_an_interruption_waits_for_what_does_not_stand_one() -> None:
    import _thread

    ended: list[str] = []

    def work() -> None:
        _thread.interrupt_main()
        time.sleep(0.3)
        ended.append(threading.current_thread().name)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            apart(work)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended == ["seewhy-apart"]


def test_what_it_raises_is_raised() -> None:
    assert apart(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 / 0)


# -------------------------------------------------------------------------------------------- where a forward is split


@pytest.mark.parametrize("end", [nn.Softmax(1), nn.Sigmoid(), nn.LogSoftmax(1)], ids=lambda end: type(end).__name__)
@pytest.mark.parametrize(
    "method", ["rise", "lime", "kernel-shap", "feature-ablation", "hsic", "sobol", "score-cam", "occlusion"]
)
def test_a_network_that_ends_in_a_squash(method: str, end: nn.Module) -> None:
    net = seeded(lambda: Net(end))
    asked: dict[str, Any] = {"target": 1, "layer": "features"} if method == "score-cam" else {"target": 1}
    asked |= {"window": 8, "stride": 8} if method == "occlusion" else {}
    asked |= {"n": 64} if method in ("rise", "lime", "kernel-shap", "hsic") else {}
    asked |= {"n": 88, "cells": 3} if method == "sobol" else {}
    asked |= {"segments": "grid"} if method in ("lime", "kernel-shap", "feature-ablation") else {}
    exact = seewhy.explain_all(net, images(3), method, **asked, prepare=False)
    found = seewhy.explain_all(net, images(3), method, **asked, prepare=True)
    assert found[0].provenance["prepared"]["used"]
    assert alike(found, exact)
    assert found[0].notes == exact[0].notes  # nothing had to be computed again


def test_pieces_give_the_logits_behind_a_squash() -> None:
    """The kind: a batch in pieces, put together; what is noted of a call must be noted of the whole."""
    net, x = seeded(lambda: Net(nn.Softmax(1))), images(5)
    program, _ = Build(export(net, x)).program([], "none", ALL)
    program.chunk = 2
    squashed: list[tuple[int, ...]] = []
    live = program.start(x)

    def seen(call: Any, proceed: Any) -> Any:
        squashed.append(tuple(call.args[0].shape))
        return proceed(call)

    with Interceptor([{"softmax": seen}]):
        found = program.finish(*live)
    assert squashed == [(5, 5)]
    assert torch.allclose(found, net(x), atol=1e-5)


def test_occlusion_of_a_softmax_network_by_hand() -> None:
    net, x = seeded(lambda: Net(nn.Softmax(1))), images(1)
    net.head[2].weight.data *= 30  # so sure that probabilities tell nothing
    right = occluded(net, x, 1, 4)
    for prepare in (False, True, "verify"):
        found = seewhy.explain(net, x, "occlusion", 1, window=4, stride=4, fill=0.0, prepare=prepare)
        assert np.abs(found.values - right).max() <= 1e-3 * np.abs(right).max()


def test_numbers_read_of_the_input_are_those_of_the_whole_batch() -> None:
    class Sized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x).relu().mean((2, 3))
            return self.head(y.view(x.shape[0], -1)).softmax(1)

    net, x = seeded(Sized), images(5, size=8)
    program, _ = Build(export(net, x)).program([], "none", ALL)
    program.chunk = 2
    assert torch.allclose(program(x), net(x), atol=1e-5)
    assert program.chunk == 2


# ------------------------------------------------------------------------------------------------- the user's own model


@pytest.mark.parametrize("kind", ["segformer", "beit"])
def test_a_transformers_model_gives_what_it_gave(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    if kind == "segformer":
        config = transformers.SegformerConfig(
            hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, decoder_hidden_size=16, num_labels=3, image_size=64
        )
        make = transformers.SegformerForSemanticSegmentation
    else:
        config = transformers.BeitConfig(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=64,
            out_indices=[1, 2, 3, 4], num_labels=3, use_relative_position_bias=True,
        )  # fmt: skip
        make = transformers.BeitForSemanticSegmentation
    net, x = seeded(lambda: make(config)), images(2, size=64)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        before = twin(x).logits
    made = seewhy.prepare(net, x)
    with torch.no_grad():
        assert torch.equal(net(x).logits, before)
    hooks = [len(part._forward_hooks) for part in net.modules()]
    assert hooks == [len(part._forward_hooks) for part in twin.modules()]
    assert vars(net).keys() == vars(twin).keys()
    assert made.record.get("why", "") or made.module is not None


# --------------------------------------------------------------------------------------------- state that is not noticed


class Clamping:
    """A hook that clamps, far beyond what the first image gives."""

    def __call__(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        return output.clamp(max=0.5)


class Stateful(Net):
    """Reads a number from every place where Python has one."""

    scale = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.cfg: dict[str, Any] = {"gain": 1.0, "deep": {"list": [1.0]}}
        self.gains = [1.0]
        self.array = np.ones(1)
        self.other = types.SimpleNamespace(gain=1.0)
        self.loose = torch.ones(1)
        self.blocks = [nn.Conv2d(16, 16, 1)]

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks[0](self.features(x)).relu()
        y = y * self.cfg["gain"] * self.cfg["deep"]["list"][0] * self.gains[0] * float(self.array[0])
        return self.head(y * self.other.gain * self.scale * GAIN * SETTINGS.gain * read() * self.loose)


def read(gain: list[float] = [1.0]) -> float:  # noqa: B006 - a default that is changed is one of the cases
    return gain[0]


def _hook(net: Any) -> None:
    net.features[2].register_forward_hook(Clamping())


def _cfg(net: Any) -> None:
    net.cfg["gain"] = 3.0


def _deep(net: Any) -> None:
    net.cfg["deep"]["list"][0] = 3.0


def _list(net: Any) -> None:
    net.gains[0] = 3.0


def _array(net: Any) -> None:
    net.array[0] = 3.0


def _object(net: Any) -> None:
    net.other.gain = 3.0


def _class(net: Any) -> None:
    type(net).scale = 3.0


def _global(net: Any) -> None:
    globals()["GAIN"] = 3.0


def _global_object(net: Any) -> None:
    SETTINGS.gain = 3.0


def _default(net: Any) -> None:
    read.__defaults__[0][0] = 3.0  # type: ignore[index]


def _loose(net: Any) -> None:
    net.loose.data.fill_(3.0)


def _hidden(net: Any) -> None:
    net.blocks[0].weight.data.mul_(3.0)


def _exchanged(net: Any) -> None:
    """Two values change places within what is summed up together."""
    data, version = net.features[3].weight.data.view(-1), net.features[3].weight._version
    data[[0, -1]], data[[1, 77]] = 4 + data[[-1, 0]], data[[77, 1]]
    data[[0, -1]] -= 4
    order = data.argsort()
    data.copy_(data[order])
    assert net.features[3].weight._version == version


def _autocast(net: Any) -> None:
    """Entered by the test."""


STATES = [
    _hook, _cfg, _deep, _list, _array, _object, _class, _global, _global_object, _default, _loose, _hidden, _exchanged,
    _autocast,
]  # fmt: skip


@pytest.mark.parametrize("change", STATES, ids=lambda change: change.__name__[1:])
@pytest.mark.parametrize("method", ["saliency", "occlusion"])
def test_a_change_anywhere_is_noticed(
    change: Callable[[Any], None], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Preparer, "due", lambda self, use, samples, size=None: False)  # by the guards alone
    net, x = seeded(Stateful), images(1)
    asked: dict[str, Any] = {"window": 8, "stride": 8} if method == "occlusion" else {}
    try:
        before = seewhy.explain(net, x, method, 1, **asked, prepare=True)
        assert before.provenance["prepared"]["used"]
        change(net)
        around: Any = torch.autocast("cpu", torch.bfloat16) if change is _autocast else nullcontext()
        with around:
            found = seewhy.explain(net, x, method, 1, **asked, prepare=True)
            exact = seewhy.explain(net, x, method, 1, **asked, prepare=False)
    finally:
        globals()["GAIN"], SETTINGS.gain, Stateful.scale = 1.0, 1.0, 1.0
        read.__defaults__[0][0] = 1.0  # type: ignore[index]
    assert not alike(before, exact)
    assert alike(found, exact)


class Held:
    """What an object of the user's reads of its class, and its method of the module."""

    gain = 1.0
    deep: dict[str, list[float]] = {"list": [1.0]}

    class Inner:
        gain = 1.0

    def read(self) -> float:
        return GAIN * self.Inner.gain


class Heir(Held):
    """Has all of that from its base."""


class Chosen:
    gain = 1.0


class Nested:
    class MODEL:
        class HEAD:
            gain = 1.0


class Listed(list[float]):
    gain = 1.0


class Holding(Net):
    """Reads numbers of the classes of what it holds, and of tensors that are neither parameters nor buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.held, self.kind, self.listed = Heir(), Chosen, Listed([1.0])
        self.number, self.whole = torch.ones(1), torch.ones(2, dtype=torch.int64)
        self.many = torch.ones(10_000)

    def forward(self, x: Tensor) -> Tensor:
        gain = self.held.gain * self.held.deep["list"][0] * self.held.read() * self.kind.gain * self.listed.gain
        gain *= Nested.MODEL.HEAD.gain * self.number.item() * self.whole.tolist()[1] * self.many.tolist()[777]
        return super().forward(x) * gain


Patch = pytest.MonkeyPatch
HELD: dict[str, Callable[[Any, Patch], Any]] = {
    "class": lambda net, patch: patch.setattr(Held, "gain", 3.0),
    "container": lambda net, patch: patch.setitem(Held.deep, "list", [3.0]),
    "inner": lambda net, patch: patch.setattr(Held.Inner, "gain", 3.0),
    "global": lambda net, patch: patch.setitem(globals(), "GAIN", 3.0),
    "kind": lambda net, patch: patch.setattr(Chosen, "gain", 3.0),
    "listed": lambda net, patch: patch.setattr(Listed, "gain", 3.0),
    "nested": lambda net, patch: patch.setattr(Nested.MODEL.HEAD, "gain", 3.0),
    "number": lambda net, patch: net.number.data.fill_(3.0),
    "numpy": lambda net, patch: net.whole.numpy().fill(3),
    "many": lambda net, patch: net.many.data[777:778].fill_(3.0),
}


@pytest.mark.parametrize("change", HELD)
def test_a_change_in_what_is_held_is_noticed(change: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Preparer, "due", lambda self, use, samples, size=None: False)  # by the guards alone
    net, x = seeded(Holding), images(1)
    before = seewhy.explain(net, x, "saliency", 1, prepare=True)
    assert before.provenance["prepared"]["used"]
    HELD[change](net, monkeypatch)
    found = seewhy.explain(net, x, "saliency", 1, prepare=True)
    assert found.provenance["prepared"]["used"]
    np.testing.assert_allclose(found.values, 3 * before.values, rtol=1e-3, atol=1e-6 * np.abs(before.values).max())


def test_what_has_no_gradient_in_the_graph_alone_is_left_to_the_model() -> None:
    """Exported, ``copy_`` into a new tensor is an operation that torch cannot differentiate."""

    class Copies(Net):
        def forward(self, x: Tensor) -> Tensor:
            y = self.features(x)
            copied = torch.empty_like(y)
            copied.copy_(y)
            return self.head(copied)

    net, x = seeded(Copies), images(3)
    for method in ("occlusion", "grad-cam", "saliency"):
        found, exact = (seewhy.explain_all(net, x, method, 1, prepare=mode) for mode in (True, False))
        assert alike(found, exact)
    words = str(found[0].provenance["prepared"])
    assert "cannot be differentiated" in words or "does not run" in words


def test_what_a_forward_changes_by_itself_is_no_programs_business() -> None:
    class Remembering(Net):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[int] = []

        def forward(self, x: Tensor) -> Tensor:
            self.seen.append(len(x))
            return super().forward(x) * len(self.seen)

    net = seeded(Remembering)
    found = seewhy.explain(net, images(1), "saliency", 1, prepare=True)
    assert "changes the model's own attributes" in found.provenance["prepared"]["why"]
    assert all(type(each) is int for each in net.seen)  # no stand-in of a tensor's size


def test_numbers_drawn_outside_torch() -> None:
    import random

    class Drawing(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * (1 + random.random())

    found = seewhy.explain(seeded(Drawing), images(1), "saliency", 1, prepare=True)
    assert "random numbers" in found.provenance["prepared"]["why"]


def test_contents_see_two_values_change_places() -> None:
    tensor = torch.randn(64, 64, 3, 3)
    flat = tensor.view(-1)
    for a, b in [(0, 1), (1, 3), (5, 2053), (1, 2049), (3, 9000), (100, len(flat) - 1)]:
        for values in ((0.25, 1.5), (2.0, -2.0), (float("inf"), 1.0), (0.0, -0.0)):
            flat[a], flat[b] = values
            contents = Contents([tensor])
            assert contents.unchanged()
            flat[a], flat[b] = values[::-1]
            assert not contents.unchanged(), (a, b, values)


def test_what_cannot_be_watched_has_no_program() -> None:
    net = seeded(Net)
    net.table = np.zeros(100_000)
    found = seewhy.explain(net, images(1), "saliency", 1, prepare=True)
    assert "'table' is a large numpy array" in found.provenance["prepared"]["why"]


def test_what_functions_read_is_found() -> None:
    named = {name for name, _ in read_by((Stateful,))}
    assert {"GAIN", "SETTINGS", "read", "scale"} <= named
    assert structure(list(seeded(Net).modules())) != structure(list(seeded(Net).modules()))


# ---------------------------------------------------------------------------------------------------- tensors and inputs


class Twice(nn.Module):
    """One weight, at two strides and paddings."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.2 * torch.randn(8, 8, 3, 3))
        self.first, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x).relu()
        y = nn.functional.conv2d(y, self.weight, stride=2, padding=1).relu()
        y = nn.functional.conv2d(y, self.weight, stride=1, padding=1).relu()
        y = nn.functional.conv2d(y, self.weight, stride=1, padding=2, dilation=2).relu()
        return self.head(y.mean((2, 3)))


@pytest.mark.parametrize("method", ["saliency", "guided-backprop", "occlusion", "integrated-gradients"])
@pytest.mark.parametrize("steps", [ALL, Steps(True, True, True)], ids=["tiles", "fused"])
def test_one_weight_at_two_strides(method: str, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seewhy.core.compile.fastest.best_steps", lambda *a, **k: (steps, {}))
    net, x = seeded(Twice), images(2, size=12)
    asked: dict[str, Any] = {"window": 4} if method == "occlusion" else {}
    found = seewhy.explain_all(net, x, method, 1, **asked, prepare=True)
    assert found[0].provenance["prepared"]["used"]
    assert alike(found, seewhy.explain_all(net, x, method, 1, **asked, prepare=False))


class FarFromZero(nn.Module):
    """Group norms of numbers that are nearly the same."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.stem, self.next = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norms = nn.ModuleList([nn.GroupNorm(groups, 8), nn.GroupNorm(groups, 8)])
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norms[0](1e-3 * self.stem(x) + 1).relu()
        x = self.norms[1](1e-3 * self.next(x) + 1).relu()
        return self.head(x.amax((2, 3)))


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("steps", [Steps(True, True), Steps(True, True, True), ALL], ids=["last", "fused", "tiles"])
def test_group_norms_keep_their_digits(groups: int, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pictures that lie channels last torch takes a group's variance for the difference of two large numbers."""
    monkeypatch.setattr("seewhy.core.compile.fastest.best_steps", lambda *a, **k: (steps, {}))
    net, x = seeded(lambda: FarFromZero(groups)), images(2, size=16)
    with torch.no_grad():
        right = copy.deepcopy(net).double()(x.double())
        build = Build(export(net, x))
        program, _ = build.program((), "none", steps)
        given = program.finish(*program.start(x))
    assert float((given - right).abs().max()) < 1e-3
    found = seewhy.explain_all(net, x, "occlusion", 1, window=4, prepare=True)
    assert all("agrees" in str(each.provenance["prepared"]["checked"]) for each in found)


class Meta(Tensor):
    """A tensor that knows more than its numbers, as those of medical images do."""


@pytest.mark.parametrize(
    "method", ["saliency", "guided-backprop", "deconvnet", "lrp", "excitation-backprop", "occlusion"]
)
@pytest.mark.parametrize("prepare", [False, True])
def test_subclasses_of_tensors_are_tensors(method: str, prepare: bool) -> None:
    net, x = seeded(Net), images(1)
    asked: dict[str, Any] = {"window": 8} if method == "occlusion" else {}
    exact = seewhy.explain(net, x, method, 1, **asked, prepare=False)
    found = seewhy.explain(net, x.as_subclass(Meta), method, 1, **asked, prepare=prepare)  # type: ignore[arg-type]
    assert alike(found, exact)


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("saliency", {}),
        ("integrated-gradients", {"baseline": 0}),
        ("deep-lift", {"baseline": 0}),
        ("occlusion", {"fill": 0}),
    ],
)
def test_networks_are_given_plain_tensors(method: str, given: dict[str, Any]) -> None:
    """Whatever the picture, a baseline or a fill was: a subclass has functions of its own for everything."""
    net, x, seen = seeded(Net), images(1), set[type]()
    net.register_forward_pre_hook(lambda module, inputs: seen.add(type(inputs[0])))
    asked = {name: x[0].as_subclass(Meta).flip(2) for name in given}
    seewhy.explain(net, x.as_subclass(Meta), method, 1, **asked)
    assert seen == {Tensor}
    (item,), _ = read_items(seewhy.wrap(net), x.as_subclass(Meta))
    assert type(item.tensor) is Tensor


class Grey(nn.Module):
    """Reads its maps in the order in which they lie."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4 * 8 * 8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).relu().view(len(x), -1))


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("method", ["saliency", "grad-cam", "occlusion", "lrp", "rise", "integrated-gradients"])
@pytest.mark.parametrize("batch", [1, 3])
def test_grey_pictures_keep_their_order_in_memory(batch: int, method: str, prepare: bool) -> None:
    net, x = seeded(Grey), images(batch, 1, 8)
    asked: dict[str, Any] = {"window": 2} if method == "occlusion" else {"n": 16} if method == "rise" else {}
    asked |= {"layer": "conv"} if method == "grad-cam" else {}
    found = seewhy.explain_all(net, x, method, 1, **asked, prepare=prepare)
    exact = seewhy.explain_all(copy.deepcopy(net), [each[None] for each in x], method, 1, **asked, prepare=False)
    assert alike(found, exact)


@pytest.mark.parametrize("order", ["plain", "channels last", "turned"])
@pytest.mark.parametrize("channels", [1, 3])
def test_without_programs_every_bit_is_the_models(channels: int, order: str) -> None:
    net, x = seeded(lambda: Net(channels=channels)), images(2, channels)
    if order == "channels last":
        x = x.contiguous(memory_format=torch.channels_last)
    if order == "turned":
        x = x.transpose(2, 3).contiguous().transpose(2, 3)
    met: list[tuple[int, ...]] = []
    net.register_forward_pre_hook(lambda module, args: met.append(args[0].stride()))
    found = seewhy.explain_all(net, x, "saliency", 1, reduce="none", prepare=False)
    leaf = x.clone().requires_grad_()
    assert met[0][1:] == leaf.stride()[1:] or channels == 1
    (right,) = torch.autograd.grad(net(leaf)[:, 1].sum(), leaf)
    for each, one in zip(found, right, strict=True):
        assert np.array_equal(each.values, one.numpy())


# ------------------------------------------------------------------------------------------------------- spot checks


def _wrong(monkeypatch: pytest.MonkeyPatch, sound: int, change: Callable[[Any], Any]) -> None:
    """Programs are right ``sound`` times and wrong from then on."""
    finish, calls = Prepared.finish, [0]

    def lying(self: Prepared, *live: Any) -> Any:
        calls[0] += 1
        return finish(self, *live) if calls[0] <= sound else change(finish(self, *live))

    monkeypatch.setattr(Prepared, "finish", lying)


@pytest.mark.parametrize("change", [lambda y: 1.1 * y, lambda y: y + y[:, :1]], ids=["scaled", "mixed"])
@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("rise", {"n": 96}),
        ("smooth-grad", {"n": 80, "tolerance": 0.0}),
        ("saliency", {}),
        ("grad-cam", {"layer": "features.3"}),
        ("score-cam", {"layer": "features"}),
    ],
)
def test_a_program_that_begins_to_lie_is_found_out(
    method: str, asked: dict[str, Any], change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, x = seeded(Net), images(2)
    exact = seewhy.explain_all(net, x, method, 1, **asked, prepare=False)
    asked = asked | {"prepare": "verify" if method in ("saliency", "grad-cam", "score-cam") else True}
    first = seewhy.explain_all(net, x, method, 1, **asked)
    assert first[0].provenance["prepared"]["used"]
    assert first[0].cost.checks > 0
    monkeypatch.setattr(Preparer, "trusted", lambda self, use: self._found.agreed.get(use) == "")
    _wrong(monkeypatch, 1 if method in ("rise", "smooth-grad") else 0, change)
    found = seewhy.explain_all(net, x, method, 1, **asked)
    assert alike(found, exact, 1e-5)
    assert all(any("found to differ" in note for note in each.notes) for each in found)
    assert not found[0].provenance["prepared"]["used"]
    assert found.cost.checks > 2  # what was thrown away counts
    later = seewhy.explain_all(net, x, method, 1, **asked)
    assert alike(later, exact)
    # it is not used any more; another one may be, which lies as well
    assert method == "score-cam" or not any("found to differ" in note for note in later[0].notes)


# ------------------------------------------------------------------------------------------ a program that does not run


class InPlace(nn.Module):
    """Rewrites what its convolution gave, by ``change``."""

    def __init__(self, change: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3), nn.Linear(8, 3)
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x).sigmoid() + 0.5
        self.change(y)
        return self.head(self.second(y).relu().mean((2, 3)))


@pytest.mark.parametrize("method", ["occlusion", "saliency"])
@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.pow_(2), lambda y: y.pow_(y.detach() * 0 + 3), lambda y: y.ldexp_(torch.ones(())),
        lambda y: y.div_(2, rounding_mode=None), lambda y: y.clamp_(0.6, 0.9), lambda y: y.sqrt_(), lambda y: y.neg_(),
        lambda y: y.addcmul_(y.detach() * 2, y.detach()), lambda y: y.lerp_(y.detach() * 0, 0.25),
    ],
    ids=["pow", "pow-tensor", "ldexp", "div", "clamp", "sqrt", "neg", "addcmul", "lerp"],
)  # fmt: skip
def test_what_is_rewritten_in_place_by_any_operation(method: str, change: Any) -> None:
    net, x = seeded(lambda: InPlace(change)), images(2)
    asked: dict[str, Any] = {"window": 8, "stride": 8, "fill": 0.0} if method == "occlusion" else {}
    exact = seewhy.explain_all(net, x, method, 1, **asked, prepare=False)
    for _ in range(2):
        found = seewhy.explain_all(net, x, method, 1, **asked, prepare=True)
        assert found[0].provenance["prepared"]["used"], found[0].provenance["prepared"]
        assert alike(found, exact)
    if method == "occlusion":
        for row in range(2):
            right = occluded(net, x[row : row + 1], 1, 8)
            assert np.abs(exact[row].values - right).max() <= 1e-4 * np.abs(right).max()


@pytest.mark.parametrize("method", ["occlusion", "saliency", "rise", "grad-cam"])
@pytest.mark.parametrize(
    "where",
    ["building.Prepared.forward", "building.Prepared.finish", "building.Build.program", "windows.Windows.__call__",
     "programs.plan_windows", "windows.WindowPlan.of"],
)  # fmt: skip
@pytest.mark.parametrize("after", [0, 2])
def test_a_program_that_raises_leaves_it_to_the_model(
    method: str, where: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, or when it had been found to agree: what is fast may break, and no call with it."""
    net, x = seeded(Net), images(2)
    asked: dict[str, Any] = {"occlusion": {"window": 4, "stride": 4}, "rise": {"n": 80}}.get(method, {})
    exact = seewhy.explain_all(net, x, method, 1, **asked, prepare=False)
    path = f"seewhy.core.compile.{where}"
    owner, name = path.rsplit(".", 1)
    whole, calls = pydoc.locate(path), []

    def breaks(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise KeyError("no such node\nin this graph")
        return whole(*args, **kwargs)  # type: ignore[operator]

    monkeypatch.setattr(pydoc.locate(owner), name, breaks)
    for _ in range(2):
        found = seewhy.explain_all(net, x, method, 1, **asked, prepare=True)
        assert alike(found, exact)
        assert [each.status.code for each in found] == [each.status.code for each in exact]
    if len(calls) > after and name != "program":  # steps that do not run are left out when they are measured
        said = str(found[0].provenance["prepared"])
        assert "does not run (KeyError" in said or not found[0].provenance["prepared"]["used"], said


def test_a_gradient_that_lies_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = seeded(Net), images(2)
    asked: dict[str, Any] = {"layer": "features.4", "prepare": True}
    exact = seewhy.explain_all(net, x, "grad-cam", 1, layer="features.4", prepare=False)
    first = seewhy.explain_all(net, x, "grad-cam", 1, **asked)
    assert first.cost.backwards == 0  # in closed form
    gradient = Closed.gradient
    monkeypatch.setattr(Closed, "gradient", lambda self, targets: (-gradient(self, targets)[0], True))
    found = seewhy.explain_all(net, x, "grad-cam", 1, **asked)
    assert alike(found, exact)
    assert "gradients at layer 'features.4' differ" in found[0].notes[-1]


def test_small_calls_are_checked_in_the_1st_2nd_4th_and_so_on() -> None:
    net, x = seeded(Net), images(1)
    checked = []
    for call in range(1, 40):
        found = seewhy.explain(net, x, "saliency", 1, prepare=True)
        if "spot checks" in found.provenance["prepared"]:
            checked.append(call)
    assert checked == [1, 2, 4, 8, 16, 32]


def test_later_on_about_one_call_of_64_is_checked() -> None:
    net, x = seeded(Net), images(1)
    network = Network(net)
    with network.borrowed() as call:
        preparer = Preparer(network, call, x, True)
        use = Use((), "none", False, True)
        due = [preparer.due(use, 1) for _ in range(64 + 6400)]
        assert sum(due[:64]) == 7
        assert 50 < sum(due[64:]) < 160
        assert preparer.due(use, 64)


@pytest.mark.parametrize("batch", [1, 3])
def test_streams_are_checked_two_samples_for_every_size_of_chunk(batch: int) -> None:
    net, x = seeded(Net), images(batch)
    for _ in range(3):
        found = seewhy.explain_all(net, x, "rise", 1, n=120, tolerance=0.0, prepare=True)
        total = found.cost.checks
        assert 2 <= total <= 0.25 * 120 * batch


def test_the_users_random_state_is_left_alone() -> None:
    import random

    net, x = seeded(Net), images(1)
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].copy()
    seewhy.explain(net, x, "rise", 1, n=80, prepare=True)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert np.array_equal(np.random.get_state()[1], before[2])


#: what some methods need at least, or do not take together
FEWEST = {"shapley-sampling": {"n": 244}, "sobol": {"n": 528}, "integrated-gradients": {"steps": None}}
METHODS = [card.name for card in seewhy.methods() if card.call == "explain"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("prepare", ["auto", True, "verify"])
def test_a_batch_of_five_with_every_method(method: str, prepare: Any) -> None:
    formula = methods[method]
    needs_attention = formula.card.family == "attention"
    net: Any = seeded(lambda: Transformer([FusedAttention(6, 2), FusedAttention(6, 2)])) if needs_attention else None
    net = net or seeded(lambda: Net(nn.Softmax(1)))
    x = images(5, size=8 if needs_attention else 16)
    small = {"n": 16, "steps": 4, "max_steps": 8, "window": 8} | FEWEST.get(method, {})
    asked = {name: value for name, value in small.items() if name in formula.parameters}
    asked |= {} if method == "saliency-by-layer" else {"target": 1}
    asked |= {"layer": ["features.2", "features"]} if method == "refine-cam" else {}
    exact = seewhy.explain_all(net, x, method, **asked, prepare=False)
    for _ in range(2):
        found = seewhy.explain_all(net, x, method, **asked, prepare=prepare)
        assert [each.name for each in found] == [each.name for each in exact]
        # guided-ig moves the pixels of the smallest gradients first: rounding chooses others
        assert alike(found, exact, 0.5 if method == "guided-ig" else 2e-2)
        if method != "guided-ig":
            assert [each.status.code for each in found] == [each.status.code for each in exact]
