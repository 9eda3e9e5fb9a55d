"""How long starting takes: takes nothing, gives medians of interleaved subprocesses; measures nothing inside them."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks.rows import Reading

__all__ = ["readings"]

_PROGRAMS = {
    "torch": [sys.executable, "-c", "import torch"],
    "both": [sys.executable, "-c", "import torch, seewhy"],
    "used": [sys.executable, "-c", "import torch, seewhy; seewhy.explain; seewhy.load"],
    "help": [sys.executable, "-m", "seewhy", "--help"],
}


def readings(
    rounds: int = 7,
    *,
    start: Callable[[list[str]], object] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Reading]:
    """Milliseconds of ``import seewhy`` beyond ``import torch`` (by itself, and with what `seewhy.explain` needs), and
    of ``seewhy --help``."""
    start = start or (lambda argv: subprocess.run(argv, check=True, capture_output=True))
    spent: dict[str, list[float]] = {name: [] for name in _PROGRAMS}
    for turn in range(rounds + 1):
        names = list(_PROGRAMS)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = clock()
            start(_PROGRAMS[name])
            if turn:  # the first finds no file in the system's cache
                spent[name].append(clock() - began)
    median = {name: 1000 * statistics.median(each) for name, each in spent.items()}
    beyond = "import seewhy beyond import torch"
    yield Reading("starting", beyond, median["both"] - median["torch"], "ms", 100.0)
    yield Reading("starting", f"{beyond}, with what explain needs", median["used"] - median["torch"], "ms")
    yield Reading("starting", "seewhy --help", median["help"], "ms", 500.0)
