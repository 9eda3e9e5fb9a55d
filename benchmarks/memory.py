"""``python -m benchmarks.memory CASE``: peak memory of one explanation over what the model itself takes, in a process
of its own; prints bytes and forwards as JSON. `readings` runs the cases, each in a process of its own."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import seewhy
from benchmarks.networks import photos, subject
from benchmarks.rows import Reading

__all__ = ["CASES", "QUICK", "measure", "peak", "readings"]

_NODES, _LAYER = {"method": "integrated-gradients", "rule": "gauss-legendre", "baseline": 0.0}, {"layer": "layer4"}
_MASKS = {"method": "rise", "fill": 0.0, "tolerance": 0.0}
#: on ResNet-50; more samples may take longer, not more memory
CASES: dict[str, dict[str, Any]] = {
    "integrated gradients, 64 steps": {**_NODES, "steps": 64},
    "integrated gradients, 512 steps": {**_NODES, "steps": 512},
    "RISE, 500 masks": {**_MASKS, "n": 500},
    "RISE, 8000 masks": {**_MASKS, "n": 8000},
    "Score-CAM, every channel": {"method": "score-cam", **_LAYER},
}
#: the same in minutes
QUICK: dict[str, dict[str, Any]] = {
    "integrated gradients, 16 steps": {**_NODES, "steps": 16},
    "integrated gradients, 64 steps": {**_NODES, "steps": 64},
    "RISE, 64 masks": {**_MASKS, "n": 64},
    "RISE, 2000 masks": {**_MASKS, "n": 2000},
}
_MOST = 1024.0


def _resident() -> int:
    """Bytes resident now (Linux); the peak so far elsewhere."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(given: dict[str, Any]) -> tuple[int, int]:
    """(bytes over the model and one forward, forwards) of one explanation of ResNet-50, eager as it is."""
    model = subject("resnet50").model
    x = photos(1)
    with torch.no_grad():
        model.module(x)
    over, found = peak(lambda: seewhy.explain(model, x, target=5, **given))
    return over, found.cost.forwards


def peak(run: Callable[[], Any]) -> tuple[int, Any]:
    """(bytes that this process grew by at most while ``run`` ran, what it gave)."""
    before, most, going = _resident(), 0, True

    def watch() -> None:
        nonlocal most
        while going:
            most = max(most, _resident())
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        found = run()
    finally:
        going = False
        watcher.join()
    return max(most, _resident()) - before, found


def readings(quick: bool, say: Callable[[str], None] = lambda words: None) -> Iterator[Reading]:
    """MiB of every case."""
    for name in QUICK if quick else CASES:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", name], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
        found = json.loads(done.stdout.splitlines()[-1])
        yield Reading("peak memory over the model", name, found["bytes"] / 2**20, "MiB", _MOST)
        say(f"{name}: {found['bytes'] / 2**20:.0f} MiB, {found['forwards']} forwards")


def main() -> None:
    """Measure one case and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("case", choices=[*CASES, *QUICK], metavar="CASE", help="; ".join([*CASES, *QUICK]))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    over, forwards = measure((CASES | QUICK)[asked.case])
    print(json.dumps({"bytes": over, "forwards": forwards}))


if __name__ == "__main__":
    main()
