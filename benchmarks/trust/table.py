"""The table of trust: takes lines of measured maps, judges them by the cards' thresholds, gives Markdown: how often
wrong maps are warned of, and how often right ones are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.trust.cases import GOOD, HOSTILE, REPORTED
from benchmarks.trust.networks import GROUPS
from seewhy.api.trusting import judging
from seewhy.api.trusting.held import Held
from seewhy.audits.groups import wilson

__all__ = ["table"]

#: kinds of wrong maps that the cards draw as controls themselves
_CONTROLS = ("edge detector", "noise")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Both groups of networks, the reported one first."""
    parts = []
    for group, words in (("reported", "Networks and photos that set no threshold"), ("setting", "Those that set them")):
        mine = [row for row in rows if row["network"] in GROUPS[group]]
        if mine:
            parts += [f"### {words}", "", *_group(mine, GROUPS[group]), ""]
    return "\n".join(parts)


def _group(rows: Sequence[dict[str, Any]], networks: Sequence[str]) -> Iterable[str]:
    there = [name for name in networks if any(row["network"] == name for row in rows)]
    photos = {name: len({row["photo"] for row in rows if row["network"] == name}) for name in there}
    yield "Photos: " + ", ".join(f"{name} {count}" for name, count in photos.items()) + "."
    yield ""
    yield f"| maps | {' | '.join(there)} | all, 95 % interval | red |"
    yield "|---|" + "---|" * (len(there) + 2)
    wrong = [row for row in rows if row["kind"] in HOSTILE]
    for kind in HOSTILE:
        yield _line(kind, [row for row in wrong if row["kind"] == kind], there)
    yield _line("**all wrong maps**", wrong, there)
    rest = [row for row in wrong if row["kind"] not in _CONTROLS]
    yield _line("**without those that are controls themselves**", rest, there)
    for method in GOOD:
        yield _line(f"good: {method}", [r for r in rows if r["kind"] == "good" and r["method"] == method], there)
    yield _line("**all good maps**", [row for row in rows if row["kind"] == "good"], there)
    for kind in REPORTED:
        yield _line(f"{kind} (reported, no fault)", [row for row in rows if row["kind"] == kind], there)


def _line(name: str, rows: Sequence[dict[str, Any]], networks: Sequence[str]) -> str:
    levels = [(row["network"], level_of(row)) for row in rows]
    cells = []
    for network in networks:
        own = [level for where, level in levels if where == network]
        cells.append(f"{_share(own)} of {len(own)}" if own else "-")
    every = [level for _, level in levels]
    low, high = wilson(sum(level != "green" for level in every), len(every))
    red = sum(level == "red" for level in every) / len(every) if every else math.nan
    pooled = f"{_share(every)} of {len(every)} ({100 * low:.0f} to {100 * high:.0f} %)"
    return f"| {name} | {' | '.join(cells)} | {pooled} | {100 * red:.0f} % |"


def _share(levels: Sequence[str]) -> str:
    return f"{100 * sum(level != 'green' for level in levels) / len(levels):.0f} %"


def level_of(row: dict[str, Any]) -> str:
    """The level of the card of one measured map."""
    held = row["held"]
    if isinstance(held, str):
        return "red"
    arrays = {name: np.array(value) if isinstance(value, list) else value for name, value in held.items()}
    return judging.card(judging.about(Held(**arrays), "logit")).level
