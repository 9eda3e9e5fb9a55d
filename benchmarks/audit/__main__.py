"""``python -m benchmarks.audit DATA``: trains networks on data sets with planted cues and on clean ones, audits each, a
JSON line for each; ``--write`` makes a table of the lines; what is there already is not measured again."""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import torch

from benchmarks.audit.planted import designs, tuning
from benchmarks.audit.rows import row_of
from benchmarks.audit.table import table
from benchmarks.lines import put, read

_BEGIN, _END = "<!-- detection -->", "<!-- end of detection -->"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit")
    parser.add_argument("data", type=Path, help="a folder with cifar10-6000.npz")
    parser.add_argument("--tuning", action="store_true", help="the designs that settings are fixed on")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="names of designs, as in 'scenes-patch-*'")
    parser.add_argument("--out", type=Path, default=Path("audits.jsonl"), metavar="FILE.jsonl")
    parser.add_argument("--work", type=Path, default=Path("audit-networks"), metavar="DIR", help="for trained weights")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="put the table of what is in --out into a page")
    parser.add_argument("--show", action="store_true", help="print the table of what is in --out")
    asked = parser.parse_args(argv)
    asked.work.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if not (asked.write or asked.show):
        for design in tuning() if asked.tuning else designs():
            if not fnmatch(design.name, asked.only):
                continue
            for masks in (False, True) if design.data == "scenes" else (False,):
                if any(row["design"] == design.name and row["masks"] == masks for row in read(asked.out)):
                    continue
                began = time.perf_counter()
                row = row_of(design, asked.data, asked.work, masks=masks)
                row["seconds"] = round(time.perf_counter() - began, 1)
                with asked.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                said = [f"{each['class']}: {each['said']}" for each in row["classes"] if each["verdict"]]
                told = f"drop {row['drop']:.0f}, class {row['biased']}, {'; '.join(said) or 'nothing'}"
                print(f"{design.name}{' masks' * masks}: {told}, {row['seconds']} s", flush=True)
    if asked.show:
        print(table(read(asked.out)))
    if asked.write is not None:
        put(asked.write, table(read(asked.out)), _BEGIN, _END)


if __name__ == "__main__":
    main()
