"""``seewhy bench``: words, JSON, files, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

QUICK = ["--rounds", "1", "--no-peers"]


@pytest.fixture(autouse=True)
def _as_wide_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize(("fixture", "prepared"), [("no_step_pays", False), ("steps_pay", True)])
def test_bench_in_words(say: Any, fixture: str, prepared: bool, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(fixture)
    said = say("bench", "a.png", "--method", "grad-cam", "--method", "occlusion", *QUICK)
    assert (said.code, said.err) == (0, "")
    assert "forward, eager" in said.out
    assert ("not prepared" in said.out) is not prepared
    assert ("forward, prepared" in said.out) is prepared
    assert ("seewhy, prepared" in said.out) is prepared
    rows = {row.split()[0]: row for row in said.out.splitlines() if "seewhy" in row and "forward" in row}
    assert "1 forward, 1 backward" in rows["grad-cam"]
    assert "the reference" in rows["grad-cam"]
    assert "backward" in rows["occlusion"]


def test_bench_as_json_and_files(say: Any, work: Path) -> None:
    said = say("bench", "--method", "saliency", "-t", "hen", "--json", "--out", "timed", *QUICK)
    assert said.code == 0
    assert said.document["facts"]["target"] == "hen"
    (method,) = said.document["methods"]
    assert method["contestants"][0]["agrees"] is True
    table, numbers = (work / name for name in said.document["files"])
    assert (table.name, numbers.name) == ("bench.md", "bench.json")
    assert json.loads(numbers.read_text())["methods"] == said.document["methods"]
    assert "| saliency | 1 forward, 1 backward | seewhy |" in table.read_text()
    again = say("bench", "--method", "saliency", "--out", "timed", *QUICK)
    assert "bench-2.md" in again.out


def test_bench_that_can_time_nothing_says_so(say: Any) -> None:
    said = say("bench", "a.png", "--method", "saliency", *QUICK, model="blind")
    assert said.code == 1
    assert "a callable has scores only" in said.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--method", "gradcam"], "no method 'gradcam'; nearest: 'grad-cam'"),
        (["--method", "saliency", "--set", "n=2"], "no parameter 'n' of saliency"),
        (["-t", "expresso"], "no label 'expresso'; nearest: 'espresso'"),
        (["--rounds", "0"], "--rounds 0: a number above 0"),
        (["--seconds", "-1"], "--seconds -1: a number above 0"),
        (["--method", "grad-cam", "--layer", "44"], "no layer '44'"),
    ],
)
def test_bench_refuses_in_one_line(say: Any, words: list[str], expected: str) -> None:
    said = say("bench", "a.png", "--no-peers", *words)
    assert said.code == 2
    assert expected in said.complaint
    assert say("bench", "nothing.png", *QUICK).code == 4
