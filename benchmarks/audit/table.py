"""The table of audits: takes lines of measured designs, gives Markdown: how well strength tells planted cues from clean
classes, how often a clean class gets a verdict, and how often the cue named is the planted one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seewhy.audits.groups import wilson

__all__ = ["auc", "table"]

#: percentage points of accuracy from which a cue counts
COUNTS = 5.0
_DRAWS = 2000

Row = Mapping[str, Any]


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """How often one of the first is above one of the second, ties by half; NaN of none.

    >>> auc([1.0, 0.5], [0.5, 0.0])
    0.875
    """
    if not positive or not negative:
        return float("nan")
    a, b = np.asarray(positive)[:, None], np.asarray(negative)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def _interval(positive: Sequence[float], negative: Sequence[float]) -> tuple[float, float]:
    """Of `auc`, 95 %, by drawing both anew."""
    draw = np.random.default_rng(0)
    found = [
        auc(list(draw.choice(positive, len(positive))), list(draw.choice(negative, len(negative))))
        for _ in range(_DRAWS)
    ]  # fmt: skip
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def table(rows: Sequence[Row]) -> str:
    """For audits with tests, and for maps and clusters without."""
    lines = [
        "| | planted that count | clean classes | AUC of strength, 95 % | clean classes with a verdict | "
        "planted with a verdict | of these the planted cue named |",
        "|---|---|---|---|---|---|---|",
    ]
    for words, some in (
        ("audit, no masks", [row for row in rows if not row["masks"]]),
        ("audit, with masks", [row for row in rows if row["masks"]]),
    ):
        if some:
            lines.append(_line(words, some, lambda row: row["classes"]))
    for name in ("mean map", "clusters"):
        mine = [row for row in rows if not row["masks"]]
        if mine:
            lines.append(_line(f"{name}, no tests", mine, lambda row, name=name: row["without tests"][name]))
    head = ["cue", "data", "share", "moving", "drop of accuracy", "strength", "said", "named"]
    lines += ["", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in sorted(rows, key=lambda row: (row["cue"] or "", row["data"], row["share"], row["moving"], row["masks"])):
        if row["cue"] is None:
            continue
        own = row["classes"][row["biased"]]
        data = f"{row['data']}, masks" if row["masks"] else row["data"]
        named = "yes" if own["named"] else "no" if own["verdict"] else "-"
        moving = "yes" if row["moving"] else "no"
        cells = [row["cue"], data, f"{row['share']:.0%}", moving, f"{row['drop']:.0f}", f"{own['strength']:.2f}"]
        lines.append(f"| {' | '.join([*cells, own['said'] or '-', named])} |")
    return "\n".join(lines) + "\n"


def _line(words: str, rows: Sequence[Row], of: Callable[[Row], Sequence[Row]]) -> str:
    planted = [of(row)[row["biased"]] for row in rows if row["cue"] is not None and row["drop"] >= COUNTS]
    clean = [each for row in rows if row["cue"] is None for each in of(row)]
    positive, negative = [each["strength"] for each in planted], [each["strength"] for each in clean]
    if not positive or not negative:
        return f"| {words} | {len(planted)} | {len(clean)} | - | - | - | - |"
    low, high = _interval(positive, negative)
    cells = [words, str(len(planted)), str(len(clean)), f"{auc(positive, negative):.3f} ({low:.3f} to {high:.3f})"]
    if "verdict" in clean[0]:
        cells.append(_share(sum(each["verdict"] for each in clean), len(clean)))
        said = [each for each in planted if each["verdict"]]
        cells += [_share(len(said), len(planted)), _share(sum(bool(each["named"]) for each in said), len(said))]
    else:
        cells += ["-", "-", _share(sum(bool(each["named"]) for each in planted), len(planted))]
    return f"| {' | '.join(cells)} |"


def _share(hits: int, count: int) -> str:
    if not count:
        return "-"
    low, high = wilson(hits, count)
    return f"{100 * hits / count:.0f} % of {count} ({100 * max(low, 0.0):.0f} to {100 * high:.0f} %)"
