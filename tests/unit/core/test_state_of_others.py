"""State that a network reads of other libraries' objects, of modules imported within a forward, of the environment, and
functions of torch that somebody has replaced. A program is not used once it has changed."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
from seewhy.core.compile.state import structure

pytestmark = pytest.mark.usefixtures("no_spot_checks")  # guards alone

_MODULE = "settings_of_a_network"


class _Gain(nn.Module):
    """Multiplies by a gain, found in many ways."""

    def __init__(self, held: Any = None) -> None:
        super().__init__()
        self.held = held
        self.conv, self.more, self.act = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3), nn.ReLU()
        self.head: Any = nn.Linear(6, 4)

    def gain(self) -> float:
        return 1.0

    def forward(self, x: Tensor) -> Any:
        """Scores [B, 4]."""
        return self.head(torch.tanh(self.more(self.act(self.conv(x)) * self.gain())).mean((2, 3)))


class _Attribute(_Gain):
    def gain(self) -> float:
        return float(self.held.gain)


class _Number(_Gain):
    def gain(self) -> float:
        return float(self.held)


class _Slice(_Gain):
    def forward(self, x: Tensor) -> Any:
        return self.head(torch.tanh(self.more(self.act(self.conv(x)))[:, :, self.held]).mean((2, 3)))


class _Imports(_Gain):
    def gain(self) -> float:
        import settings_of_a_network as settings  # type: ignore[import-not-found]

        return float(settings.GAIN)


class _ImportsName(_Gain):
    def gain(self) -> float:
        from settings_of_a_network import GAIN

        return float(GAIN)


class _Finds(_Gain):
    def gain(self) -> float:
        return float(getattr(importlib.import_module("settings_of_a_network"), "GAIN"))  # noqa: B009


class _Environment(_Gain):
    def gain(self) -> float:
        return float(os.environ.get("SETTINGS_GAIN", "1"))


class _Named(_Gain):
    def forward(self, x: Tensor) -> Any:
        return self.head(torch.tanh(self.more(F.softsign(self.conv(x)))).mean((2, 3)))


class _Shadowed(_Gain):
    def gain(self) -> float:
        return float(abs(-1.5))


class _Distribution(_Gain):
    def gain(self) -> float:
        return float(self.held.loc)


def _scaled(gain: dict[str, float]) -> Callable[[], float]:
    return lambda: gain["gain"]


_ONE, _OTHER = {"gain": 1.0}, {"gain": 1.0}
_of_one, _of_other = _scaled(_ONE), _scaled(_OTHER)


class _Alike(_Gain):
    def gain(self) -> float:
        return _of_one() * _of_other()


def _config() -> tuple[nn.Module, Callable[[], Any]]:
    config = pytest.importorskip("transformers").PretrainedConfig()
    config.gain = 1.0
    return _Attribute(config), lambda: setattr(config, "gain", 3.0)


def _twice(net: nn.Module, made: Callable[[Any], Any], *values: Any) -> Callable[[], None]:
    def change() -> None:
        for value in values:  # the third may lie where the first lay
            net.held = made(value)

    return change


def _cases(patch: pytest.MonkeyPatch) -> dict[str, Callable[[], tuple[nn.Module, Callable[[], Any]]]]:
    def number() -> tuple[nn.Module, Callable[[], Any]]:
        net = _Number(np.float64(1.0))
        return net, _twice(net, np.float64, 2.0, 3.0)

    def part() -> tuple[nn.Module, Callable[[], Any]]:
        net = _Slice(slice(2, 30))
        return net, _twice(net, lambda ends: slice(*ends), (5, 20), (6, 9))

    def settings() -> None:
        sys.modules[_MODULE].GAIN = 3.0  # type: ignore[attr-defined]

    def distribution() -> tuple[nn.Module, Callable[[], Any]]:
        held = torch.distributions.Normal(1.0, 1.0)
        return _Distribution(held), lambda: setattr(held, "loc", torch.tensor(3.0))

    def softplus(self: nn.Module, x: Tensor) -> Any:
        return F.softplus(x)

    return {
        "config": _config, "number": number, "slice": part, "distribution": distribution,
        "import": lambda: (_Imports(), settings), "import from": lambda: (_ImportsName(), settings),
        "import_module": lambda: (_Finds(), settings),
        "environment": lambda: (_Environment(), lambda: patch.setenv("SETTINGS_GAIN", "3")),
        "class of torch": lambda: (_Gain(), lambda: patch.setattr(nn.ReLU, "forward", softplus)),
        "function of torch": lambda: (_Gain(), lambda: patch.setattr(F, "relu", lambda x, inplace=False: F.softplus(x))),
        "named function": lambda: (_Named(), lambda: patch.setattr(F, "softsign", lambda x: F.softplus(x))),
        "code": lambda: (_Gain(), lambda: patch.setattr(_Gain.gain, "__code__", (lambda self: 3.0).__code__)),
        "shadow": lambda: (_Shadowed(), lambda: patch.setitem(globals(), "abs", lambda x: 4.0)),
        "closures alike": lambda: (_Alike(), lambda: _ONE.update(gain=3.0) or _OTHER.update(gain=2.0)),
        "one closure of two": lambda: (_Alike(), lambda: patch.setitem(_ONE, "gain", 3.0)),
        "other closure of two": lambda: (_Alike(), lambda: patch.setitem(_OTHER, "gain", 3.0)),
    }  # fmt: skip


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    sys.modules[_MODULE] = types.ModuleType(_MODULE)
    sys.modules[_MODULE].GAIN = 1.0  # type: ignore[attr-defined]
    yield
    _ONE["gain"] = _OTHER["gain"] = 1.0
    del sys.modules[_MODULE]


def _by_hand(net: nn.Module, x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(net(leaf)[0, 1], leaf)
    return found[0]


@pytest.mark.parametrize("case", _cases(pytest.MonkeyPatch()))
def test_a_change_is_seen(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, change = _cases(monkeypatch)[case]()
    net.eval()
    x = torch.randn(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        found: Any = seewhy.explain(net, x, method="saliency", target=1, reduce="none", prepare=True)
    assert dict(found.provenance["prepared"])["used"]
    before = _by_hand(net, x)
    change()
    after = _by_hand(net, x)
    assert (after - before).norm() > 0.1 * before.norm()
    found = seewhy.explain(net, x, method="saliency", target=1, reduce="none", prepare=True)
    torch.testing.assert_close(torch.from_numpy(found.values), after, rtol=1e-3, atol=1e-5)


class _Iterating(_Gain):
    def gain(self) -> float:
        return float(next(self.held))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: _Attribute(_local(threading.local())), "a threading.local, of which every thread reads its own"),
        (lambda: _Iterating(itertools.count(1)), "how far that is"),
    ],
    ids=["threading.local", "iterator"],
)
def test_what_nobody_can_look_at_has_no_program(made: Callable[[], nn.Module], words: str) -> None:
    found: Any = seewhy.explain(made().eval(), torch.randn(1, 3, 12, 16), method="saliency", target=1, prepare=True)
    assert words in dict(found.provenance["prepared"])["why"]
    assert "'held'" in dict(found.provenance["prepared"])["why"]


def _local(made: Any) -> Any:
    made.gain = 1.0
    return made


@pytest.mark.parametrize(
    ("before", "after"), [(1, 1.0), (1, True), (0.0, -0.0), ({-1}, {-2}), ([1], [True]), (np.float32(0), np.int32(0))]
)
def test_equal_values_that_are_others(before: Any, after: Any) -> None:
    net = _Gain(before)
    one = structure(list(net.modules()))
    assert one == structure(list(net.modules()))
    net.held = after
    assert one != structure(list(net.modules()))


@pytest.mark.parametrize("seed", [True, False])
def test_a_generator_of_its_own_is_looked_at(seed: bool) -> None:
    held: Any = torch.Generator().manual_seed(1) if seed else np.random.default_rng(1)
    net = _Gain(held)
    one = structure(list(net.modules()))
    assert one == structure(list(net.modules()))
    torch.rand(2, generator=held) if seed else held.random()
    assert one != structure(list(net.modules()))


def test_attributes_are_told_apart_by_their_names() -> None:
    net: Any = _Gain()
    net.one = 1.0
    one = structure(list(net.modules()))
    del net.one
    net.two = 1.0
    assert one != structure(list(net.modules()))
