"""Features, filters, factors and maximise from the command line: files, words, JSON, exit codes; saliency of every layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
import seewhy.models
from unit.cli.conftest import pixels

_QUICK = ("--steps", "4", "--size", "16", "--set", "copies=1")


def _names(said: Any) -> list[list[str]]:
    return [each["files"] for each in said.document["galleries"]]


def test_features_of_photos(say: Any, work: Path) -> None:
    (work / "b.png").write_bytes((work / "a.png").read_bytes())
    said = say("features", "a.png", "b.png", "--layer", "1", "-l", "4", "--target", "hen", "-t", "hen", "--json")
    assert (said.code, said.err) == (0, "")
    assert _names(said) == [
        [f"seewhy-out/{name}_hen_features_{layer}.png"] for name in ("a", "b") for layer in ("1", "4", "layers")
    ]
    assert all(Path(file).read_bytes().startswith(b"\x89PNG") for files in _names(said) for file in files)
    first = said.document["galleries"][0]
    assert (first["image"], first["parameters"]["layer"], first["status"]) == ("a.png", "1", "ok")
    assert first["tiles"][0]["index"] is None
    found = seewhy.feature_maps(seewhy.load("python:seewhy_cli_networks:labelled"), "a.png", "1", "hen")
    assert [tile["value"] for tile in first["tiles"]] == [tile.value for tile in found]
    assert (first["cost"]["forwards"], first["cost"]["backwards"]) == (1, 1)
    text = say("features", "a.png", "--top", "2", "--order", "magnitude", "--scale", "each").out
    assert text.startswith("a.png: 4, 8 channels of 5×7, for ")
    assert "note: 2 of 8 channels, strongest evidence for or against the target first" in text


def test_features_of_many_layers_are_one_strip_with_the_output_last(say: Any) -> None:
    said = say("features", "a.png", "-l", "1", "-l", "4", "-l", "0", "-t", "hen", "-t", "1", "--top", "2", "--json")
    strips = [each for each in said.document["galleries"] if each["parameters"]["layer"] == "1, 4, 0"]
    assert len(strips) == 2
    layers = [[tile["title"][0] for tile in each["tiles"]] for each in strips]
    assert layers[0] == ["1", "1", "4", "4", "0", "0", "a.png", "output: hen"]
    assert strips[0]["tiles"][-1]["title"][1].startswith("saliency, up to ")
    assert strips[0]["title"].startswith("a.png: 3 layers, for hen (logit ")
    whole = [each for each in said.document["galleries"] if each["parameters"]["layer"] == "4"]
    assert strips[0]["tiles"][2]["value"] == whole[0]["tiles"][1]["value"]
    svg = say("features", "a.png", "-l", "1", "-l", "4", "--format", "svg", "--json").document["galleries"][-1]
    shown = Path(svg["files"][0]).read_text()
    assert shown.index(">channel ") > shown.index("<image")
    assert "of each map" in shown


def test_a_photo_that_cannot_be_read_is_passed_over(say: Any) -> None:
    said = say("features", "no.png", "a.png", "--json")
    assert said.code == 1
    assert "no.png" in said.complaint
    assert [each["image"] for each in said.document["failed"]] == ["no.png"]
    assert len(said.document["galleries"]) == 1
    assert say("features", "no.png").code == 4
    said = say("factors", "no.png", "a.png", "--rank", "2", "--json")
    assert said.code == 1
    assert len(said.document["galleries"]) == 1
    assert say("factors", "no.png").code == 4


def test_filters_of_layers(say: Any) -> None:
    said = say("filters", "--layer", "0", "--layer", "3", "--slices", "2", "--json")
    assert said.code == 0
    assert _names(said) == [["seewhy-out/Sequential_filters_0.png"], ["seewhy-out/Sequential_filters_3.png"]]
    assert [len(each["tiles"]) for each in said.document["galleries"]] == [6, 8]
    assert len(say("filters", "--top", "2", "--json").document["galleries"][0]["tiles"]) == 2
    assert "layer '1' is a ReLU: take '0'" in say("filters", "--layer", "1").complaint


def test_factors_of_photos_together(say: Any, work: Path) -> None:
    (work / "b.png").write_bytes((work / "a.png").read_bytes())
    said = say(
        "factors", "a.png", "b.png", "--layer", "1", "--rank", "2", "--format", "png", "--format", "npy", "--json"
    )
    (gallery,) = said.document["galleries"]
    assert gallery["images"] == ["a.png", "b.png"]
    assert gallery["files"] == [f"seewhy-out/a_and-1-more_factors_1.{suffix}" for suffix in ("png", "npy")]
    assert np.load(gallery["files"][1]).shape == (2, 2, 14, 18)
    assert "a rank from 1 to 6" in say("factors", "a.png", "--layer", "1", "--rank", "9").complaint


def test_components_of_photos_together(say: Any, work: Path) -> None:
    (work / "b.png").write_bytes((work / "a.png").read_bytes())
    said = say("components", "a.png", "b.png", "no.png", "--layer", "1", "--rank", "4", "--format", "npy", "--json")
    assert said.code == 1
    (gallery,) = said.document["galleries"]
    assert gallery["files"] == ["seewhy-out/a_and-1-more_components_1.npy"]
    model = seewhy.load("python:seewhy_cli_networks:labelled")
    expected = seewhy.principal_components(model, ["a.png", "b.png"], "1", rank=4)
    np.testing.assert_array_equal(np.load(gallery["files"][0]), expected.values)
    assert [tile["title"][0] for tile in gallery["tiles"][:3]] == [
        "a.png", "1 to 3 in colour", "component 1 (red)"
    ]  # fmt: skip


def test_attention_of_layers_and_heads(say: Any) -> None:
    said = say("attention", "a.png", "-l", "0", "-l", "-1", "--registers", "--json", model="tokens")
    assert (said.code, said.err) == (0, "")
    first, last = said.document["galleries"]
    assert [each["files"] for each in (first, last)] == [[f"seewhy-out/a_attention_{n}.png"] for n in (0, 1)]
    assert first["title"] == "a.png: attention of layer 0 (0 to 1), 3 heads, on 4×4 places"
    assert [tile["index"] for tile in first["tiles"]] == [None, 0, 1, 2]
    assert any(note.startswith("tokens that are no places, with their share: 0 ") for note in first["notes"])
    model = seewhy.load("python:seewhy_cli_networks:tokens")

    def made(*words: str) -> Any:
        said = say("attention", "a.png", *words, "--format", "npy", "--json", model="tokens")
        return np.load(said.document["galleries"][0]["files"][0])

    whole = seewhy.attention(model, "a.png").values
    np.testing.assert_array_equal(made(), whole)
    np.testing.assert_array_equal(made("--head", "2", "--head", "0"), whole[[2, 0]])
    np.testing.assert_allclose(made("--head", "mean"), whole.mean(0, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(made("--head", "all"), whole)
    named = made("--layer", "encoder.layers.encoder_layer_1")
    np.testing.assert_array_equal(named, whole)
    np.testing.assert_array_equal(made("--query", "0"), whole)
    for words, query in (("mean", "mean"), ("1,2", (1, 2)), ("7", 7)):
        np.testing.assert_array_equal(made("--query", words), seewhy.attention(model, "a.png", query=query).values)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--layer", "2"), "no layer 2: the picture goes through 2 attentions, 0 to 1"),
        (("--layer", "encoder"), "2 attentions run within layer 'encoder', 0 to 1"),
        (("--layer", "conv_proj"), "no attention that the picture reaches runs within layer 'conv_proj'"),
        (("--layer", "encode"), "no layer 'encode'"),
        (("--head", "3"), "no head [3]: layer 1 has 3, 0 to 2"),
        (("--head", "1", "--head", "mean"), "--head 1 --head mean: numbers, or one of mean and all"),
        (("--query", "4,4"), "(row, column) of 4x4"),
        (("--query", "17"), "a token from 0 to 16"),
        (("--scale", "log"), "--scale log"),
    ],
)
def test_every_mistake_about_attention_is_one_line(say: Any, words: tuple[str, ...], complaint: str) -> None:
    said = say("attention", "a.png", *words, model="tokens")
    assert said.code == 2
    assert complaint in said.complaint


def test_a_network_without_attention_is_told_so(say: Any) -> None:
    said = say("attention", "a.png")
    assert said.code == 2
    assert "no attention was seen in this forward" in said.complaint


def test_similar_to_a_photo(say: Any, work: Path) -> None:
    Image.fromarray(pixels(5)).save("b.png")
    said = say("explain", "a.png", "-M", "saliency", "--target", "similar:b.png", "--json")
    assert said.code == 0, said.err
    (found,) = said.document["images"][0]["explanations"]
    assert found["target"] == "similarity to b.png"
    model = seewhy.load("python:seewhy_cli_networks:labelled")
    outputs = [
        model.module(model.to_input(seewhy.models.read_image(name))[0][None])[0].detach() for name in ("a.png", "b.png")
    ]
    assert found["score"] == pytest.approx(float(torch.cosine_similarity(*outputs, dim=0)), abs=1e-5)
    lost = say("explain", "a.png", "-M", "saliency", "--target", "similar:no.png")
    assert lost.code != 0
    assert "no.png" in lost.complaint


def test_maximise_writes_early_pictures_and_the_last(say: Any, work: Path) -> None:
    (work / "photos").mkdir()
    (work / "photos" / "one.png").write_bytes((work / "a.png").read_bytes())
    said = say("maximise", "hen", "3:1", *_QUICK, "--every", "2", "--folder", "photos", "--examples", "1", "--json")
    assert said.code == 0
    first, second, both = said.document["galleries"]
    assert both["files"] == ["seewhy-out/Sequential_all_maximise.png"]
    assert [tile["title"] for tile in both["tiles"]] == [made["tiles"][0]["title"] for made in (first, second)]
    assert first["files"] == [
        "seewhy-out/Sequential_hen_maximise.png",
        "seewhy-out/Sequential_hen_maximise-step0002.png",
        "seewhy-out/Sequential_hen_maximise-step0004.png",
    ]
    assert second["files"][0] == "seewhy-out/Sequential_3-1_maximise.png"
    with Image.open(first["files"][1]) as early:
        assert early.size == (16, 16)
    assert [tile["title"][0] for tile in first["tiles"]] == ["hen", "one.png"]
    assert first["parameters"] | {"steps": 4, "copies": 1} == first["parameters"]
    assert (first["target"], second["target"]) == ("hen", "3:1")


def test_the_seed_and_the_parametrisation_are_passed_on(say: Any) -> None:
    def made(*words: str) -> np.ndarray:
        said = say("maximise", "hen", *_QUICK, "--format", "npy", "--json", *words)
        return np.load(said.document["galleries"][0]["files"][0])

    plain = made("--seed", "0")
    np.testing.assert_array_equal(made(), plain)
    assert np.abs(made("--seed", "1") - plain).max() > 1e-3
    assert np.abs(made("--parametrisation", "maco") - plain).max() > 1e-3
    assert np.abs(made("--set", "jitter=0") - plain).max() > 1e-6


def test_an_interrupted_run_is_saved_and_ends_with_130(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from seewhy.cli.maximise import Early

    def stop(self: Early, pixels: np.ndarray, step: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Early, "__call__", stop)
    said = say("maximise", "hen", "tench", *_QUICK, "--every", "2", "--json")
    assert said.code == 130
    assert "interrupted" in said.complaint
    (gallery,) = said.document["galleries"]
    assert gallery["status"] == "unfinished"
    assert "interrupted after 2 of 4 steps" in gallery["cause"]
    assert Path(gallery["files"][0]).is_file()


def test_a_misspelt_target_is_found_before_any_work(say: Any, work: Path) -> None:
    said = say("maximise", "hen", "henn", *_QUICK)
    assert said.code == 2
    assert "no class or layer 'henn'; nearest: 'hen'" in said.complaint
    assert not (work / "seewhy-out").exists()


def test_names_never_collide_and_nothing_is_replaced_unless_forced(say: Any) -> None:
    first = _names(say("filters", "--json"))[0][0]
    Path(first).write_bytes(b"mine")
    assert _names(say("filters", "--json")) == [["seewhy-out/Sequential_filters_0-2.png"]]
    assert Path(first).read_bytes() == b"mine"
    assert _names(say("filters", "--json", "--force")) == [[first]]
    assert Path(first).read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("features", "a.png", "--format", "npz"), "--format npz: no such thing; one of png, jpg, svg, pdf, npy"),
        (("features", "a.png", "--order", "size"), "--order size: one of"),
        (("features", "a.png", "--layer", "7"), "layer '7' puts out 5 an image: take '4'"),
        (("features", "a.png", "--layer", "no"), "no layer 'no'"),
        (("features", "a.png", "--target", "zebra"), "no label 'zebra'"),
        (("filters", "--top", "0"), "--top 0"),
        (("maximise", "hen", "--set", "stps=3"), "no parameter 'stps' of maximise; nearest: 'steps'"),
        (("maximise", "hen", "--size", "2"), "at least 4 x 4 pixels"),
        (("maximise", "hen", "--folder", "nowhere"), "there is no such folder"),
        (("maximise", "hen", "--parametrisation", "foto"), "no parametrisation 'foto'"),
        (("explain", "a.png", "--method", "feature-maps"), "seewhy features makes it"),
        (("explain", "a.png", "--method", "saliency-by-layer", "--target", "1"), "no class: leave --target out"),
    ],
)
def test_every_mistake_is_one_line(say: Any, work: Path, words: tuple[str, ...], complaint: str) -> None:
    said = say(*words)
    assert said.code == 2
    assert complaint in said.complaint
    assert not (work / "seewhy-out").exists()


@pytest.mark.parametrize(
    "command", [("features", "a.png"), ("filters",), ("factors", "a.png"), ("maximise", "hen"), ("attention", "a.png")]
)
def test_a_folder_that_cannot_be_is_refused_at_once(say: Any, command: tuple[str, ...]) -> None:
    said = say(*command, "--out", "a.png", "--model", "python:seewhy_no_such_module:x", model=None)
    assert said.code == 2
    assert "that is a file" in said.complaint


def test_saliency_by_layer_gives_a_strip_with_the_output_last(say: Any) -> None:
    said = say("explain", "a.png", "--method", "saliency-by-layer", "--json")
    assert said.code == 0
    found = said.document["images"][0]["explanations"]
    assert [each["layer"] for each in found] == ["0", "3", "7", None]
    assert [each["files"] for each in found] == [["seewhy-out/a_saliency-by-layer.png"]] * 4
    assert Path(found[0]["files"][0]).is_file()
    assert found[-1]["target"] == said.document["images"][0]["prediction"]["label"]
    assert [each["map"]["unit"] for each in found] == ["activation per unit of the input"] * 3 + [
        "logit per unit of the input"
    ]
    assert (said.document["cost"]["forwards"], said.document["cost"]["backwards"]) == (1, 4)
    assert said.document["images"][0]["prediction"]["label"]
    compared = say("compare", "a.png", "-M", "saliency-by-layer", "--json").document["images"][0]["explanations"]
    assert {file for each in compared for file in each["files"]} == {"seewhy-out/a_compare.png"}


def test_a_strip_is_drawn_with_other_methods_and_numbers_beside_it(say: Any) -> None:
    words = ["-M", "saliency", "-M", "saliency-by-layer", "--format", "svg", "--format", "npz", "--json"]
    found = say("explain", "a.png", *words).document["images"][0]["explanations"]
    assert [len(each["files"]) for each in found] == [2] * 5
    assert len({each["files"][-1] for each in found[1:]}) == 1
    assert all(each["files"][0].endswith(".npz") for each in found[1:])
    shown = Path(found[-1]["files"][-1]).read_text()
    assert all(f">{name}</text>" in shown for name in ("0", "3", "7"))
    assert ">output: " in shown
    apart = say("explain", "a.png", "-M", "saliency-by-layer", "--picture", "heatmap", "--json")
    assert len({each["files"][0] for each in apart.document["images"][0]["explanations"]}) == 4
    lines = say("explain", "a.png", "-M", "saliency-by-layer").out.splitlines()
    assert sum(".png" in line for line in lines[1:]) == 1


def test_the_answer_in_the_text_is_the_model_s_and_no_layer_s(say: Any) -> None:
    """A network with one number: its score, or a word that there is none, never the first layer's mean."""
    said = say("explain", "a.png", "-M", "saliency-by-layer", model="single")
    assert said.code == 0, said.err
    first, *rest = said.out.splitlines()
    output = next(line for line in rest if " at " not in line and "saliency-by-layer for" in line)
    score = output.split("for output 0 (")[1].split(")")[0]
    assert float(first.split("output ")[1]) == pytest.approx(float(score), rel=1e-2)


def test_a_network_without_an_answer_of_its_own_still_has_layers(say: Any) -> None:
    said = say("explain", "a.png", "-M", "saliency-by-layer", model="maps")
    assert said.code == 0, said.err
    assert "no answer that goes without saying" in said.out.splitlines()[0]
    assert Path("seewhy-out/a_saliency-by-layer.png").is_file()


def test_cards_name_the_command(say: Any) -> None:
    cards = {card["name"]: card["call"] for card in say("methods", "--family", "inside", "--json").document["methods"]}
    assert cards == {
        "principal-components": "components", "factors": "factors", "feature-maps": "features", "filters": "filters", "maximise": "maximise",
        "saliency-by-layer": "explain",
    }  # fmt: skip
    assert "seewhy features" in say("methods", "feature-maps").out


def test_many_layers_of_one_strip_are_one_line(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seewhy.cli.show._LAYERS", 2)
    lines = say("explain", "a.png", "-M", "saliency-by-layer").out.splitlines()
    assert lines[1] == "  saliency-by-layer at 3 layers, 0 to 7"
    assert lines[2].startswith("  saliency-by-layer for ")
    assert lines[3] == "    seewhy-out/a_saliency-by-layer.png"
