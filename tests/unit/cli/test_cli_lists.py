"""Lists: methods, layers, labels, for people at 80 columns, for grep, and as JSON."""

from __future__ import annotations

from typing import Any

import pytest

import seewhy
from seewhy.methods._guide import GUIDE
from seewhy.registry import FAMILIES


def test_methods_are_one_line_each_off_a_terminal(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By family, with what each is for; then which to use when."""
    monkeypatch.delenv("COLUMNS", raising=False)
    said = say("methods")
    assert said.code == 0
    assert "seewhy methods NAME, or --long" in said.err
    lines = {line.split()[0]: line for line in said.out.splitlines() if line.strip()}
    for card in seewhy.methods():
        assert lines[card.name].split(maxsplit=1)[1] == card.use
    assert max(map(len, said.out.partition("Which one?")[0].splitlines())) < 140  # no rule, and no columns of spaces
    order = [line.split()[0] for line in said.out.splitlines() if line.split()[:1] and line.split()[0] in FAMILIES]
    assert list(dict.fromkeys(order)) == list(FAMILIES)
    for advice in GUIDE:
        assert advice.question in said.out
        assert ", ".join(advice.methods) in said.out


def test_methods_are_one_line_each_at_eighty_columns(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = say("methods").out.partition("Which one?")[0].splitlines()
    assert max(map(len, lines)) <= 80
    for card in seewhy.methods():
        (line,) = [line for line in lines if line.startswith(f"  {card.name} ")]
        use = line.split(maxsplit=1)[1].removesuffix(" …")
        assert card.use.startswith(use)  # cut between words, if at all
        assert card.use[len(use) : len(use) + 1] in ("", " ")


@pytest.mark.parametrize("columns", ["", "80", "170", "200"])
def test_methods_in_their_long_form_lose_no_word(say: Any, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """What each is for, costs, needs and fails at, and its paper."""
    monkeypatch.setenv("COLUMNS", columns) if columns else monkeypatch.delenv("COLUMNS", raising=False)
    out = say("methods", "--long").out
    assert "…" not in out
    if columns:
        assert max(map(len, out.splitlines())) <= int(columns)
    words = " ".join(out.split())
    for card in seewhy.methods():
        assert f"{card.name} " in out
        for word in (card.use, card.paper) if columns == "" else ():
            assert word in words


def test_methods_by_family_and_as_json(say: Any) -> None:
    cams = say("methods", "--family", "cam", "--json").document["methods"]
    assert [card["name"] for card in cams] == [card.name for card in seewhy.methods("cam")]
    (card,) = say("methods", "integrated-gradients", "--json").document["methods"]
    assert card["parameters"] == {
        "rule": "adaptive", "steps": None, "max_steps": 128, "tolerance": 0.01, "multiply_by_inputs": True,
    }  # fmt: skip
    assert "baseline" in card["needs"]
    assert card["paper"].startswith("Sundararajan")


def test_one_card_in_full(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    out = say("methods", "hires-cam").out
    lines = dict(line.rstrip().split(maxsplit=1) for line in out.splitlines()[1:] if "use it for" not in line)
    assert out.splitlines()[0] == "hires-cam"
    assert lines["formula"] == "sum_c g_c A_c, elementwise"
    assert lines["paper"].startswith("Draelos & Carin 2020")
    assert lines["parameters"] == "none of its own"
    assert "use it for  a map that shows only places the score depends on" in out


def test_layers_are_listed_with_the_chosen_one_marked(say: Any) -> None:
    said = say("layers")
    rows = [line.split() for line in said.out.splitlines()[2:]]
    assert rows[0] == ["0", "Conv2d", "6×14×18", "14×18", "168"]
    assert [row[1:] for row in rows if row[0] == "*"] == [["4", "ReLU", "8×5×7", "5×7", "0"]]
    assert "* is chosen" in said.complaint
    assert say("layers", "--quiet").err == ""
    document = say("layers", "--json").document
    assert [layer["name"] for layer in document["layers"] if layer["chosen"]] == ["4"]
    assert document["layers"][3] == {
        "name": "3", "kind": "Conv2d", "shape": [1, 8, 5, 7], "grid": [5, 7], "channels": 8, "parameters": 440,
        "chosen": False,
    }  # fmt: skip


def test_labels_are_listed_and_searched(say: Any) -> None:
    assert say("labels").out.splitlines()[3] == "    3  espresso"
    assert say("labels", "CAT").out == "    1  tabby, tabby cat\n"
    assert say("labels", "cat", "--json").document["labels"] == [{"index": 1, "label": "tabby, tabby cat"}]
    said = say("labels", "zebra")
    assert (said.code, said.out) == (0, "")
    assert "none of the 5 labels contains 'zebra'" in said.complaint


def test_the_version(say: Any) -> None:
    assert say("--version").out == f"seewhy {seewhy.__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "explain",
        "compare",
        "features",
        "filters",
        "factors",
        "components",
        "attention",
        "maximise",
        "layers",
        "labels",
        "methods",
    ],
)
def test_every_command_has_help_that_fits_80_columns(say: Any, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = say(command, "--help", model=None)
    assert said.code == 0
    assert max(map(len, said.out.splitlines())) <= 80
    assert f"seewhy {command}" in said.out
    assert "--json" in said.out
