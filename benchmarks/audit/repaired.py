"""The table of repairs: takes lines of measured repairs, gives Markdown: of every way, how much of what unbiased data
would gain it gains for the worst group, what it costs the others, and how much of the cue's effect is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["WAYS", "gain", "table"]

#: the cheapest first
WAYS = ("head", "project", "data", "loss")
_PEERS = ("re-weighted", "bnnr", "unbiased")
#: those whose pictures are rare in training, and the others
_NONE, _CUE = "class, none", "others, cue"
_OTHERS = "others, none"

Row = Mapping[str, Any]


def _worst(standing: Mapping[str, float]) -> float:
    """The share of the worst of the four groups."""
    return min(standing.values())


def gain(row: Row, name: str) -> float:
    """What a way gains of what unbiased data gain, for the worst group; NaN where those gain less than five points.

    >>> gain({"standing": {"before": {"a": 20, "b": 80}, "x": {"a": 50, "b": 90}, "unbiased": {"a": 70, "b": 70}}}, "x")
    0.6
    """
    before, after, best = (_worst(row["standing"][each]) for each in ("before", name, "unbiased"))
    return (after - before) / (best - before) if best - before >= _LITTLE else float("nan")


#: percentage points that are worth gaining
_LITTLE = 5.0


def _gone(row: Row, name: str) -> float:
    """How much of the cue's effect a way takes away, 1 all of it; NaN where there was hardly any."""
    before = row["drop"]["before"]
    return 1 - abs(row["drop"][name]) / before if before >= _LITTLE else float("nan")


def table(rows: Sequence[Row]) -> str:
    """For the way that was chosen, each way, and the peers; with 100 % apart."""
    lines = []
    for words, some in (
        ("75 and 90 %", [row for row in rows if row["share"] < 1]),
        ("100 %", [row for row in rows if row["share"] == 1]),
    ):
        if not some:
            continue
        found = [row for row in some if row["chosen"]]
        lines += [
            f"{words}: {len(some)} networks, of which the audit found a shortcut in {len(found)}.", "",
            "| | networks | worst group, before | after | of what unbiased data gain | others without the cue | "
            "cue's effect taken away | seconds |",
            "|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        lines.append(_line("chosen", found, lambda row: row["chosen"]))
        for name in (*WAYS, *_PEERS):
            lines.append(_line(name, [row for row in found if name in row["standing"]], lambda _, name=name: name))
        lines.append("")
    lines += [*_each(rows)]
    return "\n".join(lines) + "\n"


def _line(words: str, rows: Sequence[Row], of: Any) -> str:
    if not rows:
        return f"| {words} | 0 | - | - | - | - | - | - |"
    before = [_worst(row["standing"]["before"]) for row in rows]
    after = [_worst(row["standing"][of(row)]) for row in rows]
    cost = [row["standing"][of(row)][_OTHERS] - row["standing"]["before"][_OTHERS] for row in rows]
    gained, gone = ([100 * share(row, of(row)) for row in rows] for share in (gain, _gone))
    took = float(np.median([row["seconds"].get(of(row), 0.0) for row in rows]))
    cells = [
        words, str(len(rows)), _middle(before), _middle(after), _middle(gained, "%"), _middle(cost, signed=True),
        _middle(gone, "%"), f"{took:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _middle(values: Sequence[float], unit: str = "", *, signed: bool = False) -> str:
    """A median, and the quarters beside it."""
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return "-"
    low, middle, high = np.percentile(known, [25, 50, 75])
    sign = "+" if signed else ""
    return f"{middle:{sign}.0f}{' ' * bool(unit)}{unit} ({low:{sign}.0f} to {high:{sign}.0f})"


def _each(rows: Sequence[Row]) -> list[str]:
    head = [
        "cue", "data", "share", "found", "chosen", "class without the cue, before", "after", "others with it, before",
        "after", "unbiased",
    ]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in sorted(rows, key=lambda row: (row["share"] == 1, row["cue"], row["share"])):
        before, best = row["standing"]["before"], row["standing"]["unbiased"]
        after = row["standing"].get(row["chosen"])
        cells = [
            row["cue"], row["data"], f"{row['share']:.0%}", ", ".join(row["found"]) or "-", row["chosen"] or "-",
            f"{before[_NONE]:.0f}", "-" if after is None else f"{after[_NONE]:.0f}",
            f"{before[_CUE]:.0f}", "-" if after is None else f"{after[_CUE]:.0f}",
            f"{best[_NONE]:.0f} and {best[_CUE]:.0f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines
