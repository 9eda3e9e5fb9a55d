"""How long starting takes, and how much memory: takes nothing, gives medians over fresh processes, all of them once in
each round; imports are timed inside them, where the time that torch takes does not count."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from benchmarks.rows import Reading

__all__ = ["Started", "readings"]

_IMPORT = "import torch, time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
_SEEWHY = [sys.executable, "-m", "seewhy"]
_PROGRAMS = {
    "torch": [sys.executable, "-c", "import torch"],
    "picture": [*_SEEWHY, "explain", "photo.png", "--out", "out", "--force", "--quiet"],
    "import": [sys.executable, "-c", _IMPORT.format("import seewhy")],
    "used": [sys.executable, "-c", _IMPORT.format("import seewhy; seewhy.explain; seewhy.load")],
    "--help": [*_SEEWHY, "--help"],
    "--version": [*_SEEWHY, "--version"],
    "explian": [*_SEEWHY, "explian"],
}
#: exit codes that are no failure: of a command that there is not, 2
_CODES = (0, 2)


#: a process that has little memory itself starts the one that is measured: what a process had before it became another
#: program counts as that one's
_LAUNCHER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=open("stdout", "wb"), stderr=open("stderr", "wb"))
_, status, used = os.wait4(process.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), time.perf_counter() - began, used.ru_maxrss]))
os._exit(0)
"""


@dataclass(frozen=True)
class Started:
    """What came of a process: what it said on stdout, seconds from its start to its end, and the bytes that it had in
    memory at most."""

    said: str
    seconds: float
    peak: float


def _start(argv: list[str], folder: Path) -> Started:
    """Run a program in ``folder``, with its compiled files kept, as those of a package that pip has installed are."""
    kept = {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    here = os.pathsep.join(str(Path(each).absolute()) for each in sys.path if each)
    launched = [sys.executable, "-c", _LAUNCHER, *argv]
    done = subprocess.run(
        launched, cwd=folder, env={**os.environ, **kept, "PYTHONPATH": here}, check=True, capture_output=True, text=True
    )
    code, seconds, peak = json.loads(done.stdout)
    if code not in _CODES:
        raise RuntimeError(f"{' '.join(argv)}: {(folder / 'stderr').read_text().strip()}")
    return Started((folder / "stdout").read_text(), seconds, peak * (1 if sys.platform == "darwin" else 1024))


def readings(rounds: int = 15, *, start: Callable[[list[str], Path], Started] = _start) -> Iterator[Reading]:
    """``seewhy explain PHOTO``, from the start of the process to its end, against ``import torch``, and the most memory
    that each of them has; milliseconds of ``import seewhy`` beyond ``import torch`` (by itself, and with what
    `seewhy.explain` needs); and of commands that run no model, all of it."""
    taken: dict[str, list[Started]] = {name: [] for name in _PROGRAMS}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "photo.png").write_bytes((resources.files("seewhy.photos") / "chelsea.png").read_bytes())
        for turn in range(rounds + 1):
            for name, argv in _PROGRAMS.items():
                started = start(argv, folder)
                if turn:  # the first finds nothing compiled, and no file in the system's cache
                    taken[name].append(started)
    yield from _told(taken)


def _told(taken: Mapping[str, Sequence[Started]]) -> Iterator[Reading]:
    whole = {name: statistics.median(one.seconds for one in each) for name, each in taken.items()}
    peak = {name: statistics.median(one.peak for one in each) / 1e6 for name, each in taken.items()}
    yield Reading("starting", "seewhy explain, against import torch", whole["picture"] / whole["torch"], "x", 1.6)
    for name, words in (("picture", "seewhy explain"), ("torch", "import torch")):
        yield Reading("starting", f"{words}, a process from start to end", 1000 * whole[name], "ms")
        yield Reading("starting", f"{words}, peak memory", peak[name], "MB", 600.0 if name == "picture" else None)
    beyond = "import seewhy beyond import torch"
    inside = {name: 1000 * statistics.median(float(one.said) for one in taken[name]) for name in ("import", "used")}
    yield Reading("starting", beyond, inside["import"], "ms", 100.0)
    yield Reading("starting", f"{beyond}, with what explain needs", inside["used"], "ms")
    yield Reading("starting", "seewhy --help", 1000 * whole["--help"], "ms", 250.0)
    yield Reading("starting", "seewhy --version", 1000 * whole["--version"], "ms", 250.0)
    yield Reading("starting", "a command that there is not", 1000 * whole["explian"], "ms", 250.0)
