"""The command of benchmarks of audits: takes what is to be measured, case by case, gives a file of JSON lines that the
same command goes on with, and a table of them in a page."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

from benchmarks.audit.planted import Design
from benchmarks.lines import put, read

__all__ = ["Case", "Row", "carried_out"]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One line: of a ``design``, there already where `known` says so of a row, measured by ``measure``, told by
    ``told``."""

    design: Design
    known: Callable[[Row], bool]
    measure: Callable[[], Row]
    told: Callable[[Row], str]


def carried_out(
    prog: str,
    argv: Sequence[str] | None,
    cases: Callable[[argparse.Namespace], Iterable[Case]],
    table: Callable[[Sequence[Row]], str],
    marks: tuple[str, str],
    *,
    out: str,
    tuning: bool = False,
) -> None:
    """Measure what is asked for and is not there yet, or show it, or write it into a page between two ``marks``."""
    parser = argparse.ArgumentParser(prog=prog)
    parser.add_argument("data", type=Path, help="a folder with cifar10-6000.npz")
    if tuning:
        parser.add_argument("--tuning", action="store_true", help="the designs that settings are fixed on")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="names of designs, as in 'scenes-patch-*'")
    parser.add_argument("--out", type=Path, default=Path(out), metavar="FILE.jsonl")
    parser.add_argument("--work", type=Path, default=Path("audit-networks"), metavar="DIR", help="for trained weights")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="put the table of what is in --out into a page")
    parser.add_argument("--show", action="store_true", help="print the table of what is in --out")
    asked = parser.parse_args(argv)
    asked.work.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for case in () if asked.write or asked.show else cases(asked):
        if not fnmatch(case.design.name, asked.only) or any(map(case.known, read(asked.out))):
            continue
        row = case.measure()
        with asked.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{case.design.name}{case.told(row)}", flush=True)
    if asked.show:
        print(table(read(asked.out)))
    if asked.write is not None:
        put(asked.write, table(read(asked.out)), *marks)
