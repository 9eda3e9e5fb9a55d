"""What ``explain`` answers: the JSON document, the lines for people, and what goes to which stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
from seewhy.explanation import Explanation


def test_the_document_has_all_that_it_promises(say: Any, work: Path) -> None:
    said = say("explain", "a.png", "--method", "grad-cam", "--method", "saliency", "--target", "espresso", "--json")
    assert said.code == 0
    assert said.document.keys() == {"model", "images", "failed", "contact", "cost"}
    assert said.document["model"] == "python:seewhy_cli_networks:labelled"
    assert said.document["failed"] == []
    (image,) = said.document["images"]
    assert image["image"] == "a.png"
    assert [one["method"] for one in image["explanations"]] == ["grad-cam", "saliency"]
    for one in image["explanations"]:
        assert one["target"] == "espresso"
        assert one["target_index"] == 3
        assert one["status"] == {"code": "ok", "cause": ""}
        assert one["cost"].keys() == {"forwards", "backwards", "checks", "seconds"}
        (file,) = one["files"]
        assert (work / file).read_bytes().startswith(b"\x89PNG")
    cam, saliency = image["explanations"]
    assert cam["layer"] == "4"
    assert saliency["layer"] is None
    assert cam["map"]["shape"] == [5, 7]
    assert saliency["map"]["shape"] == [16, 20]
    assert saliency["map"]["min"] >= 0
    assert said.document["cost"]["forwards"] == said.document["cost"]["backwards"] == 1


def test_the_numbers_are_those_of_the_library(say: Any, work: Path) -> None:
    model = seewhy.load("python:seewhy_cli_networks:labelled")
    expected = seewhy.explain(model, "a.png", method="grad-cam")
    assert isinstance(expected, seewhy.Explanation)
    image = say("explain", "a.png", "--json").document["images"][0]
    logits = model.module(torch.from_numpy(expected.input)[None])[0].detach()
    order = logits.argsort(descending=True).tolist()
    assert [guess["index"] for guess in image["prediction"]["top"]] == order
    shares = logits.softmax(0)[order].tolist()
    assert [guess["probability"] for guess in image["prediction"]["top"]] == pytest.approx(shares, rel=1e-5)
    assert image["prediction"]["index"] == order[0]
    assert image["prediction"]["label"] == image["prediction"]["top"][0]["label"] == expected.target
    (one,) = image["explanations"]
    assert one["method"] == "grad-cam"
    assert one["score"] == pytest.approx(float(logits.max()), rel=1e-5)
    assert one["map"]["min"] == pytest.approx(float(expected.values.min()))
    assert one["map"]["max"] == pytest.approx(float(expected.values.max()))


def test_costs_of_several_photos_are_added_up(say: Any) -> None:
    document = say("explain", "a.png", "a.png", "-M", "saliency", "-M", "layer-cam", "--json").document
    assert [image["cost"]["forwards"] for image in document["images"]] == [1, 1]
    assert (document["cost"]["forwards"], document["cost"]["backwards"]) == (2, 2)


def test_people_read_prediction_score_and_the_path(say: Any) -> None:
    said = say("explain", "a.png", "--target", "tabby", "--out", "here")
    assert said.code == 0
    prediction, line, path = said.out.splitlines()
    model = seewhy.load("python:seewhy_cli_networks:labelled")
    expected = seewhy.explain(model, "a.png", target=1)
    top = expected.prediction.top[0]
    assert prediction.startswith(f"a.png: {top.label} {top.probability:.2f}, ")
    assert line == f"  grad-cam at 4 for tabby, tabby cat (logit {expected.score:.3g})"
    assert path == "    here/a_tabby-tabby-cat_grad-cam_4.png"
    assert Path(path.strip()).is_file()
    assert said.complaint.startswith("1 photo explained: 1 forward, 1 backward, ")


def test_rich_never_reads_markup_in_a_label_or_a_name(say: Any, work: Path) -> None:
    name = "ü [bold]x[red] y.png"
    (work / "a.png").rename(work / name)
    said = say("explain", name, "--target", "2")
    assert f"{name}: " in said.out
    assert "for gold [bold]fish[/bold] (logit" in said.out
    assert Path(said.out.splitlines()[-1].strip()).is_file()
    found = say("labels", "FISH")
    assert found.out == "    2  gold [bold]fish[/bold]\n"


def test_quiet_keeps_stderr_empty_but_for_errors(say: Any, work: Path) -> None:
    assert say("explain", "a.png", "--quiet").err == ""
    said = say("explain", "a.png", "missing.png", "-q")
    assert said.code == 1
    assert "missing.png" in said.complaint


def test_json_alone_stands_on_stdout_and_nothing_off_a_terminal_on_stderr(say: Any) -> None:
    said = say("explain", "a.png", "--method", "score-cam", "--json")
    assert said.err == ""
    assert said.out.startswith("{")
    assert len(said.document["images"]) == 1


def test_a_warning_is_one_note_and_quiet_silences_it(say: Any) -> None:
    said = say("explain", "a.png", "a.png", "--json", model="warning")
    assert said.complaint == "note: weights look odd"
    assert say("explain", "a.png", "--json", "--quiet", model="warning").err == ""


@pytest.mark.parametrize(
    ("model", "code", "cause"),
    [
        ("broken", "non-finite", "'3.weight' holds NaN"),
        ("constant", "zero-gradient", "the map is 0 everywhere"),
        ("against", "no-positive-evidence", "all evidence at layer '4' speaks against the target"),
    ],
)
def test_a_map_that_is_no_answer_says_so_and_why(say: Any, model: str, code: str, cause: str) -> None:
    said = say("explain", "a.png", "--target", "1", "--json", model=model)
    assert said.code == 0
    (one,) = said.document["images"][0]["explanations"]
    assert one["status"]["code"] == code
    assert cause in one["status"]["cause"]
    assert Path(one["files"][0]).is_file()
    text = say("explain", "a.png", "--target", "1", model=model)
    assert f"[{code}: " in text.out
    assert cause in text.out


def test_nan_is_null_in_json(say: Any) -> None:
    image = say("explain", "a.png", "--target", "1", "--json", model="broken").document["images"][0]
    assert image["explanations"][0]["score"] is None
    assert image["explanations"][0]["map"]["max"] is None
    assert image["explanations"][0]["map"]["finite"] is False
    assert image["prediction"]["probability"] is None


def test_compare_draws_one_grid_and_shares_every_pass(say: Any, work: Path) -> None:
    said = say("compare", "a.png", "--json")
    document = said.document
    one = document["images"][0]
    methods = [each["method"] for each in one["explanations"]]
    assert methods[:4] == ["saliency", "guided-backprop", "full-grad", "grad-cam"]
    assert {file for each in one["explanations"] for file in each["files"]} == {"seewhy-out/a_compare.png"}
    assert document["cost"]["forwards"] == 1
    grid = np.asarray(Image.open("seewhy-out/a_compare.png"))
    assert grid.shape[1] > 4 * 200  # a photo and four maps in a line
    text = say("compare", "a.png", "--method", "grad-cam", "--method", "layer-cam")
    assert [line.split()[0] for line in text.out.splitlines()[1:]] == [
        "grad-cam", "layer-cam", "seewhy-out/a_compare-2.png",
    ]  # fmt: skip


def test_compare_writes_every_format_and_the_numbers_of_each_map(say: Any, work: Path) -> None:
    said = say(
        "compare", "a.png", "-M", "grad-cam", "-M", "saliency", *("--format", "pdf", "--format", "npz"), "--json"
    )
    own = [each["files"] for each in said.document["images"][0]["explanations"]]
    assert [Path(file).suffix for files in own for file in files] == [".npz", ".pdf"] * 2
    assert own[0][1] == own[1][1] == "seewhy-out/a_compare.pdf"
    for files, method in zip(own, ("grad-cam", "saliency"), strict=True):
        assert Explanation.load(files[0]).method == method
    assert Path(own[0][1]).read_bytes().startswith(b"%PDF")
    assert not list(Path("seewhy-out").glob("*.png"))


def test_a_note_stands_with_the_maps_it_is_about(say: Any, work: Path) -> None:
    """It was lost, unless the first map had it."""
    words = ("-M", "saliency", "-M", "occlusion", "--set", "adaptive=true")
    one = say("explain", "a.png", *words, "--json").document["images"][0]
    first, second = one["explanations"]
    (note,) = second["notes"]
    assert "windows scored" in note
    assert (one["notes"], first["notes"]) == ([], [])
    lines = say("explain", "a.png", *words).out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("  occlusion"))
    assert lines[at + 1].strip() == f"note: {note}"


def test_compare_has_all_of_a_target_in_one_line_up_to_six(say: Any, work: Path) -> None:
    guided = ["-M", "grad-cam", "-M", "layer-cam", "-M", "guided-backprop", "-M", "guided-grad-cam"]
    said = say("compare", "a.png", *guided, "-t", "0", "-t", "1", "--width", "100")
    assert said.code == 0
    with Image.open("seewhy-out/a_compare.png") as grid:
        assert grid.width > 7 * 100  # the photo, four maps and two reliefs
        assert grid.height < 5 * 100  # a line for each target
