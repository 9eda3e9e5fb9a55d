"""Attack, segment and evaluate-model from the command line: files, words, JSON, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def _read(path: str | Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file)


def _folder(work: Path) -> Path:
    """Three photos, of which two are in the folder of the model's own answer."""
    said, other = json.loads((work / "said.json").read_text())
    names = [(work / "set" / said, "one.png"), (work / "set" / said, "two.png"), (work / "set" / other, "three.png")]
    for folder, name in names:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((work / "a.png").read_bytes())
    return work / "set"


@pytest.fixture
def truths(say: Any, work: Path) -> Path:
    said = say("explain", "a.png", "-M", "saliency", "--json", "--out", "elsewhere").document
    label = said["images"][0]["prediction"]["label"]
    other = "tench" if label != "tench" else "hen"
    (work / "said.json").write_text(json.dumps([label, other]))
    return _folder(work)


def test_attack_writes_a_picture_that_can_be_explained_again(say: Any, work: Path) -> None:
    said = say("attack", "a.png", "--epsilon", "12", "--steps", "6", "--json")
    assert (said.code, said.err) == (0, "")
    (made,) = said.document["images"]
    figure, attacked, change = made["files"]
    assert attacked.endswith("_attacked.png")
    assert "_change-x" in change
    picture = _read(attacked)
    assert picture.shape == (16, 20, 3)
    assert made["attack"]["largest"] <= 12
    assert _read(figure).shape[1] > 5 * 200
    again = say("explain", attacked, "--as-is", "-M", "saliency", "--json").document["images"][0]
    assert again["prediction"]["index"] == made["attack"]["after"]["index"]
    assert again["prediction"]["probability"] == pytest.approx(made["attack"]["after"]["probability"], abs=1e-5)


def test_attack_in_words(say: Any) -> None:
    said = say(
        "attack",
        "a.png",
        "--towards",
        "hen",
        "--epsilon",
        "2",
        "--method",
        "i-fgsm",
        "--set",
        "step=0.5",
        "--maps",
        "none",
    )
    assert said.code == 0
    assert said.out.startswith("i-fgsm, towards hen: ")
    assert re.search(
        r"^  .+ 0\.\d\d before, .+ [01]\.\d\d after; pixels moved by 2 of 255 at most$", said.out, re.MULTILINE
    )
    assert say("attack", "a.png", "--method", "pgdx").code == 2
    assert "nearest: 'pgd'" in say("attack", "a.png", "--method", "pgdx").complaint
    assert say("attack", "a.png", "--epsilon", "0.2").code == 2
    assert say("attack", "nothing.png").code == 4


def test_a_curve_over_a_folder(say: Any, truths: Path) -> None:
    said = say("attack", "set", "--curve", "1,40", "--method", "fgsm", "--json")
    assert said.code == 0
    points = said.document["points"]
    assert [(p["epsilon"], p["count"]) for p in points] == [(0, 3), (1, 3), (40, 3)]
    assert points[0]["right"] == 2
    assert said.document["truth"] == "labels"
    assert Path(said.document["file"]).read_bytes().startswith(b"\x89PNG")
    lines = say("attack", "set", "--curve", "1", "--method", "fgsm", "--steps", "3").out.splitlines()
    assert lines[0] == "epsilon     0:    2 of 3 right, 66.7%"
    assert say("attack", "set", "--curve", "some").code == 2
    assert "no meaning" in say("attack", "set", "--curve", "1", "--target", "hen").complaint


def test_segment_writes_mask_cutout_and_figure(say: Any) -> None:
    pytest.importorskip("cv2")
    said = say("segment", "a.png", "--set", "n=4", "--set", "inside=0.9", "--json")
    assert (said.code, said.err) == (0, "")
    (made,) = said.document["galleries"]
    _, mask, alone = (_read(path) for path in made["files"])
    assert mask.ndim == 2
    left, top, right, bottom = made["object"]["box"]
    assert alone.shape == (bottom - top, right - left, 4)
    assert made["object"]["parameters"]["inside"] == 0.9
    words = say("segment", "a.png", "--set", "n=4", "--set", "inside=0.9").out
    assert f"of the evidence inside; from {left},{top} to {right},{bottom} in the photo" in words
    assert say("segment", "nothing.png").code == 4
    assert say("segment", "a.png", "--method", "nothing").code == 2


def test_evaluate_model(say: Any, truths: Path) -> None:
    said = say("evaluate-model", "set", "--json")
    assert (said.code, said.err) == (0, "")
    assert (said.document["count"], said.document["accuracy"]) == (3, pytest.approx(2 / 3))
    assert [Path(path).suffix for path in said.document["files"]] == [".csv", ".png"]
    text = say("evaluate-model", "set").out
    assert "66.7% of 3 right" in text
    assert "1 x '" in text
    (truths / "cow").mkdir()
    (truths / "cow" / "x.png").write_bytes(b"")
    assert say("evaluate-model", "set").code == 2
    assert "'cow'" in say("evaluate-model", "set").complaint


def test_an_evaluation_that_was_interrupted_says_how_to_go_on(
    say: Any, truths: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import seewhy.api.evaluating as evaluating

    predict = evaluating.predict_items

    def interrupted(*given: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return predict(*given, **named)

    whole = say("evaluate-model", "set", "--json", "--out", "whole").document
    with monkeypatch.context() as patched:
        patched.setattr(evaluating, "predict_items", interrupted)
        said = say("evaluate-model", "set")
    assert said.code == 130
    assert said.err.endswith("interrupted; 3 of 3 photos are done and kept: the same command goes on\n")
    again = say("evaluate-model", "set", "--json").document
    assert {**again, "files": []} == {**whole, "files": []}


def test_boundary(say: Any, truths: Path) -> None:
    pytest.importorskip("matplotlib")
    said = say("boundary", "set", "--format", "svg", "--json")
    assert (said.code, said.err) == (0, "")
    assert (said.document["count"], said.document["regions"]) == (3, "head")
    assert [Path(path).suffix for path in said.document["files"]] == [".svg", ".csv"]
    assert sum(point["right"] for point in said.document["points"]) == 2
    text = say("boundary", "set", "--worst", "1").out
    assert "3 photos, 66.7% right" in text
    assert "coloured by the last linear layer's answers" in text
    assert "shows tench" in text or "shows hen" in text
    assert "neighbours" not in say("boundary", "set", "--layer", "3", "-q").err
    assert say("boundary", "set", "--format", "gif").code == 2
    assert "nearest: 'pca'" in say("boundary", "set", "--projection", "pcaa").complaint
    assert say("boundary", "nowhere").code == 2


def test_curves_beside_the_matrix(say: Any, truths: Path, work: Path) -> None:
    pytest.importorskip("matplotlib")
    (work / "log.csv").write_text("epoch,loss,val_loss,when\n1,0.9,0.8,noon\n2,0.5,0.85,night\n")
    said = say("evaluate-model", "set", "--curves", "log.csv")
    assert "lowest val_loss: 0.8 at epoch 1, log.csv" in said.out
    assert "column 'when' holds words" in said.complaint
    said = say("evaluate-model", "set", "--curves", "log.csv", "--json", "-q")
    assert said.document["curves"]["lowest_loss"]["epoch"] == 1
    assert _read(said.document["files"][1]).shape[1] > 900
    assert "cannot read the training log" in say("evaluate-model", "set", "--curves", "none.csv").complaint
