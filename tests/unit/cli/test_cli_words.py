"""Invalid words: one line on stderr with the nearest that can, exit code 2 (3 for what cannot be loaded)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seewhy.cli.pairs import settings_of
from seewhy.errors import UsageError

#: the words after ``explain a.png``, and what the one line must hold
WRONG: dict[str, tuple[list[str], list[str]]] = {
    "method": (["-M", "gradcam"], ["no method 'gradcam'", "nearest: 'grad-cam'", "seewhy methods"]),
    "second method": (["-M", "saliency", "-M", "limes"], ["no method 'limes'", "nearest: 'lime'", "seewhy methods"]),
    "layer": (["--layer", "44"], ["no layer '44'", "seewhy layers --model python:seewhy_cli_networks:labelled"]),
    "label": (["-t", "expresso"], ["no label 'expresso'", "nearest: 'espresso'", "seewhy labels"]),
    "index": (["-t", "5"], ["no class 5", "the last is 4"]),
    "top": (["-t", "top-0"], ["'top-0'", "'top-1'"]),
    "contrast": (["--contrast", "expresso"], ["no label 'expresso'", "nearest: 'espresso'"]),
    "contrast of a gradient": (["-M", "saliency", "--contrast", "hen"], ["saliency is not a CAM"]),
    "contrast with itself": (["-t", "hen", "--contrast", "hen"], ["is the target itself"]),
    "parameter": (["-M", "smooth-grad", "--set", "stepz=3"], ["no parameter 'stepz'", "seewhy methods smooth-grad"]),
    "no value": (["-M", "smooth-grad", "--set", "n"], ["NAME=VALUE"]),
    "no number": (["-M", "smooth-grad", "--set", "n=few"], ["n is a whole number", "--set n=32"]),
    "no whole number": (["-M", "smooth-grad", "--set", "n=2.5"], ["n is a whole number"]),
    "format": (["--format", "jpeg"], ["--format jpeg", "nearest: 'jpg'", "png, jpg, svg, pdf, npz"]),
    "colormap": (
        ["--cmap", "embers"],
        ["no colormap 'embers'", "nearest: 'ember'", "blue-red", "matplotlib.colormaps"],
    ),
    "picture": (
        ["--picture", "overlays"],
        ["--picture overlays", "nearest: 'overlay'", "figure, overlay, heatmap, relief"],
    ),
    "mode": (["--mode", "blended"], ["--mode blended", "nearest: 'blend'", "alpha, blend, mask"]),
    "opacity": (["--opacity", "1.5"], ["--opacity 1.5", "nothing is beyond"]),
    "contour": (["--contour", "5"], ["--contour 5", "between 0 and 1"]),
    "no photo under a heatmap": (["--picture", "heatmap", "--mode", "blend"], ["--mode", "heatmap has none"]),
    "no map under a relief": (["--picture", "relief", "--cmap", "fern"], ["--cmap", "relief has red"]),
    "enlargement": (["--enlarge", "cubic"], ["--enlarge cubic", "nearest: 'bicubic'", "bicubic, bilinear, gaussian"]),
    "scale": (["--scale", "share"], ["--scale share", "nearest: 'shared'", "each, shared"]),
    "width": (["--width", "0"], ["--width 0", "from 16 to 20000"]),
    "dpi": (["--dpi", "1"], ["--dpi 1", "from 10 to 4800"]),
    "no relief": (["-M", "grad-cam", "--picture", "relief"], ["grad-cam has no relief", "guided backpropagation"]),
    "fusion": (["--fuse", "men"], ["no fusion 'men'", "nearest: 'mean'"]),
    "reduction": (["-M", "saliency", "--reduce", "max"], ["no reduction 'max'", "nearest: 'max-abs'"]),
    "rule": (["--backward-rule", "guide"], ["no backward rule 'guide'", "nearest: 'guided'"]),
    "baseline": (["-M", "integrated-gradients", "--baseline", "blu"], ["no baseline 'blu'", "nearest: 'blur'"]),
    "baseline of a cam": (["--baseline", "blur"], ["--baseline blur", "path methods"]),
    "device": (["--device", "gpu"], ["no device 'gpu'", "cuda"]),
    "no picture of a dense layer": (["-M", "saliency", "-l", "7"], ["shape (5,)", "--format npz"]),
    "option": (["--metod", "x"], ["--metod", "--method", "seewhy explain --help"]),
    "option without value": (["--seed"], ["--seed", "--help"]),
    "seed": (["--seed", "one"], ["--seed", "seewhy explain --help"]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_word_is_one_line_with_the_nearest_right_one(say: Any, work: Path, kind: str) -> None:
    words, expected = WRONG[kind]
    model = [] if kind == "option without value" else ["--model", "python:seewhy_cli_networks:labelled"]
    said = say("explain", "a.png", *model, *words, model=None)
    assert said.code == 2, said.err
    for each in expected:
        assert each in said.complaint
    assert said.out == ""
    assert not (work / "seewhy-out").exists()


MODELS: dict[str, tuple[str, int, list[str]]] = {
    "scheme": ("pyton:a:b", 2, ["no model scheme 'pyton", "nearest: 'python'"]),
    "name": ("no-such-network-at-all", 2, ["no model 'no-such-network-at-all'"]),
    "callable": ("python:seewhy_cli_networks:labeled", 2, ["no callable 'labeled'", "nearest: 'labelled'"]),
    "no callable": ("python:seewhy_cli_networks", 2, ["python:package.module:callable"]),
    "a file": ("python:seewhy_cli_networks.py:net", 2, ["python:seewhy_cli_networks:net"]),
    "no module": ("python:seewhy_no_such_module:net", 3, ["ModuleNotFoundError"]),
    "a number": ("python:seewhy_cli_networks:number", 3, ["int"]),
    "labels instead": ("python:seewhy_cli_networks:LABELS", 3, ["list"]),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("command", ["explain", "layers"])
def test_a_model_that_is_none_is_one_line(say: Any, command: str, kind: str) -> None:
    spec, code, expected = MODELS[kind]
    photo = ["a.png"] if command == "explain" else []
    said = say(command, *photo, "--model", spec, model=None)
    assert said.code == code, said.err
    for each in expected:
        assert each in said.complaint


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--prepare", "onn"], "--prepare onn: nearest: 'on'; one of 'auto', 'on'"),
        (
            ["--fuse", "mean", "-l", "1"],
            "--fuse mean makes one map of several layers: give two or more, and a --reduce",
        ),
        (["-M", "integrated-gradients", "--set", "max_steps=0"], "--set max_steps=0, --set tolerance=0.01: both must"),
        (["-M", "grad-cam", "-l", "input"], "leave --layer out to have one chosen"),
    ],
)
def test_errors_name_what_is_typed(say: Any, argv: list[str], said: str) -> None:
    """They named Python's arguments: fuse='mean', layer=."""
    answer = say("explain", "a.png", *argv)
    assert answer.code == 2
    assert said in answer.complaint


@pytest.mark.parametrize("word", ["true", "ON", "off", "verify", "False"])
def test_prepare_takes_pythons_words(say: Any, word: str) -> None:
    assert say("explain", "a.png", "-M", "saliency", "--prepare", word).code == 0


def test_names_in_the_zoos_are_looked_up(say: Any) -> None:
    pytest.importorskip("timm")
    said = say("explain", "a.png", "--model", "timm:resnet5", model=None)
    assert said.code == 2
    assert "nearest: 'resnet50'" in said.complaint
    assert "timm.list_models()" in said.complaint


def test_weights_that_are_not_there_cannot_be_loaded(say: Any) -> None:
    said = say("explain", "a.png", "--weights", "gone.pth")
    assert said.code == 3
    assert "gone.pth" in said.complaint


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["explian", "a.png"], ["no such command 'explian'", "'explain'", "seewhy --help"]),
        (["explain"], ["missing argument 'PHOTO", "seewhy explain --help"]),
        (["methods", "gradcam"], ["no method 'gradcam'", "nearest: 'grad-cam'"]),
        (["methods", "--family", "cams"], ["no family 'cams'", "nearest: 'cam'", "gradient, cam"]),
        (["compare", "a.png", "-M", "gradcam"], ["no method 'gradcam'", "nearest: 'grad-cam'"]),
        (["demo", "--out", "a.png"], ["a.png", "that is a file"]),
    ],
)
def test_commands_refuse_in_one_line(say: Any, argv: list[str], expected: list[str]) -> None:
    said = say(*argv, model=None)
    assert said.code == 2
    for each in expected:
        assert each in said.complaint


def test_help_names_every_command_and_exit_code(say: Any) -> None:
    said = say("--help", model=None)
    assert said.code == 0
    for command in ("demo", "explain", "compare", "layers", "labels", "methods"):
        assert command in said.out
    assert "130 interrupted" in " ".join(said.out.split())


def test_targets_need_numbers_where_there_are_no_labels(say: Any) -> None:
    assert say("explain", "a.png", "-t", "3", model="nameless").code == 0
    said = say("explain", "a.png", "-t", "hen", model="nameless")
    assert said.code == 2
    assert "'hen'" in said.complaint
    said = say("labels", model="nameless")
    assert said.code == 2
    assert "give targets as numbers" in said.complaint


def test_an_error_of_the_network_is_one_line_unless_debugging(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = say("explain", "a.png", model="refusing")
    assert said.code == 1
    assert said.complaint == "RuntimeError: no such size (SEEWHY_DEBUG=1 shows the traceback)"
    monkeypatch.setenv("SEEWHY_DEBUG", "1")
    with pytest.raises(RuntimeError, match="no such"):
        say("explain", "a.png", model="refusing")


def test_settings_take_the_type_of_their_default() -> None:
    defaults = {"steps": 50, "tolerance": 0.01, "rule": "adaptive", "smooth": True, "layers": None}
    pairs = ["steps=8", "tolerance=1", "rule=3", "smooth=no", "layers=(1, 2)", "other-one=2"]
    assert settings_of(pairs, defaults) == {
        "steps": 8, "tolerance": 1.0, "rule": "3", "smooth": False, "layers": (1, 2), "other_one": 2,
    }  # fmt: skip
    assert type(settings_of(["tolerance=1"], defaults)["tolerance"]) is float
    assert settings_of([], defaults) == {}
    for pair in ("steps=1.5", "tolerance=small", "smooth=maybe", "=3", "steps"):
        with pytest.raises(UsageError, match="--set"):
            settings_of([pair], defaults)
