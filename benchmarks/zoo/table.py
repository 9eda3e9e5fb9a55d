"""The zoo's table: takes rows of judgements, gives Markdown: what was right, what was refused and why, what was
wrong."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["table", "verdict"]

#: fewer positions say nothing about where they look: those of an untrained network, which see all of a small picture,
#: may answer most to what lies across from them
_FEW = 9


def verdict(look: dict[str, Any]) -> str:
    """``right``, ``wrong: ...``, ``undecided``, ``refused`` or ``failed``, of one network at one size."""
    if "error" in look:
        return f"failed: {look['error']}"
    said = []
    if look.get("saliency") == "differs":
        said.append("saliency")
    if not look.get("left as it was", True):
        said.append("model changed")
    if look.get("prepared", "").startswith("differs"):
        said.append(f"its program {look['prepared']}")
    if look.get("layer") is None:
        return f"wrong: {', '.join(said)}" if said else "refused"
    if not (look["crossed"] or look["crossed at places"]):
        said.append("paths go around the layer")
    if not look["by hand"]:
        said.append("Grad-CAM differs from the one by hand")
    place = look.get("place")
    doubted = look.get("verdict") == "undecided"
    few = math.prod(look.get("grid", ())) < _FEW
    if place is not None and place < 0.25 and not (doubted or few):
        said.append(f"positions look elsewhere ({place})")
    if look["zero"] and look["status"] == "ok":
        said.append("zero map, ok")
    if look["status"] == "zero-gradient" and look.get("slope"):
        said.append("no gradient arrives at the layer")
    if said:
        return f"wrong: {', '.join(said)}"
    told = place is not None or "place" not in look
    return "right" if told and (place is None or place >= 0.5) else "undecided, and says so" if doubted else "undecided"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The page."""
    counts: dict[str, Counter[str]] = {}
    lines = list(_lines(rows, counts))
    head = [
        "# The zoo",
        "",
        "Small, untrained members of the families of four zoos, at two input sizes each: `python -m benchmarks.zoo "
        "--zoo timm --out zoo.jsonl`, `--write docs/zoo.md`. The layer is right if, with its tensor cut out of the "
        "graph by a hook, no path leads from the score to the input, or to a place that the layer read (class tokens "
        "may pass it by). The grid is right if positions answer to changes of the picture where the grid has them: "
        "*looks* is the correlation of the two, of the worse axis (or the same of gradients, if that is larger); of "
        "fewer than nine positions it can say that they are right, not that they are wrong. "
        "Grad-CAM is compared with one by hand, saliency with autograd and with that of a prepared program, hooks, "
        f"attributes and outputs with those before. {_builds(rows)}",
        "",
        "| zoo | models | looks | right | undecided | refused | wrong | failed | skipped |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for zoo, each in counts.items():
        numbers = [
            each[key] for key in ("models", "looks", "right", "undecided", "refused", "wrong", "failed", "skipped")
        ]
        head.append(f"| {zoo} | " + " | ".join(map(str, numbers)) + " |")
    head += [
        "",
        "| model | input | layer | grid | proof | looks | program | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *lines]) + "\n"


def _builds(rows: Sequence[dict[str, Any]]) -> str:
    """Which commits of seewhy the rows are of."""
    builds = Counter(row.get("build", "") for row in rows)
    builds.pop("", None)
    said = ", ".join(f"{count} members at `{build}`" for build, count in builds.most_common())
    return f"Judged: {said}." if said else ""


def _lines(rows: Sequence[dict[str, Any]], counts: dict[str, Counter[str]]) -> Iterator[str]:
    for row in sorted(rows, key=lambda row: (row["zoo"], row["name"].lower())):
        each = counts.setdefault(row["zoo"], Counter())
        each["models"] += 1
        name = f"{row['zoo']}:{row['name']}"
        if "skipped" in row:
            each["skipped"] += 1
            yield f"| {name} | | | | | | | {_cell(row['skipped'])} |"
        for look in row["looks"]:
            said = verdict(look)
            each["looks"] += 1
            each[re.split("[:,]", said)[0]] += 1
            size = "x".join(map(str, look["size"]))
            layer, grid = look.get("layer") or "", "x".join(map(str, look.get("grid", ())))
            why = f"{said}: {look['refused']}" if said == "refused" else said
            proof = look.get("verdict") or ""
            program = _cell(look.get("prepared", ""))
            cells = (name, size, _cell(layer), grid, proof, look.get("place", ""), program, _cell(why))
            yield f"| {' | '.join(map(str, cells))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
