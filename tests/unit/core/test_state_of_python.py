"""State that a network keeps in what Python itself brings along, in attributes of tensors and functions, or reads by
calls that nobody can look behind. A program is not used once it has changed, or there is none, and it is said why."""

from __future__ import annotations

import ctypes
import decimal
import io
import logging
import multiprocessing
import os
import pathlib
import queue
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.core.compile.reads import reads_of
from seewhy.core.compile.state import structure

pytestmark = pytest.mark.usefixtures("no_spot_checks")  # guards alone

_LOGGER = logging.getLogger("of a network")
_FILE = pathlib.Path(__file__)
LATER = "_WHAT_COMES_LATER"


def _gain(gain: float = 1.0) -> float:
    return gain


def _by_name(*, gain: float = 1.0) -> float:
    return gain


class _Reading(nn.Module):
    """Multiplies by what it reads."""

    def __init__(self, held: Any, read: Callable[[Any], Any]) -> None:
        super().__init__()
        self.held, self.read = held, read
        self.conv, self.more, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Any:
        """Scores [B, 4]."""
        gain = float(self.read(self))
        return self.head(torch.tanh(self.more(self.conv(x).relu() * gain)).mean((2, 3)))


class _OwnEvent(threading.Event):
    """A class of one's own, made from one of Python's."""


def _full() -> queue.Queue[float]:
    held: queue.Queue[float] = queue.Queue()
    held.put(1.0)
    return held


def _is_set(net: Any) -> float:
    return 3.0 if net.held.is_set() else 1.0


def _set(net: Any) -> None:
    net.held.set()


def _cases(
    patch: pytest.MonkeyPatch,
) -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]]:
    """What a network holds, what it reads, and what changes that."""
    table = {"gain": 1.0}

    def inner(gain: float = 1.0) -> float:
        return gain

    def quieter(net: Any) -> None:
        patch.setattr(logging.root, "level", logging.DEBUG)
        _LOGGER._cache.clear()  # type: ignore[attr-defined]

    return {
        "parameter": (lambda: 0, lambda net: getattr(net.conv.weight, "gain", 1.0), lambda net: setattr(net.conv.weight, "gain", 3.0)),
        "tensor": (lambda: torch.ones(1), lambda net: getattr(net.held, "gain", 1.0), lambda net: setattr(net.held, "gain", 3.0)),
        "event": (threading.Event, _is_set, _set), "event of its own": (_OwnEvent, _is_set, _set), "shared event": (multiprocessing.Event, _is_set, _set),
        "queue": (_full, lambda net: net.held.queue[0], lambda net: net.held.queue.__setitem__(0, 3.0)),
        "logger": (lambda: _LOGGER, lambda net: 3.0 if net.held.level == 10 else 1.0, lambda net: patch.setattr(net.held, "level", 10)),
        "above a logger": (lambda: _LOGGER, lambda net: 3.0 if net.held.isEnabledFor(10) else 1.0, quieter),
        "shared value": (lambda: multiprocessing.Value("d", 1.0), lambda net: net.held.value, lambda net: setattr(net.held, "value", 3.0)),
        "lock": (threading.Lock, lambda net: 3.0 if net.held.locked() else 1.0, lambda net: net.held.acquire()),
        "text": (lambda: io.StringIO("1.0"), lambda net: net.held.getvalue(), lambda net: net.held.write("3.0")),
        "exception": (lambda: ValueError([1.0]), lambda net: net.held.args[0][0], lambda net: net.held.args[0].__setitem__(0, 3.0)),
        "view": (table.values, lambda net: next(iter(net.held)), lambda net: table.update(gain=3.0)),
        "method": (lambda: [1.0].__len__, lambda net: net.held(), lambda net: net.held.__self__.extend((1.0, 1.0))),
        "defaults": (lambda: 0, lambda net: _gain(), lambda net: patch.setattr(_gain, "__defaults__", (3.0,))),
        "defaults by name": (lambda: 0, lambda net: _by_name(), lambda net: patch.setattr(_by_name, "__kwdefaults__", {"gain": 3.0})),
        "words": (lambda: 0, lambda net: 3.0 if _gain.__doc__ else 1.0, lambda net: patch.setattr(_gain, "__doc__", "Changed.")),
        "attribute": (lambda: 0, lambda net: getattr(_gain, "more", 1.0), lambda net: patch.setattr(_gain, "more", 3.0, raising=False)),
        "defaults of a closure": (lambda: 0, lambda net: inner(), lambda net: setattr(inner, "__defaults__", (3.0,))),
        "decimal": (lambda: 0, lambda net: decimal.Decimal(10) / decimal.Decimal(6), lambda net: patch.setattr(decimal.getcontext(), "prec", 1)),
        "recursion": (lambda: 0, lambda net: sys.getrecursionlimit() / 1000, lambda net: sys.setrecursionlimit(4000)),
    }  # fmt: skip


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What the cases change for everybody is put back."""
    limit = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(limit)


def _by_hand(net: nn.Module, x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(net(leaf)[0, 1], leaf)
    return found[0]


def _explained(net: nn.Module, x: Tensor) -> Any:
    return seewhy.explain(net, x, method="saliency", target=1, reduce="none", prepare=True)


@pytest.mark.parametrize("case", _cases(pytest.MonkeyPatch()))
def test_a_change_is_seen(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held, read, change = _cases(monkeypatch)[case]
    torch.manual_seed(0)
    net, x = _Reading(held(), read).eval(), torch.randn(1, 3, 12, 16)
    for _ in range(3):
        found = _explained(net, x)
    assert dict(found.provenance["prepared"])["used"], found.provenance["prepared"]
    before = _by_hand(net, x)
    change(net)
    after = _by_hand(net, x)
    assert (after - before).norm() > 0.1 * before.norm()
    torch.testing.assert_close(torch.from_numpy(_explained(net, x).values), after, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (_FILE.open, "'held' is a TextIOWrapper, and what comes through"),
        (lambda: multiprocessing.Pipe()[0], "'held' is a Connection, and what comes through"),
        (lambda: ctypes.pointer(ctypes.c_double(1.0)), "and what comes through"),
        (lambda: sqlite3.connect(":memory:"), "'held' is a Connection, into which nobody can look"),
        (queue.SimpleQueue, "'held' is a SimpleQueue, into which nobody can look"),
        (decimal.Context, "'held' is a Context, into which nobody can look"),
    ],
    ids=["file", "pipe", "pointer", "database", "simple queue", "context"],
)
def test_what_nobody_can_look_into_has_no_program(held: Callable[[], Any], words: str) -> None:
    kept = held()
    found = _explained(_Reading(kept, lambda net: 1.0).eval(), torch.randn(1, 3, 12, 16))
    assert words in dict(found.provenance["prepared"])["why"]
    if hasattr(kept, "close"):
        kept.close()


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda net: globals().get(LATER, 1.0), "globals()"),
        (lambda net: eval("1.0"), "eval()"),
        (lambda net: len(open(_FILE, "rb").read(1)), "open()"),  # noqa: PTH123, SIM115
        (lambda net: len(_FILE.read_bytes()[:1]), "open()"),
        (lambda net: 1.0 if os.path.exists(_FILE) else 2.0, "os.stat()"),  # noqa: PTH110
    ],
    ids=["globals", "eval", "open", "path", "exists"],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_no_guard_sees_read_has_no_program(read: Callable[[Any], Any], words: str) -> None:
    found = _explained(_Reading(0, read).eval(), torch.randn(1, 3, 12, 16))
    assert f"its forward calls {words}" in dict(found.provenance["prepared"])["why"]


def test_what_libraries_ask_for_themselves_is_nobodys_reading() -> None:
    import linecache

    linecache.clearcache()
    assert reads_of(lambda: linecache.getline(__file__, 1)) == ""
    assert reads_of(lambda: torch.randn(2).sum()) == ""
    assert sys.getprofile() is None


def test_a_profiler_of_the_callers_stays() -> None:
    def profile(*event: Any) -> None:
        pass

    sys.setprofile(profile)
    try:
        assert reads_of(lambda: _FILE.open().close()) == ""
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(
    "held",
    [object(), int | str, list[int], len, threading.RLock(), sys.__stderr__, ValueError(), (1).__add__, str.join],
)
def test_what_has_nothing_to_look_into_is_no_obstacle(held: Any) -> None:
    parts: list[Any] = list(_Reading(held, lambda net: 1.0).modules())
    one = structure(parts)
    assert one == structure(parts)
    parts[0].held = object()
    assert one != structure(parts)
