"""What newcomers type: what was left out is said beside the result, and what was meant beside the refusal."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

OWN = """
from torch import nn


class Own(nn.Sequential):
    def __init__(self, num_classes=4, channels=3):
        super().__init__(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))


class Needy(Own):
    def __init__(self, num_classes):
        super().__init__(num_classes)


ready = Own().eval()
"""
UNGIVEN = "no weights were given (--weights)"
UNSAID = "no --mean and --std were given: pixels go in as numbers from 0 to 1"


@pytest.fixture
def own(work: Path) -> Path:
    name = f"own_{abs(hash(str(work)))}"
    (work / f"{name}.py").write_text(OWN)
    return work / f"{name}.py"


def test_weights_that_nobody_gave_are_said_to_be_random(say: Any, own: Path) -> None:
    said = say("explain", "a.png", "--model", f"python:{own.stem}:Own", "--size", "16", "--json", model=None)
    assert any(UNGIVEN in note for note in said.document["images"][0]["notes"])
    diagnosis = say(
        "doctor", "a.png", "--model", f"python:{own.stem}:Own", "--size", "16", "--json", "-M", "saliency", model=None
    )
    assert "untrained" in {finding["code"] for finding in diagnosis.document["findings"]}
    ready = say("explain", "a.png", "--model", f"python:{own.stem}:ready", "--size", "16", "--json", model=None)
    assert not any(UNGIVEN in note for note in ready.document["images"][0]["notes"])


def test_numbers_that_nobody_gave_are_said(say: Any, own: Path) -> None:
    words = ("explain", "a.png", "--model", f"python:{own.stem}:ready", "--size", "16")
    assert UNSAID in say(*words, "--json", model=None).document["images"][0]["notes"]
    assert (
        UNSAID not in say(*words, "--mean", ".5", "--std", ".25", "--json", model=None).document["images"][0]["notes"]
    )


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--mean", "1354", "--std", "245"), "--range 65535"),
        (("--mean", "120", "--std", "60"), "--range 255"),
        (("--mean", "1354", "--range", "255"), r"no values of inputs from 0 to 255.*--range 65535"),
    ],
)
def test_the_range_that_numbers_fit_is_named(say: Any, own: Path, words: tuple[str, ...], hint: str) -> None:
    said = say("explain", "a.png", "--model", f"python:{own.stem}:ready", "--size", "16", *words, model=None)
    assert said.code == 2
    assert re.search(hint, said.complaint)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("-m", "grad-cam"), r"'grad-cam' is a method, and -m \(--model\) a network: write --method grad-cam"),
        (("--model", "mine"), r"nor is a model saved as 'mine' here \(--save-model\)"),
        (("--method", "grad-cam", "saliency"), "'saliency' stands among the photos, and is a method"),
        (("--mean", ".49", ".48", ".45"), r"'\.48' stands among the photos, and is a number"),
        (("--model", "own.py"), "python:own:SmallNet"),
        (("--model", "python:onw:Own"), r"nearest: 'own'"),
        (("--model", "python:ends:Own"), r'belongs under if __name__ == "__main__"'),
    ],
)
def test_what_was_meant_is_said(say: Any, work: Path, words: tuple[str, ...], hint: str) -> None:
    (work / "own.py").write_text(OWN)
    (work / "ends.py").write_text("raise SystemExit(2)")
    said = say("explain", "a.png", *words, model=None)
    assert said.code in (2, 3)
    assert re.search(hint, said.complaint), said.complaint


def test_methods_and_formats_may_have_commas_between_them(say: Any) -> None:
    said = say("explain", "a.png", "--method", "grad-cam,saliency", "--format", "png,npz", "--json")
    one = said.document["images"][0]["explanations"]
    assert [each["method"] for each in one] == ["grad-cam", "saliency"]
    assert [[Path(file).suffix for file in each["files"]] for each in one] == [[".png", ".npz"]] * 2


def test_commands_that_are_named_can_be_typed(say: Any, own: Path) -> None:
    """With the arguments without which there is no such model."""
    words = ("--model", f"python:{own.stem}:Needy", "--arg", "num_classes=4", "--size", "16")
    said = say("explain", "a.png", *words, "--layer", "nine", "--method", "grad-cam", model=None)
    command = said.complaint.partition("seewhy layers ")[2].split()
    assert "--arg" in command
    assert say("layers", *command, model=None).code == 0


def test_the_doctor_looks_at_networks_that_take_one_picture_at_a_time(say: Any, work: Path) -> None:
    (work / "single_file.py").write_text(
        OWN
        + "\n\nclass One(Own):\n    def forward(self, x):\n        return self[4](self[2](self[1](self[0](x))).view(1, 4))\n"
    )
    said = say(
        "doctor", "a.png", "--model", "python:single_file:One", "--size", "16", "--json", "-M", "saliency", model=None
    )
    assert "one-at-a-time" in {finding["code"] for finding in said.document["findings"]}
    assert said.document["methods"][0]["works"]


def test_the_doctor_needs_no_photo_of_bands(say: Any, work: Path) -> None:
    (work / "bands.py").write_text(OWN + "\n\nfour = Own(channels=4).eval()\n")
    said = say(
        "doctor",
        "--model",
        "python:bands:four",
        "--size",
        "16",
        "--channels",
        "4",
        "--json",
        "-M",
        "saliency",
        model=None,
    )
    assert said.code in (0, 1), said.err


def test_names_of_models_are_no_emoji(say: Any, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "train", raising=False)
    (work / "train.py").write_text(OWN)
    said = say("doctor", "a.png", "--model", "python:train:ready", "--size", "16", "-M", "saliency", model=None)
    assert "python:train:ready" in said.out
