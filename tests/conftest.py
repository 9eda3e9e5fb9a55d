"""For every test: where several run side by side, each takes one core; what is installed beside seewhy adds nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# before seewhy is imported: tests are about its own methods, unless whoever runs them names a package
os.environ.setdefault("SEEWHY_EXTENSIONS", "")
# writing an ONNX graph takes seconds: tests of it ask for it
os.environ.setdefault("SEEWHY_ENGINES", "torch")
os.environ.setdefault("SEEWHY_CACHE", str(Path(tempfile.gettempdir()) / f"seewhy-tests-{os.getpid()}"))

if "PYTEST_XDIST_WORKER" in os.environ:
    # tiny networks gain nothing from threads, and threads of several processes fight for the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)

import gc
import random
import zlib

import numpy as np
import pytest
import torch

from seewhy.core.compile.measuring import Pieces
from slowness import Slowness


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--write-slow``, after a run of everything on a quiet machine."""
    parser.addoption("--write-slow", action="store_true", help="list slow tests in tests/slow.txt, by this run")


def pytest_configure(config: pytest.Config) -> None:
    """Know which tests are slow."""
    config.pluginmanager.register(Slowness(config.getoption("--write-slow")), "slowness")


def pytest_collection_finish() -> None:
    """What was imported and collected stays: no collection of garbage, of which tests about memory ask for many, walks
    through it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a test draws depends on its name alone, not on the tests that ran before it in the same process."""
    seed = zlib.crc32(item.nodeid.encode())
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)  # by which Keras draws its weights


@pytest.fixture(autouse=True)
def steps_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is prepared, and how, must not depend on how busy the machine is: nothing by itself, and for tests that ask
    for it every step is found faster than the one before it, and pieces of two best."""
    monkeypatch.setattr("seewhy.core.compile.programs.PRICE", float("inf"))
    monkeypatch.setattr("seewhy.core.compile.fastest.best_pieces", lambda run, x, gradients: Pieces(2, 1000))
    monkeypatch.setattr("seewhy.core.compile.fastest.recall", lambda question: None)
    monkeypatch.setattr("seewhy.core.compile.fusing.pays", lambda out, inner, made, threads: True)
    _measured(monkeypatch, 0.5)


@pytest.fixture
def no_step_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step of preparing is found faster than the model itself."""
    _measured(monkeypatch, 1.0)


def _measured(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """A step takes ``seconds``, and what was there before it one."""
    monkeypatch.setattr("seewhy.core.compile.measuring._times", lambda old, new, x, gradients: (1.0, seconds))


@pytest.fixture
def no_spot_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are compared at their first use alone, and samples not with those beside them, so that what is taken can
    be counted."""
    monkeypatch.setattr("seewhy.core.schedule.batch_mates._due", lambda network, kind: False)
    monkeypatch.setattr("seewhy.core.compile.programs.Preparer.due", lambda self, use, samples, size=None: False)
