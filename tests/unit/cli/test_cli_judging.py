"""Methods compared and recommended from the command line: files, words, JSON, exit codes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib")


@pytest.fixture
def photos(work: Path) -> Path:
    """Six photos, and masks of a bright square in them."""
    (work / "set").mkdir()
    (work / "masks").mkdir()
    draw = np.random.default_rng(0)
    for n in range(6):
        picture, inside = draw.integers(0, 99, (16, 20, 3)).astype(np.uint8), np.zeros((16, 20), dtype=np.uint8)
        inside[2 + n : 8 + n, 4:12] = 255
        picture[inside > 0] = 255 - 20 * n
        Image.fromarray(picture).save(work / "set" / f"{n}.png")
        Image.fromarray(inside).save(work / "masks" / f"{n}.png")
    return work / "set"


_FEW = ("--controls", "2", "--steps", "2", "--prepare", "off")


def test_evaluate_writes_tables_a_chart_and_everything(say: Any, photos: Path) -> None:
    said = say("evaluate", "set", "-M", "grad-cam", "-M", "saliency", *_FEW, "--json", "-q")
    assert (said.code, said.err) == (0, "")
    document = said.document
    assert [Path(path).name for path in document.pop("files")] == ["evaluation.md", "evaluation.json", "evaluation.png"]
    assert document == json.loads(Path("seewhy-out/evaluation.json").read_text())
    assert {row["metric"] for row in document["standings"]} == {"srg", "insertion", "deletion"}
    assert len(document["images"]) == 6
    assert "| grad-cam |" in Path("seewhy-out/evaluation.md").read_text()
    words = say("evaluate", "set", "-M", "grad-cam@0", "--metric", "gini", "--photos", "2", *_FEW)
    assert words.code == 0
    assert "gini: neither way is better" in words.out
    assert "grad-cam@0" in words.out
    assert "2 photos: fewer than the 5 that an interval takes" in words.err
    assert "evaluation-2.md" in words.out


def test_evaluate_with_masks_and_settings_of_methods(say: Any, photos: Path) -> None:
    said = say(
        "evaluate", "set", "-M", "smooth-grad", "--set", "n=3", "--masks", "masks", "--metric", "pointing", *_FEW, "--json"
    )  # fmt: skip
    assert said.document["settings"]["parameters"] == {"n": 3}
    assert said.document["standings"][0]["count"] == 6
    assert say("evaluate", "set", "--set", "n=3").code == 2
    assert "--masks DIR" in say("evaluate", "set", "--metric", "iou").complaint
    assert "no such folder" in say("evaluate", "set", "--masks", "nothing").complaint
    assert "nearest: 'srg'" in say("evaluate", "set", "--metric", "srgg").complaint
    assert "nearest: 'grad-cam'" in say("evaluate", "set", "-M", "grad-cem@layer4").complaint


def test_mosaics_need_sure_photos(say: Any, photos: Path) -> None:
    said = say("evaluate", "set", "--grid", "2", "--sure", "0.1", *_FEW)
    assert said.code == 2
    assert "a mosaic of 2 x 2 takes 4 classes: give more photos, or let less be sure (--sure 0.5)" in said.complaint


def test_a_photo_that_cannot_be_read_is_said_and_counted(say: Any, photos: Path) -> None:
    (photos / "9.png").write_bytes(b"none")
    said = say("evaluate", "set", "-M", "saliency", "--metric", "gini", *_FEW)
    assert said.code == 1
    assert "9.png" in said.err
    assert "gini: neither way" in said.out


def test_an_evaluation_that_was_interrupted_goes_on(say: Any, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seewhy.api.judging import running

    line = ("evaluate", "set", "-M", "saliency", "-M", "grad-cam", "--metric", "srg", *_FEW)
    whole = say(*line, "--json", "-q", "--out", "whole").document
    judged, calls = running.judged, list[int]()

    def interrupted(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return judged(*given)

    with monkeypatch.context() as patched:
        patched.setattr(running, "judged", interrupted)
        said = say(*line)
    assert said.code == 130
    assert said.err.endswith("interrupted; 2 of 6 photos are done and kept: the same command goes on\n")
    again = say(*line, "--json", "-q").document
    assert {**again, "files": []} == {**whole, "files": []}
    assert Path("seewhy-out/evaluation.json").read_bytes() == Path("whole/evaluation.json").read_bytes()


def test_recommend_names_a_method_with_the_numbers(say: Any, photos: Path) -> None:
    said = say("recommend", "set", "-M", "grad-cam", "-M", "hires-cam", "-M", "saliency", *_FEW)
    assert said.code == 0
    first = said.out.splitlines()[0]
    assert first.startswith(("grad-cam at ", "saliency: "))
    assert "on 6 photos" in first
    assert "hires-cam draws the maps of grad-cam here" in said.out
    assert "as good as the best" in said.out
    document = say("recommend", "set", "-M", "saliency", *_FEW, "--json", "-q").document
    assert document["method"] == "saliency"
    assert [Path(path).suffix for path in document["files"]] == [".md", ".json", ".png"]
    assert "too dear" in say("recommend", "set", "-M", "rise", "--budget", "2").complaint
    one = say("recommend", "a.png", "-M", "saliency", *_FEW)
    assert "is the best of 1 by srg on 1 photo (" in one.out
