"""Runs on Ray: the same bytes as on this machine alone, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import seewhy
from seewhy.errors import ModelError
from unit.runs.test_runs import _content, _photos

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

_NET = """
import torch
from torch import nn


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 14 * 14, 3)).eval()
"""
_MAIN = """
import sys, seewhy
sys.path.insert(0, sys.argv[1])
from own import net
model = seewhy.wrap(net(), preprocess=seewhy.Preprocess((16, 16), None, "squash", (0.5,) * 3, (0.5,) * 3))
asked = {"target": 1, "unit": 2, "prepare": False}
seewhy.run(model, sys.argv[2], sys.argv[3], ["rise", "grad-cam"], executor=sys.argv[4], n=400, **asked)
"""


def _start(place: Path, photos: Path, out: Path, executor: str) -> subprocess.Popen[bytes]:
    (place / "own.py").write_text(_NET)
    line = [sys.executable, "-c", _MAIN, str(place), str(photos), str(out), executor]
    return subprocess.Popen(line, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(place), *sys.path])})


def _workers() -> list[int]:
    """Processes of Ray that have an actor of ours."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"ray::" in words and b"MapBatches" in words:
            found.append(int(path.parent.name))
    return found


def test_workers_give_the_same_bytes_even_if_one_dies(tmp_path: Path) -> None:
    photos = _photos(tmp_path / "photos", 60)
    assert _start(tmp_path, photos, tmp_path / "local", "local").wait() == 0
    child = _start(tmp_path, photos, tmp_path / "ray", "ray")
    killed: list[int] = []

    def kill() -> None:
        while child.poll() is None and not killed:
            if len(list((tmp_path / "ray" / "done").glob("*.json"))) > 3 and (mine := _workers()):
                os.kill(mine[0], signal.SIGKILL)
                killed.append(mine[0])
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    assert child.wait(timeout=300) == 0
    killer.join()
    assert killed
    assert _content(tmp_path / "local") == _content(tmp_path / "ray")
    assert seewhy.open_run(tmp_path / "ray").complete


def test_what_a_worker_raises_is_one_of_ours() -> None:
    from seewhy.runs.ray_ import _raised, _told

    error = _raised(_told(ModelError("no weights")))
    assert isinstance(error, ModelError)
    assert str(error) == "no weights"
