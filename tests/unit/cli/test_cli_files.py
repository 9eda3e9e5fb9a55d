"""Files: names that never collide and never replace, formats that hold what they should, folders that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import seewhy
from seewhy.render import colormap


def _files(said: Any) -> list[str]:
    return [
        file
        for image in said.document["images"]
        for one in image["explanations"]
        for file in one["files"]
    ]  # fmt: skip


def test_two_photos_of_one_name_get_two_files(say: Any, work: Path) -> None:
    (work / "sub").mkdir()
    (work / "sub" / "a.png").write_bytes((work / "a.png").read_bytes())
    said = say("explain", "a.png", "sub/a.png", "a.png", "--json", "--target", "hen")
    assert _files(said) == [f"seewhy-out/a_hen_grad-cam_4{n}.png" for n in ("", "-2", "-3")]
    assert all(Path(file).is_file() for file in _files(said))


def test_force_replaces_earlier_runs_but_never_its_own_files(say: Any, work: Path) -> None:
    (work / "b").mkdir()
    (work / "b" / "a.png").write_bytes((work / "a.png").read_bytes())
    first = _files(say("explain", "a.png", "b/a.png", "--json", "--force"))
    second = _files(say("explain", "a.png", "b/a.png", "--json", "--force"))
    assert first == second
    assert len(set(first)) == 2


def test_a_second_run_leaves_the_first_alone_unless_forced(say: Any, work: Path) -> None:
    (first,) = _files(say("explain", "a.png", "--out", "out", "--json"))
    Path(first).write_bytes(b"mine")
    (second,) = _files(say("explain", "a.png", "--out", "out", "--json"))
    assert second != first
    assert Path(first).read_bytes() == b"mine"
    (third,) = _files(say("explain", "a.png", "--out", "out", "--json", "--force"))
    assert third == first
    assert Path(first).read_bytes().startswith(b"\x89PNG")
    assert len(list((work / "out").iterdir())) == 2


def test_numbers_come_back_from_npz(say: Any) -> None:
    (file,) = _files(say("explain", "a.png", "--format", "npz", "--target", "1", "--json"))
    loaded = seewhy.Explanation.load(file)
    model = seewhy.load("python:seewhy_cli_networks:labelled")
    expected = seewhy.explain(model, "a.png", target=1)
    np.testing.assert_array_equal(loaded.values, expected.values)
    assert (loaded.method, loaded.layer, loaded.target) == ("grad-cam", "4", "tabby, tabby cat")
    assert loaded.prediction == expected.prediction


def test_every_format_of_one_explanation_shares_its_name(say: Any) -> None:
    said = say(
        "explain", "a.png", *(w for kind in ("png", "JPG", "svg", "npz", "png") for w in ("--format", kind)), "--json"
    )
    files = [Path(file) for file in _files(said)]
    assert [file.suffix for file in files] == [".png", ".jpg", ".svg", ".npz"]
    assert len({file.stem for file in files}) == 1
    assert files[1].read_bytes().startswith(b"\xff\xd8\xff")
    assert ElementTree.parse(files[2]).getroot().tag.endswith("svg")


def test_a_taken_name_moves_all_formats_on_together(say: Any, work: Path) -> None:
    (work / "out").mkdir()
    (work / "out" / "a_hen_grad-cam_4.npz").write_bytes(b"mine")
    said = say("explain", "a.png", "-t", "hen", "--out", "out", "--format", "png", "--format", "npz", "--json")
    assert _files(said) == ["out/a_hen_grad-cam_4-2.png", "out/a_hen_grad-cam_4-2.npz"]


def test_pictures_are_figures_overlays_or_heatmaps(say: Any) -> None:
    sizes, made = {}, {}
    for picture in ("figure", "overlay", "heatmap"):
        (file,) = _files(say("explain", "a.png", "--picture", picture, "--json"))
        made[picture] = np.asarray(Image.open(file))
        sizes[picture] = made[picture].shape[:2]
    assert sizes["overlay"] == sizes["heatmap"] == (16, 20)
    assert sizes["figure"][0] > 100
    assert not np.array_equal(made["overlay"], made["heatmap"])


def test_drawing_options_change_the_picture(say: Any) -> None:
    def drawn(*words: str) -> np.ndarray:
        (file,) = _files(say("explain", "a.png", "--picture", "overlay", "--json", *words))
        return np.asarray(Image.open(file))

    plain = drawn()
    for words in (["--cmap", "fern"], ["--opacity", "0.2"], ["--mode", "blend"], ["--contour", "0.5"]):
        assert not np.array_equal(drawn(*words), plain), words
    # with no opacity at all the blend is the photo
    np.testing.assert_array_equal(drawn("--mode", "blend", "--opacity", "0"), np.asarray(Image.open("a.png")))


def test_a_dense_layer_has_numbers_and_no_picture(say: Any) -> None:
    (file,) = _files(say("explain", "a.png", "-M", "saliency", "-l", "7", "--format", "npz", "--json"))
    assert seewhy.Explanation.load(file).values.shape == (5,)


def test_names_that_are_long_or_hold_every_sign(say: Any, work: Path) -> None:
    for name in ("n" * 250 + ".png", "a b [c] (d) & 'e' *.png", "grüße 猫.png", "..hidden.png", "no suffix"):
        (work / name).write_bytes((work / "a.png").read_bytes())
        for command in ("explain", "compare"):
            (file, *_) = _files(say(command, name, "-M", "saliency", "-M", "grad-cam", "--json"))
            assert Path(file).is_file()
            assert len(Path(file).name.encode()) <= 255
            assert not set(Path(file).name) & set(" []()&'*")


def test_names_that_are_not_text_survive(say: Any, work: Path) -> None:
    name = b"caf\xe9.png"
    try:
        (work / os.fsdecode(name)).write_bytes((work / "a.png").read_bytes())
    except OSError:
        pytest.skip("this file system takes only unicode names")
    (file,) = _files(say("explain", os.fsdecode(name), "--format", "npz", "--json"))
    assert Path(file).is_file()


@pytest.mark.parametrize("command", ["explain", "compare"])
@pytest.mark.parametrize(("out", "words"), [("a.png", "that is a file"), ("a.png/sub", "a.png is a file")])
def test_a_folder_that_cannot_be_is_refused_at_once(say: Any, command: str, out: str, words: str) -> None:
    said = say(command, "a.png", "--out", out, "--model", "python:seewhy_no_such_module:x", model=None)
    assert said.code == 2  # and not 3: the model was not even looked for
    assert words in said.complaint


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused_at_once(say: Any, work: Path) -> None:
    (work / "locked").mkdir(mode=0o500)
    said = say("explain", "a.png", "--out", "locked/sub")
    assert said.code == 2
    assert "no permission" in said.complaint


def test_permission_is_asked_of_the_nearest_folder_there_is(
    say: Any, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "locked").mkdir()
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append(Path(path)) or False)
    said = say("explain", "a.png", "--out", "locked/sub/deep")
    assert said.code == 2
    assert "no permission" in said.complaint
    assert asked == [work / "locked"]


def test_pictures_to_print(say: Any, work: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)).save("large.png")
    said = say(
        "explain", "large.png", "--format", "pdf", "--format", "png", "--picture", "overlay", "--dpi", "100", "--json"
    )
    page, picture = (Path(name) for name in said.document["images"][0]["explanations"][0]["files"])
    with Image.open(picture) as drawn:
        assert min(drawn.size) > 100  # as the photo, and not as the input
        assert drawn.info["dpi"] == pytest.approx((100, 100), abs=0.1)
        width = drawn.width
    assert b"/MediaBox [0 0 %.3f" % (width * 0.72) in page.read_bytes()
    said = say("explain", "large.png", "--picture", "overlay", "--width", "180", "--json")
    with Image.open(said.document["images"][0]["explanations"][0]["files"][0]) as drawn:
        assert drawn.width == 180


def test_colours_are_each_file_s_own_unless_shared(say: Any, work: Path) -> None:
    def drawn(*words: str) -> list[str]:
        said = say("explain", "a.png", "-M", "saliency", "-t", "0", "-t", "1", "--format", "svg", *words, "--json")
        return [Path(one["files"][0]).read_text() for one in said.document["images"][0]["explanations"]]

    assert not any("one colour scale" in svg for svg in drawn())
    assert all("one colour scale" in svg for svg in drawn("--scale", "shared"))
    assert all("of the input" in svg for svg in drawn())
    grid = say("compare", "a.png", "-M", "saliency", "-t", "0", "-t", "1", "--scale", "each")
    assert grid.code == 0


def test_a_relief_of_a_guided_map(say: Any, work: Path) -> None:
    said = say("explain", "a.png", "-M", "guided-backprop", "--picture", "relief", "--width", "64", "--json")
    with Image.open(said.document["images"][0]["explanations"][0]["files"][0]) as drawn:
        assert drawn.width == 64
        assert np.median(np.asarray(drawn)) == pytest.approx(128, abs=12)
    mixed = say("explain", "a.png", "-M", "guided-backprop", "-M", "grad-cam", "--picture", "relief", "--out", "mixed")
    assert mixed.code == 2
    assert not (work / "mixed").exists()


def test_a_contact_sheet_has_a_colorbar_under_every_map(say: Any, work: Path) -> None:
    (work / "b.png").write_bytes((work / "a.png").read_bytes())
    said = say("explain", "a.png", "b.png", "-M", "saliency", "--json")
    pixels = np.asarray(Image.open(said.document["contact"][0]).convert("RGB")).astype(int)
    bright = colormap("ember")[255].astype(int)
    rows = (np.abs(pixels - bright).max(-1) <= 3).any(1)
    dark = (np.abs(pixels - colormap("ember")[0].astype(int)).max(-1) <= 3).any(1)
    both = np.flatnonzero(rows & dark)
    assert len(both) >= 5  # bars, of several lines of pixels
