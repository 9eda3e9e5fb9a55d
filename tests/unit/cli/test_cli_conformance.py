"""``seewhy conformance``: words to a run of units and its outcome."""

from __future__ import annotations

import json

import pytest

from seewhy.cli.app import run


def test_a_table_and_what_fails_by_design(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["conformance", "--method", "grad-cam", "--method", "hires-cam", "-u", "blind-half", "--quiet"]
    assert run([*words, "--all"]) == 0
    out = capsys.readouterr().out
    assert "grad-cam, blind-half: failed by design: 20 % of the evidence" in out
    assert "hires-cam, blind-half" not in out
    assert run(words) == 0
    assert "failed by design:" not in capsys.readouterr().out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["conformance", "-M", "saliency", "-M", "fgsm", "-u", "linear", "--json", "-q"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["results"] == [{"method": "saliency", "unit": "linear", "outcome": "passed"}]
    assert record["not_applicable"][0]["method"] == "fgsm"
    assert record["library"] == "seewhy"
    assert set(record["versions"]) == {"seewhy", "torch"}


def test_a_failure_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("zennit")
    assert run(["conformance", "--library", "zennit", "-M", "Occlusion", "-u", "and", "-q"]) == 1
    assert "Occlusion, and: failed: " in capsys.readouterr().out


def test_the_units_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["conformance", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["units"]
    assert {"blind-half", "xor", "one-token"} <= {each["name"] for each in listed}
    assert run(["conformance", "--list"]) == 0
    assert "blindness" in capsys.readouterr().out


def test_wrong_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["conformance", "-u", "blind-hlf"]) == 2
    assert "no unit 'blind-hlf'; nearest: 'blind-half'. List them: seewhy conformance --list" in capsys.readouterr().err
    assert run(["conformance", "--library", "captom"]) == 2
    assert "no library 'captom'; nearest: 'captum'" in capsys.readouterr().err
