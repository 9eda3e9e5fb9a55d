"""``python -m benchmarks.audit DATA``: trains networks on data sets with planted cues and on clean ones, audits each, a
JSON line for each; ``--write`` makes a table of the lines; what is there already is not measured again."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.audit.command import Case, Row, carried_out
from benchmarks.audit.planted import Design, designs, tuning
from benchmarks.audit.rows import row_of
from benchmarks.audit.table import table

_MARKS = "<!-- detection -->", "<!-- end of detection -->"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and write it."""
    carried_out("python -m benchmarks.audit", argv, _cases, table, _MARKS, out="audits.jsonl", tuning=True)


def _cases(asked: Namespace) -> Iterator[Case]:
    """Each design, scenes without masks and with them."""
    for design in tuning() if asked.tuning else designs():
        for masks in (False, True) if design.data == "scenes" else (False,):
            yield _case(asked, design, masks)


def _case(asked: Namespace, design: Design, masks: bool) -> Case:
    def known(row: Row) -> bool:
        return bool(row["design"] == design.name and row["masks"] == masks)

    def measure() -> dict[str, Any]:
        began = time.perf_counter()
        row = row_of(design, asked.data, asked.work, masks=masks)
        return {**row, "seconds": round(time.perf_counter() - began, 1)}

    def told(row: Row) -> str:
        said = [f"{each['class']}: {each['said']}" for each in row["classes"] if each["verdict"]]
        what = f"drop {row['drop']:.0f}, class {row['biased']}, {'; '.join(said) or 'nothing'}"
        return f"{' masks' * masks}: {what}, {row['seconds']} s"

    return Case(design, known, measure, told)


if __name__ == "__main__":
    main()
