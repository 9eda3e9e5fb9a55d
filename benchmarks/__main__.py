"""``python -m benchmarks``: takes names of tasks and networks, gives everybody's times side by side as Markdown, JSON
and a plot; progress goes to stderr."""

from __future__ import annotations

import argparse
import platform
import sys
import time
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks import memory, starting
from benchmarks.networks import NETWORKS, subject
from benchmarks.rows import Report, merged, read, write
from benchmarks.table import markdown, put, summary
from benchmarks.tasks import TASKS, run

__all__ = ["main"]

_OTHERS = ("memory", "starting")
_PACKAGES = ("seewhy", "torch", "torchvision", "timm", "captum", "grad-cam", "torchcam", "zennit")


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is asked and write it."""
    parser = _parser()
    asked = parser.parse_args(argv)
    if not asked.rounds > 0 or not asked.seconds > 0:
        parser.error("--rounds and --seconds are numbers above 0, as in --rounds 15 --seconds 60")
    try:
        report = merged([read(path) for path in asked.read])
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not asked.read or asked.task or asked.network:
        report = _measured(report, asked)
    text = markdown(report)
    print(text)
    if asked.out is not None:
        put(text, asked.out)
    if asked.json is not None:
        write(report, asked.json)
    if asked.plot is not None:
        from benchmarks.plot import draw

        draw(report, asked.plot)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--task", action="append", choices=[*TASKS, *_OTHERS], help="repeatable; all, unless given")
    parser.add_argument("--network", action="append", choices=NETWORKS, help="repeatable; all, unless given")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="at most; everybody runs once in each")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S",
                        help="a row: then no further round begins, after three")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="memory: smaller budgets, without Score-CAM")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="the tables: between the marks, where it has them")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="the ratios as bars (needs matplotlib)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything, written after every row")
    parser.add_argument("--from", dest="read", action="append", default=[], type=Path, metavar="FILE.json",
                        help="results to begin with; repeatable, later ones count. Alone: nothing is run")  # fmt: skip
    return parser


def _measured(report: Report, asked: argparse.Namespace) -> Report:
    """``report`` and what is asked, kept after every row."""
    warnings.simplefilter("ignore")
    began = time.perf_counter()

    def say(words: str) -> None:
        print(f"[{time.perf_counter() - began:6.0f} s] {words}", file=sys.stderr, flush=True)

    def keep(more: Report) -> None:
        nonlocal report
        report = merged([report, more])
        if asked.json is not None:
            write(report, asked.json)

    tasks = asked.task or [*TASKS, *_OTHERS]
    wanted = [(TASKS[name], network) for name in tasks if name in TASKS for network in TASKS[name].ratios]
    wanted = [(task, network) for task, network in wanted if network in (asked.network or NETWORKS)]
    facts = _facts()
    for number, (task, network) in enumerate(wanted, 1):
        say(f"{number} of {len(wanted)}: {task.name} on {network}")
        for row in run(task, subject(network), rounds=asked.rounds, seconds=asked.seconds, say=say):
            keep(Report(facts, [row]))
            say(f"batch {row.batch}: {summary(row)}")
    if "memory" in tasks:
        say("memory, each case in a process of its own")
        for reading in memory.readings(asked.quick, say):
            keep(Report(facts, [], [reading]))
    if "starting" in tasks:
        say("starting")
        keep(Report(facts, [], list(starting.readings())))
    return report


def _facts() -> dict[str, str]:
    versions = []
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} is not installed")
    return {
        "Versions": ", ".join(versions),
        "Machine": f"{platform.machine()}, {torch.get_num_threads()} threads, float32",
        "Day": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
