"""``--report``: one page of each command, refused early, with the line that was typed and without its passwords."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pages import check_page
from seewhy.cli import photo_run
from seewhy.cli.reporting import TYPED, typed_line

MODEL = "python:seewhy_cli_networks:labelled"


@pytest.fixture
def photos(work: Path) -> Path:
    """Six photos."""
    draw = np.random.default_rng(0)
    (work / "set").mkdir()
    for n in range(6):
        Image.fromarray(draw.integers(0, 255, (16, 20, 3), np.uint8)).save(work / "set" / f"{n}.png")
    return work / "set"


def test_explain_and_compare_make_one_page_of_all_photos(say: Any, photos: Path) -> None:
    hostile = photos / "<img src=x onerror=alert(1)>.png"
    shutil.copy(photos / "0.png", hostile)
    (photos / "broken.png").write_bytes(b"no picture")
    said = say("explain", "set", "-M", "grad-cam", "-M", "saliency", "--report", "new/why <b>.html")
    assert said.code == 1  # one could not be read
    assert "report: new/why <b>.html" in said.err
    page = check_page(Path("new/why <b>.html").read_text(encoding="utf-8"))
    assert len(page.all("img")) == 7 * 3
    assert hostile.name in page.text
    assert "set/broken.png" in page.text
    assert f"seewhy explain set -M grad-cam -M saliency --report 'new/why <b>.html' --model {MODEL}" in page.text
    assert "gold [bold]fish[/bold]" in page.text or "tench" in page.text or "hen" in page.text
    again = say("compare", "a.png", "--report", "compared.html", "--json", "-q")
    assert again.document["report"] == "compared.html"
    assert len(check_page(Path("compared.html").read_text(encoding="utf-8")).all("img")) > 8


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("there.html", "there.html exists already; to replace it: --force"),
        ("page.pdf", "cannot write page.pdf: '.pdf'"),
        ("page", "cannot write page: no suffix"),
        ("set.html/page.html", "is a file; name"),
        (".", "no suffix"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ("explain", "a.png"), ("compare", "a.png"), ("evaluate", "set"), ("recommend", "set"), ("evaluate-model", "set"),
        ("audit", "set"), ("repair", "AUDIT", "--train", "set"), ("doctor",), ("run", "set", "--out", "maps"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_before_anything_is_run(
    say: Any, work: Path, command: tuple[str, ...], path: str, line: str
) -> None:
    Path("there.html").write_text("mine")
    Path("set.html").write_text("mine")
    said = say(*command, "--report", path, model="refusing")
    assert said.code == 2
    assert line in said.complaint
    assert Path("there.html").read_text() == "mine"
    assert sorted(each.name for each in work.iterdir()) == ["a.png", "seewhy_cli_networks.py", "set.html", "there.html"]


def test_a_report_is_replaced_where_that_was_asked(say: Any, work: Path) -> None:
    Path("there.html").write_text("mine")
    assert say("explain", "a.png", "--report", "there.html", "--force", "-q").code == 0
    assert say("doctor", "a.png", "-M", "none", "--model", MODEL, "--report", "there.html", "--force").code in (0, 1)
    assert "Diagnosis" in Path("there.html").read_text(encoding="utf-8")


def test_photos_that_were_done_before_are_on_the_page(say: Any, photos: Path) -> None:
    """As small pictures of an earlier run, and in the table."""
    assert say("explain", "set/0.png", "set/1.png", "--out", "o", "-q").code == 0
    said = say("explain", "set", "--out", "o", "--skip-existing", "--report", "all.html")
    assert said.code == 0
    page = check_page(Path("all.html").read_text(encoding="utf-8"))
    assert len(page.all("img")) == 2 + 4 * 2
    assert page.text.count("explained by an earlier run") == 2
    rows = [row for row in page.rows if row[1:2] == ["grad-cam"]]
    assert sorted(Path(row[0]).name for row in rows) == [f"{n}.png" for n in range(6)]


def test_an_interrupted_run_writes_no_report_and_the_same_line_then_does(
    say: Any, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("explain", "set", "--report", "all.html", "--out", "o", "-q")
    before, seen = photo_run._Run._answered, []

    def stops(self: Any, source: Any, answered: Any) -> bool:
        seen.append(source)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return before(self, source, answered)

    monkeypatch.setattr(photo_run._Run, "_answered", stops)
    assert say(*line).code == 130
    assert not Path("all.html").exists()
    monkeypatch.undo()
    os.chdir(photos.parent)
    assert say(*line).code == 0
    assert (
        len([row for row in check_page(Path("all.html").read_text(encoding="utf-8")).rows if row[1:2] == ["grad-cam"]])
        == 6
    )


def test_evaluate_doctor_and_run_have_pages(say: Any, photos: Path) -> None:
    pytest.importorskip("matplotlib")
    few = ("--controls", "2", "--steps", "2", "--prepare", "off")
    said = say("evaluate", "set", "-M", "grad-cam", "-M", "saliency", *few, "--report", "e.html", "--json", "-q")
    assert said.document["files"][-1] == "e.html"
    page = check_page(Path("e.html").read_text(encoding="utf-8"))
    assert "seewhy evaluate set" in page.text
    assert "fingerprint" in page.text
    assert "random maps" in page.text
    assert any(label in page.text for label in ("tench", "tabby", "gold [bold]fish[/bold]", "espresso", "hen"))
    said = say("doctor", "a.png", "-M", "grad-cam", "--model", MODEL, "--report", "d.html", "--json", "-q")
    assert said.document["report"] == "d.html"
    assert "seewhy doctor a.png" in check_page(Path("d.html").read_text(encoding="utf-8")).text
    pytest.importorskip("pyarrow")
    said = say("run", "set", "-M", "grad-cam", "--model", MODEL, "--out", "maps", "--report", "r.html")
    assert said.code == 0
    assert "    r.html" in said.out
    page = check_page(Path("r.html").read_text(encoding="utf-8"))
    assert "seewhy run set" in page.text
    assert "✓ complete" in page.text
    assert "stand beside" not in page.text  # maps lie over their photos
    assert json.loads(Path("maps/manifest.json").read_text())["asked"]["model"]["fingerprint"] in page.text
    assert (
        say("run", "set", "--model", MODEL, "--out", "maps", "--report", "r.html", "-M", "grad-cam", "--force").code
        == 0
    )
    refused = say("run", "set", "--model", MODEL, "--out", "maps", "--report", "x.html", "--dry-run")
    assert (refused.code, "--dry-run writes nothing" in refused.complaint) == (2, True)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["run", "https://me:s3cret@host/a b"], "seewhy run 'https://...@host/a b'"),
        (
            ["run", "https://host/x.tar?X-Amz-Signature=abc&part=1"],
            "seewhy run 'https://host/x.tar?X-Amz-Signature=...&part=1'",
        ),
        (
            ["run", "--arg", "api_key=abc", "--arg", "num_classes=10"],
            "seewhy run --arg api_key=... --arg num_classes=10",
        ),
        (["explain", "/home/me/secrets/a.png"], "seewhy explain /home/me/secrets/a.png"),
    ],
)
def test_passwords_are_not_handed_on(words: list[str], shown: str) -> None:
    token = TYPED.set(words)
    try:
        assert typed_line() == shown
    finally:
        TYPED.reset(token)
