"""For every test: where several run side by side, each takes one core."""

from __future__ import annotations

import os
from collections.abc import Callable

if "PYTEST_XDIST_WORKER" in os.environ:
    # tiny networks gain nothing from threads, and threads of several processes fight for the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)

import pytest


@pytest.fixture(autouse=True)
def _no_preparing_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether two calls of one test fall on different sides of a preparation must not depend on how busy the machine
    is; tests of prepared networks ask for them."""
    monkeypatch.setattr("seewhy.core.graph.preparing.PRICE", float("inf"))


@pytest.fixture
def steps_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step of preparing is found faster than the one before it, on every machine."""
    _measured(monkeypatch, lambda n: 1.0 / (1 + n))


@pytest.fixture
def no_step_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step of preparing is found faster than the model itself."""
    _measured(monkeypatch, lambda n: 1.0)


def _measured(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> None:
    monkeypatch.setattr(
        "seewhy.core.graph.measuring._times",
        lambda runs, x, gradients: {name: seconds(n) for n, name in enumerate(runs)},
    )
