"""Tables: takes a report, gives it as Markdown, whole or between the marks of a document; computes no time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Demand, Report, Row
from seewhy.api.bench.racing import Lap
from seewhy.api.bench.result import OURS

__all__ = ["BEGIN", "END", "markdown", "put", "verdict"]

BEGIN, END = "<!-- written by python -m benchmarks -->", "<!-- end of what is written -->"


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 10 else f"{value:.0f}"


def markdown(report: Report) -> str:
    """Facts, a table for each task, readings."""
    lines = [". ".join(f"{name}: {words}" for name, words in report.facts.items()), ""]
    for task in dict.fromkeys(row.task for row in report.rows):
        lines += [*_task([row for row in report.rows if row.task == task]), ""]
    for what in dict.fromkeys(each.what for each in report.readings):
        lines += [f"### {what}", "", "| | measured | limit | |", "|---|---|---|---|"]
        for each in (reading for reading in report.readings if reading.what == what):
            limit = "" if each.most is None else f"{each.most:g} {each.unit}"
            word = {None: "", True: "met", False: f"**over {limit}**"}[each.met]
            lines.append(f"| {each.case} | {_short(each.value)} {each.unit} | {limit} | {word} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _task(rows: Sequence[Row]) -> list[str]:
    names = list(dict.fromkeys(lap.name for row in rows for lap in row.laps))
    lines = [f"### {rows[0].task}", "", f"Equal means: {rows[0].measure.words}.", ""]
    lines.append(f"| network | batch | {' | '.join(names)} | ratio |" if names else "| network | batch | |")
    lines.append("|---" * (len(names) + 3) + "|")
    notes: list[str] = []
    for row in rows:
        if not row.laps:
            lines.append(f"| {row.network} | {row.batch} | {'| ' * len(names)}{row.words} |")
            continue
        cells = [_cell(row, name, notes) for name in names]
        lines.append(f"| {row.network} | {row.batch} | {' | '.join(cells)} | {'; '.join(_verdicts(row))} |")
    words = dict.fromkeys(row.words for row in rows if row.laps and row.words)
    return lines + ([""] if notes or words else []) + [f"- {each}" for each in (*notes, *words)]


def _cell(row: Row, name: str, notes: list[str]) -> str:
    """``eager / prepared`` in milliseconds, with a mark where the result differs or there is none."""
    parts = []
    for on in ("eager", "prepared"):
        lap = row.lap(name, on)
        if lap is None:
            continue
        where = f"{row.network}, batch {row.batch}: {name}{' on the prepared model' if on == 'prepared' else ''}"
        if lap.failure:
            notes.append(f"{where} failed: {lap.failure}")
            parts.append("failed")
            continue
        mark = "" if lap.agrees is not False else "&ast;"
        if mark:
            notes.append(f"{where} differs{_by(lap)}")
        parts.append(_milliseconds(lap.median) + mark)
    first = row.lap(name)
    setting = f" ({first.setting})" if first is not None and first.setting else ""
    return " / ".join(parts) + setting


def _by(lap: Lap) -> str:
    if lap.difference is None or math.isnan(lap.difference):
        return ": another shape, or not finite"
    return f" ({lap.difference:.2g})"


def _verdicts(row: Row) -> list[str]:
    return [verdict(row, demand) for demand in row.demands or [Demand(0.0)]]


def verdict(row: Row, demand: Demand) -> str:
    """``1.42x captum, at least 1.3x`` or ``**1.10x captum, short of 1.3x**``; the ratio alone without a demand."""
    ratio, rival = row.ratio(demand), row.rival(demand)
    if ratio is None or rival is None:
        return f"no {demand.against or 'other library'}" + (f" on {demand.on}" if demand.on != "eager" else "")
    name = rival.name + (", prepared" if demand.on == "prepared" else "")
    unsure = "" if rival.agrees is not False else ", whose result differs"
    if not demand.ratio:
        return f"{ratio:.2f}x {name}{unsure}"
    limit = f"{demand.ratio:g}x"
    if row.met(demand):
        return f"{ratio:.2f}x {name}{unsure}, {'within' if demand.most else 'met'} {limit}".replace("met ", "at least ")
    return f"**{ratio:.2f}x {name}{unsure}, {'over' if demand.most else 'short of'} {limit}**"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f}" if seconds < 0.1 else f"{1000 * seconds:.0f}"


def put(text: str, path: Path) -> None:
    """``text`` between the marks of the document ``path``, or as the whole file where it has none."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    whole = f"{head}{begin}\n\n{text}\n{end}{tail}" if begin and end else text
    path.write_text(whole, encoding="utf-8")


def summary(row: Row) -> str:
    """One line about a row, for whoever waits."""
    if not row.laps:
        return row.words
    mine = row.ours()
    own = "" if mine is None else f"{OURS} {_milliseconds(mine.median)} ms; "
    return own + "; ".join(_verdicts(row)).replace("*", "")
