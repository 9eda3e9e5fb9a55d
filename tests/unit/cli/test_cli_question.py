"""What is asked reaches the library: targets, layers, contrasts, parameters, seeds; and what is said twice counts once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seewhy


@pytest.fixture
def ask(say: Any) -> Any:
    def one(*words: str) -> list[dict[str, Any]]:
        said = say("explain", "a.png", *words, "--format", "npz", "--json")
        assert said.code == 0, said.err
        return said.document["images"][0]["explanations"]

    return one


@pytest.fixture
def model(work: object) -> seewhy.Model:
    return seewhy.load("python:seewhy_cli_networks:labelled")


def _values(one: dict[str, Any]) -> np.ndarray:
    return seewhy.Explanation.load(one["files"][0]).values


@pytest.mark.parametrize(
    ("words", "indices"),
    [
        (["--target", "tabby"], [1]),
        (["--target", "tabby, tabby cat"], [1]),
        (["--target", "ESPRESSO"], [3]),
        (["--target", "3"], [3]),
        (["-t", "3", "-t", "hen", "-t", "0"], [3, 4, 0]),
        (["-t", "hen", "-t", "hen"], [4]),
        (["-t", "all"], [0, 1, 2, 3, 4]),
    ],
)
def test_targets(ask: Any, words: list[str], indices: list[int]) -> None:
    assert [one["target_index"] for one in ask(*words)] == indices


def test_the_top_three(ask: Any, model: seewhy.Model) -> None:
    top = seewhy.explain(model, "a.png").prediction.top
    assert [one["target_index"] for one in ask("--target", "top-3")] == [guess.index for guess in top[:3]]


def test_layers_each_or_fused(ask: Any, model: seewhy.Model) -> None:
    first, second = ask("--layer", "1", "--layer", "4")
    assert (first["layer"], second["layer"]) == ("1", "4")
    assert first["map"]["shape"] == [14, 18]
    assert second["map"]["shape"] == [5, 7]
    for how in ("mean", "max"):
        (fused,) = ask("--layer", "1", "--layer", "4", "--fuse", how)
        assert fused["layer"] == "1 + 4"
        expected = seewhy.explain(model, "a.png", layer=["1", "4"], fuse=how)
        np.testing.assert_array_equal(_values(fused), expected.values)


def test_contrast(ask: Any, model: seewhy.Model) -> None:
    (plain,), (against,) = ask("-t", "hen"), ask("-t", "hen", "--contrast", "tench")
    (other,) = ask("-t", "tench")
    assert against["contrast"] == "against tench"
    np.testing.assert_allclose(_values(against), _values(plain) - _values(other), atol=1e-6)
    (best,) = ask("-t", "hen", "--contrast", "top-2")
    expected = seewhy.explain(model, "a.png", target="hen", contrast="top-2")
    np.testing.assert_array_equal(_values(best), expected.values)


def test_parameters_reach_the_method(ask: Any, model: seewhy.Model) -> None:
    words = ["-M", "integrated-gradients", "-t", "1", "--set", "rule=trapezoid", "--set", "steps=8"]
    (one,) = ask(*words, "--baseline", "white")
    assert one["parameters"]["steps"] == 8
    expected = seewhy.explain(
        model, "a.png", method="integrated-gradients", target=1, rule="trapezoid", steps=8, baseline="white"
    )
    np.testing.assert_array_equal(_values(one), expected.values)
    (number,) = ask(*words, "--baseline", "0.5")
    assert number["provenance"]["baseline"] == "0.5"
    assert not np.array_equal(_values(number), _values(one))


def test_seeds_repeat_and_differ(ask: Any) -> None:
    words = ["-M", "smooth-grad", "--set", "n=4"]
    one, again, other = (_values(ask(*words, "--seed", seed)[0]) for seed in ("1", "1", "2"))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert ask("--seed", "3")[0]["method"] == "grad-cam"  # which draws nothing


def test_reductions_and_rules(ask: Any, model: seewhy.Model) -> None:
    (one,) = ask("-M", "saliency", "--reduce", "sum", "--backward-rule", "guided")
    expected = seewhy.explain(model, "a.png", method="saliency", reduce="sum", backward_rule="guided")
    np.testing.assert_array_equal(_values(one), expected.values)
    assert one["map"]["min"] < 0


def test_methods_said_twice_count_once_and_keep_their_order(ask: Any) -> None:
    found = ask("-M", "saliency", "-M", "grad-cam", "-M", "saliency")
    assert [one["method"] for one in found] == ["saliency", "grad-cam"]


@pytest.mark.parametrize(("word", "used"), [("on", True), ("verify", True), ("off", False), ("auto", False)])
def test_prepare_reaches_the_library(ask: Any, word: str, used: bool) -> None:
    (one,) = ask("--method", "saliency", "--prepare", word)
    found = seewhy.Explanation.load(one["files"][0])
    assert found.provenance["prepared"]["used"] is used
    assert (found.cost.checks > 0) is used


def test_a_word_that_prepare_cannot_be(say: Any) -> None:
    said = say("explain", "a.png", "--prepare", "sometimes")
    assert said.code == 2
    assert "--prepare sometimes: one of 'auto', 'on' (True), 'verify', 'off' (False)" in said.err
