"""For every test: where several run side by side, each takes one core."""

from __future__ import annotations

import os

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
