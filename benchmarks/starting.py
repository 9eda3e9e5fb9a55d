"""How long starting takes: takes nothing, gives medians over fresh processes; imports are timed inside them, where the
time that torch takes does not count."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks.rows import Reading

__all__ = ["readings"]

_IMPORT = "import torch, time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
_PROGRAMS = {
    "import": [sys.executable, "-c", _IMPORT.format("import seewhy")],
    "used": [sys.executable, "-c", _IMPORT.format("import seewhy; seewhy.explain; seewhy.load")],
    "help": [sys.executable, "-m", "seewhy", "--help"],
}


def readings(
    rounds: int = 7,
    *,
    start: Callable[[list[str]], str] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Reading]:
    """Milliseconds of ``import seewhy`` beyond ``import torch`` (by itself, and with what `seewhy.explain` needs), and
    of ``seewhy --help``, all of it."""
    start = start or (lambda argv: subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    spent: dict[str, list[float]] = {name: [] for name in _PROGRAMS}
    for turn in range(rounds + 1):
        for name, argv in _PROGRAMS.items():
            began = clock()
            said = start(argv)
            if turn:  # the first finds no file in the system's cache
                spent[name].append(clock() - began if name == "help" else float(said))
    median = {name: 1000 * statistics.median(each) for name, each in spent.items()}
    beyond = "import seewhy beyond import torch"
    yield Reading("starting", beyond, median["import"], "ms", 100.0)
    yield Reading("starting", f"{beyond}, with what explain needs", median["used"], "ms")
    yield Reading("starting", "seewhy --help", median["help"], "ms", 500.0)
