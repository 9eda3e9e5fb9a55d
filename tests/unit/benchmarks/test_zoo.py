"""The zoo: what was right before layers were chosen by the graph and grids proved is right now, and what is wrong is
called so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.zoo import catalogue
from benchmarks.zoo.judging import judge
from benchmarks.zoo.table import table, verdict

BEFORE = Path(catalogue.__file__).parent / "before.jsonl"
ROWS = [json.loads(line) for line in BEFORE.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_mambaout"])
def test_what_was_right_is_right(name: str) -> None:
    pytest.importorskip("timm")
    rows = [row for row in ROWS if row["name"] == name and row["verdict"] == "right"]
    assert rows
    for row in rows:
        rows_, columns = row["size"]
        look = judge(catalogue.build("timm", name, rows_ != columns), (rows_, columns))
        assert verdict(look) == "right", look
        assert look["verdict"].startswith("proved")
        assert look["grid"] == row["grid"]


LOOK = {"size": [8, 9], "layer": "a", "grid": [4, 4], "status": "ok", "crossed": True, "crossed at places": True,
        "by hand": True, "zero": False, "place": 0.9, "saliency": "equal", "left as it was": True}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "right"),
        ({"crossed": False}, "right"),
        ({"crossed": False, "crossed at places": False}, "wrong: paths go around the layer"),
        ({"place": -0.2}, "wrong: positions look elsewhere (-0.2)"),
        ({"place": -0.2, "verdict": "undecided"}, "undecided, and says so"),
        ({"place": None}, "undecided"),
        ({"by hand": False}, "wrong: Grad-CAM differs from the one by hand"),
        ({"saliency": "differs", "left as it was": False}, "wrong: saliency, model changed"),
        ({"zero": True}, "wrong: zero map, ok"),
        ({"layer": None, "refused": "why"}, "refused"),
        ({"error": "E: x"}, "failed: E: x"),
    ],
)
def test_verdicts(change: dict, said: str) -> None:
    look = LOOK | change
    assert verdict(look) == said
    assert f"| {said}" in table([{"zoo": "timm", "name": "one", "looks": [look]}])
