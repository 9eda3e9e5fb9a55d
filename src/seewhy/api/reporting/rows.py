"""Explanations and trust cards as rows of tables: takes records, or what JSON says of them, gives cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seewhy.api.reporting.maps import is_flat
from seewhy.api.reporting.wording import level_badge, status_badge, table_of, trust_badge
from seewhy.explanation import Explanation, Trust
from seewhy.reports.page import Block, Cell, Link, Number, Words

__all__ = ["kept_row", "one_unit", "row_of", "trust_blocks"]


def row_of(name: str, each: Explanation, anchor: str) -> dict[str, Cell]:
    """A map as a row: what it explains, how far it reaches, what it cost; its name leads to the ``anchor``."""
    finite = each.values[np.isfinite(each.values)]
    return {
        "photo": name, "method": Link(each.method, anchor) if anchor else each.method, "layer": each.layer or "input",
        "target": each.target, "against": each.contrast, "score": Number(each.score), "unit": each.unit,
        "status": status_badge(each.status.code),
        "trust": None if each.trust is None else trust_badge(each.trust.level),
        "highest": Number(float(finite.max())) if finite.size else None,
        "lowest": Number(float(finite.min())) if finite.size else None, "map's unit": each.map_unit,
        "values": "×".join(map(str, each.values.shape[-2:] if is_flat(each) else each.values.shape)),
        "forwards": Number(each.cost.forwards), "backwards": Number(each.cost.backwards),
        "seconds": Number(each.cost.seconds, f"{each.cost.seconds:.2f}"),
    }  # fmt: skip


def one_unit(rows: Sequence[dict[str, Cell]]) -> list[dict[str, Cell]]:
    """Rows whose units are all the same, without a column for that: its head says it."""
    units = {row["unit"] for row in rows}
    if len(units) != 1 or not (unit := units.pop()):
        return list(rows)
    named = {"score": f"score, {unit}"}
    return [{named.get(name, name): cell for name, cell in row.items() if name != "unit"} for row in rows]


def kept_row(name: str, told: Mapping[str, Any]) -> dict[str, Cell]:
    """The same of what JSON says."""
    status, trust, map_, cost = (told.get(key) or {} for key in ("status", "trust", "map", "cost"))
    code = str(status.get("code", ""))
    return {
        "photo": name, "method": str(told.get("method", "")), "layer": str(told.get("layer") or "input"),
        "target": str(told.get("target", "")), "against": told.get("contrast"), "score": _number(told.get("score")),
        "unit": str(told.get("unit") or ""),
        "status": status_badge(code) if code else None,
        "trust": trust_badge(str(trust.get("level", ""))), "highest": _number(map_.get("max")),
        "lowest": _number(map_.get("min")), "map's unit": str(map_.get("unit") or ""),
        "values": "×".join(map(str, (map_.get("shape") or ())[-2:])), "forwards": _number(cost.get("forwards")),
        "backwards": _number(cost.get("backwards")), "seconds": _number(cost.get("seconds")),
    }  # fmt: skip


def _number(value: Any) -> Number | None:
    return Number(float(value)) if isinstance(value, int | float) else None


def trust_blocks(explanation: Explanation, trust: Trust) -> list[Block]:
    """A trust card, measure by measure."""
    rows: list[dict[str, Cell]] = [
        {
            "measure": each.name, "level": level_badge(each.level) or "decides nothing",
            "value": Number(each.value), "unit": each.unit,
            "random maps, median": _median(each.controls.get("random", ())), "rank among controls": Number(each.rank),
            "held against": each.thresholds, "in words": each.says,
        }
        for each in trust.measures
    ]  # fmt: skip
    of = f"{explanation.method} for {explanation.target}"
    said = Words(f"{of}: {trust.sentence}", badge=trust_badge(trust.level))
    return [said, *table_of(f"What was measured of {of}; it took {trust.cost}", rows)]


def _median(controls: Any) -> Number | None:
    """The middle of what maps that know no network have."""
    known = np.asarray(controls, dtype=np.float64).ravel()
    known = known[np.isfinite(known)]
    return Number(float(np.median(known))) if known.size else None
