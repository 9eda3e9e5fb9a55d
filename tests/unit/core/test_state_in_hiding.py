"""State that a network keeps where no attribute shows it at once: in closures, holders of all kinds, metaclasses,
context variables. A program is not used once it has changed."""

from __future__ import annotations

import argparse
import array
import collections
import contextvars
import gc
import types
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy

pytestmark = pytest.mark.usefixtures("no_spot_checks")  # guards alone


class _AttrDict(dict[str, float]):
    __getattr__ = dict.__getitem__


class _Numbers(list[float]):
    pass


class _Pair(NamedTuple):
    held: list[float]


class _Meta(type):
    gain = 1.0


class _Conf(metaclass=_Meta):
    pass


class _Slots:
    __slots__ = ("gain",)

    def __init__(self) -> None:
        self.gain = 1.0


class _More(_Slots):
    __slots__ = ("other",)


_HIDDEN = contextvars.ContextVar("_HIDDEN", default=1.0)
_SETTINGS = types.ModuleType("settings")


class _Inner:
    gain = 1.0


_SETTINGS.Inner = _Inner  # type: ignore[attr-defined]


def _closure() -> tuple[Any, Callable[[], None]]:
    state = {"gain": 1.0}
    return (lambda held: state["gain"]), lambda: state.update(gain=2.5)


def _cell() -> tuple[Any, Callable[[], None]]:
    gain = 1.0

    def change() -> None:
        nonlocal gain
        gain = 2.5

    return (lambda held: gain), change


def _function() -> tuple[Any, Callable[[], None]]:
    def read(held: Any) -> float:
        return float(read.gain)  # type: ignore[attr-defined]

    read.gain = 1.0  # type: ignore[attr-defined]
    return read, lambda: setattr(read, "gain", 2.5)


def _deep(levels: int) -> tuple[Any, Callable[[], None], Callable[[Any], float]]:
    inner = [1.0]
    outer: Any = inner
    for _ in range(levels):
        outer = [outer]

    def read(held: Any) -> float:
        for _ in range(levels):
            held = held[0]
        return float(held[0])

    return outer, lambda: inner.__setitem__(0, 2.5), read


class _Reading(nn.Module):
    """Reads a gain out of what it holds."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held
        self.conv, self.more, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3), nn.Linear(6, 4)

    def gain(self) -> float:
        return float(self.held(None))

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 4]."""
        return self.head(F.relu(self.more(F.relu(self.conv(x)) * self.gain())).mean((2, 3)))


class _OfHolder(_Reading):
    read: Callable[[Any], float]

    def gain(self) -> float:
        return float(type(self).read(self.held))


class _OfContext(_Reading):
    def gain(self) -> float:
        return _HIDDEN.get()


class _OfHeldContext(_Reading):
    def gain(self) -> float:
        return float(self.held.get())


class _OfMeta(_Reading):
    def gain(self) -> float:
        return _Conf.gain


class _OfModule(_Reading):
    def gain(self) -> float:
        return float(_SETTINGS.Inner.gain)


def _holder(held: Any, change: Callable[[], Any], read: Callable[[Any], float]) -> tuple[nn.Module, Callable[[], Any]]:
    return type("_Of", (_OfHolder,), {"read": staticmethod(read)})(held), change


def _cases() -> dict[str, Callable[[], tuple[nn.Module, Callable[[], Any]]]]:
    def item(held: Any) -> tuple[nn.Module, Callable[[], Any]]:
        return _holder(held, lambda: held.__setitem__("gain", 2.5), lambda held: held["gain"])

    def first(held: Any, change: Any = None) -> tuple[nn.Module, Callable[[], Any]]:
        return _holder(held, change or (lambda: held.__setitem__(0, 2)), lambda held: held[0])

    def named(held: Any) -> tuple[nn.Module, Callable[[], Any]]:
        return _holder(held, lambda: setattr(held, "gain", 2.5), lambda held: held.gain)

    def pair() -> tuple[nn.Module, Callable[[], Any]]:
        held = _Pair([1.0])
        return _holder(held, lambda: held.held.__setitem__(0, 2.5), lambda held: held.held[0])

    def of(made: tuple[Any, Callable[[], Any]]) -> tuple[nn.Module, Callable[[], Any]]:
        return _Reading(made[0]), made[1]

    def context() -> tuple[nn.Module, Callable[[], Any]]:
        held = contextvars.ContextVar("held", default=1.0)
        return _OfHeldContext(held), lambda: held.set(2.5)

    return {
        "closure": lambda: of(_closure()), "cell": lambda: of(_cell()), "attribute of a function": lambda: of(_function()),
        "dict subclass": lambda: item(_AttrDict(gain=1.0)), "UserDict": lambda: item(collections.UserDict(gain=1.0)),
        "argparse": lambda: named(argparse.Namespace(gain=1.0)), "slots": lambda: named(_More()),
        "list subclass": lambda: first(_Numbers([1.0])), "bytearray": lambda: first(bytearray([1])),
        "array": lambda: first(array.array("d", [1.0])), "deque": lambda: first(collections.deque([1.0])),
        "named tuple": pair, "8 deep": lambda: _holder(*_deep(8)),
        "context variable held": context, "context variable": lambda: (_OfContext(None), lambda: _HIDDEN.set(2.5)),
        "metaclass": lambda: (_OfMeta(None), lambda: setattr(_Meta, "gain", 2.5)),
        "class in a module": lambda: (_OfModule(None), lambda: setattr(_Inner, "gain", 2.5)),
    }  # fmt: skip


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the cases change for everybody is put back."""
    monkeypatch.setattr(_Meta, "gain", 1.0)
    monkeypatch.setattr(_Inner, "gain", 1.0)
    token = _HIDDEN.set(1.0)
    yield
    _HIDDEN.reset(token)


@pytest.mark.parametrize("case", _cases())
def test_a_change_is_seen_wherever_it_is_made(case: str) -> None:
    net, change = _cases()[case]()
    net.eval()
    x = torch.randn(2, 3, 12, 16)
    asked: dict[str, Any] = {"method": "occlusion", "window": 4, "stride": 4, "fill": 0.0, "target": 2}
    for _ in range(2):
        found = seewhy.explain_all(net, x, prepare=True, **asked)
    assert dict(found[0].provenance["prepared"])["used"]
    old = found[0].values
    change()
    found, right = (seewhy.explain_all(net, x, prepare=prepare, **asked) for prepare in (True, False))
    for a, b in zip(found, right, strict=True):
        torch.testing.assert_close(torch.from_numpy(a.values), torch.from_numpy(b.values), rtol=1e-3, atol=1e-5)
    assert abs(old - right[0].values).max() > 0.1 * abs(old).max()


def test_what_is_nested_too_deep_is_refused_and_said() -> None:
    net, _ = _holder(*_deep(16))
    found = seewhy.explain(net.eval(), torch.randn(1, 3, 12, 16), method="saliency", target=1, prepare=True)
    assert "nested deeper" in dict(found.provenance["prepared"])["why"]


def test_a_function_that_holds_its_model_does_not_keep_it() -> None:
    net = _Reading(None).eval()

    def bound(mine: nn.Module) -> Any:
        return lambda held: 1.0 if isinstance(mine, nn.Module) else 2.0

    net.held = bound(net)
    for _ in range(2):
        seewhy.explain(net, torch.randn(1, 3, 12, 16), method="saliency", target=1, prepare=True)
    known = weakref.ref(net)
    del net
    gc.collect()
    assert known() is None
