"""Pictures: what is drawn for each status, with which limits, under which titles."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from seewhy.errors import UsageError
from seewhy.explanation import Status
from seewhy.explanation.picture import bar_of, look, titles
from seewhy.render import colormap, greyed, heatmap, limits, overlay, resize

if TYPE_CHECKING:
    from pathlib import Path

BUMP = np.exp(-((np.mgrid[0:4, 0:6][1] - 2.0) ** 2) / 2)


def words(svg: str) -> str:
    tree = ElementTree.fromstring(svg)
    return "\n".join(each.text or "" for each in tree.iter("{http://www.w3.org/2000/svg}text"))


def drawn(explanation: Any) -> Any:
    """Its map as pictures show it."""
    return resize(explanation.values, explanation.size, "bicubic")


def test_signed_maps_are_drawn_with_both_signs(make: Any) -> None:
    explanation = make()
    ends = limits([explanation.values], signed=True)
    expected = overlay(explanation.image, drawn(explanation), signed=True, limits=ends)
    assert (np.asarray(explanation.overlay()) == expected).all()


def test_positive_maps_are_drawn_without_their_negative_part(make: Any) -> None:
    explanation = make(positive=True)
    ends = limits([explanation.values], signed=False)
    expected = overlay(explanation.image, np.maximum(drawn(explanation), 0), signed=False, limits=ends)
    # the range ends at the percentile of the positive part, whichever way it is cut
    assert np.abs(np.asarray(explanation.overlay()).astype(int) - expected).max() <= 1


def test_hidden_negative_values_do_not_darken_a_positive_map(make: Any) -> None:
    values = np.array([[1.0, 1.0, -50.0, -50.0]])
    hot = np.asarray(make(values, positive=True).heatmap())[:, :10]
    assert (hot == colormap("ember")[255]).all()


def test_maps_without_negative_values_use_the_sequential_colours(make: Any) -> None:
    explanation = make(BUMP)
    ends = limits([BUMP], signed=False)
    expected = heatmap(resize(BUMP, (32, 48), "bicubic"), signed=False, limits=ends)
    assert (np.asarray(explanation.heatmap()) == expected).all()


def test_colours_end_at_the_same_value_whatever_size_a_map_is_drawn_at(make: Any) -> None:
    """At the 99.5th percentile of the values' own magnitudes: the number under a map is the map's."""
    values = np.random.default_rng(0).normal(size=(64, 96)) ** 3
    explanation = make(values, positive=False)
    top = np.percentile(np.abs(values), 99.5)
    for wide in (24, 96, 300):
        bar = bar_of(explanation, look(explanation, width=wide))
        assert bar is not None
        assert (bar.low, bar.high) == pytest.approx((-top, top))


def test_limits_can_be_given(make: Any) -> None:
    explanation = make(BUMP * 0.01)
    faint = np.asarray(explanation.heatmap(limits=(0, 1)))
    assert (faint == heatmap(resize(BUMP * 0.01, (32, 48), "bicubic"), limits=(0, 1))).all()
    both = np.asarray(explanation.heatmap(limits=(-1, 1)))
    assert (both == heatmap(resize(BUMP * 0.01, (32, 48), "bicubic"), limits=(-1, 1), signed=True)).all()
    assert (np.asarray(make().heatmap(limits=(0, 2))) == np.asarray(make().heatmap(limits=(-2, 2)))).all()


def test_a_faint_float64_map_beyond_float32_is_still_drawn(make: Any) -> None:
    assert (np.asarray(make(BUMP * 1e-60).overlay()) == np.asarray(make(BUMP).overlay())).all()


@pytest.mark.parametrize("code", ["zero-gradient", "non-finite"])
@pytest.mark.parametrize("values", [BUMP, BUMP * 0, BUMP * np.nan])
def test_no_answer_is_a_greyed_photo_with_its_cause(make: Any, code: str, values: Any) -> None:
    big = np.random.default_rng(0).integers(0, 256, size=(200, 300, 3), dtype=np.uint8)
    explanation = make(values, image=big, size=(200, 300), status=Status(code, "the reason why"))
    drawn = np.asarray(explanation.overlay())
    assert (drawn[:120] == greyed(big)[:120]).all()
    assert (drawn[-20:] != greyed(big)[-20:]).any()
    assert (np.asarray(explanation.overlay(caption=False)) == greyed(big)).all()
    assert f"{code}: the reason why" in words(explanation.figure_svg())


def test_a_zero_map_is_never_presented_as_an_answer(make: Any) -> None:
    explanation = make(BUMP * 0)
    assert look(explanation).note == "the map is zero everywhere"
    assert (np.asarray(explanation.overlay(caption=False)) == greyed(explanation.image)).all()
    assert "the map is zero everywhere" in words(explanation.figure_svg())


def test_nan_without_a_status_is_noticed(make: Any) -> None:
    assert "no finite value" in look(make(BUMP * np.nan)).note
    some = BUMP.copy()
    some[0, 0] = np.nan
    seen = look(make(some))
    assert seen.map is not None
    assert "of the map is not finite" in seen.note


def test_without_positive_evidence_the_negative_is_drawn_and_said(make: Any) -> None:
    status = Status("no-positive-evidence", "all channels disagree")
    for fields in ({"status": status}, {"status": status, "positive": True}, {"positive": True}):
        explanation = make(-BUMP, **fields)
        seen = look(explanation)
        assert seen.signed
        assert "no-positive-evidence" in seen.note
        assert "what is drawn is evidence against" in seen.note
        ends = limits([BUMP], signed=True)
        expected = overlay(explanation.image, resize(-BUMP, (32, 48), "bicubic"), signed=True, limits=ends)
        assert (np.asarray(explanation.overlay(caption=False)) == expected).all()
    assert "all channels disagree" in look(make(-BUMP, status=status)).note


@pytest.mark.parametrize("code", ["not-converged", "unfinished"])
def test_other_statuses_draw_the_map_and_say_so(make: Any, code: str) -> None:
    explanation = make(BUMP, status=Status(code, "stopped at 128 steps"))
    assert (np.asarray(explanation.overlay(caption=False)) == np.asarray(make(BUMP).overlay())).all()
    assert f"{code}: stopped at 128 steps" in words(explanation.figure_svg())


def test_small_pictures_are_enlarged_for_their_caption(make: Any) -> None:
    assert make(BUMP).overlay().size == (48, 32)
    assert make(BUMP * 0).overlay().size == (192, 128)


def test_without_an_image_the_heatmap_is_drawn(make: Any) -> None:
    explanation = make(BUMP, image=None)
    assert (np.asarray(explanation.overlay()) == np.asarray(explanation.heatmap())).all()
    assert explanation.overlay().size == (48, 32)
    assert "zero everywhere" in words(make(BUMP * 0, image=None).figure_svg())


def test_a_title_does_not_say_the_same_word_twice(make: Any) -> None:
    assert titles(make(target="output 0", unit="output", score=-1.2, layer=None))[1] == "output 0 · -1.2"


def test_titles_name_everything_that_the_map_depends_on(make: Any) -> None:
    explanation = make(contrast="top-10", name="my cat")
    assert titles(explanation) == ("grad-cam", "tiger cat · logit 11.6", "layer4 · against top-10")
    svg = words(explanation.figure_svg(header="Why?"))
    for each in (
        "Why?",
        "my cat",
        "predicted tiger cat 0.55",
        "grad-cam",
        "tiger cat · logit 11.6",
        "against top-10",
    ):
        assert each in svg
    assert titles(make(contrast="against the lynx", layer=None, unit=""))[1:] == (
        "tiger cat · score 11.6",
        "against the lynx",
    )


def test_the_figure_s_colorbar_has_the_limits_that_are_drawn(make: Any) -> None:
    assert {"−1", "0", "1"} <= set(words(make(BUMP - 1, positive=False).figure_svg(limits=(-1, 1))).split("\n"))
    shown = words(make(BUMP).figure_svg(percentile=100)).split("\n")
    assert shown[-3:-1] == ["0", f"{BUMP.max():.3g}"]
    assert f"{BUMP.max():.3g} logit" in words(make(BUMP, map_unit="logit").figure_svg(percentile=100))
    assert "−" not in words(make(BUMP * 0).figure_svg())


def test_notes_are_under_the_figure(make: Any) -> None:
    assert "a remark; another" in words(make(notes=("a remark", "another")).figure_svg())


def test_overlay_options_reach_the_drawing(make: Any) -> None:
    explanation = make(BUMP)
    options: dict[str, Any] = {"mode": "blend", "opacity": 0.3, "cmap": "fern", "contour": (0.5,)}
    ends = limits([BUMP], signed=False)
    expected = overlay(explanation.image, resize(BUMP, (32, 48), "bicubic"), limits=ends, **options)
    assert (np.asarray(explanation.overlay(**options)) == expected).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".svg"])
def test_save_writes_a_picture_once(make: Any, tmp_path: Path, suffix: str) -> None:
    explanation = make()
    path = explanation.save(tmp_path / f"a{suffix}", cell=96)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="--force"):
        explanation.save(path)
    assert path.read_bytes() == before
    assert explanation.save(path, force=True).read_bytes() != before
    if suffix == ".png":
        with Image.open(path) as stored:
            assert (np.asarray(stored) == np.asarray(explanation.figure())).all()


def test_save_can_write_the_bare_pictures(make: Any, tmp_path: Path) -> None:
    explanation = make()
    path = explanation.save(tmp_path / "a.png", picture="overlay", mode="mask")
    with Image.open(path) as stored:
        assert (np.asarray(stored) == np.asarray(explanation.overlay(mode="mask"))).all()
    with pytest.raises(UsageError, match="no picture 'map'"):
        explanation.save(tmp_path / "b.png", picture="map")
    with pytest.raises(UsageError, match=r"for the overlay alone name it b\.png"):
        explanation.save(tmp_path / "b.svg", picture="overlay")
    with pytest.raises(UsageError, match=r"'\.bmp'.*\.npz"):
        explanation.save(tmp_path / "b.bmp")
    with pytest.raises(UsageError, match="takes no cell"):
        explanation.save(tmp_path / "b.npz", cell=320)


def test_plot_draws_on_the_given_axes(make: Any) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2)
    explanation = make()
    assert explanation.plot(left) is left
    assert (left.images[0].get_array() == np.asarray(explanation.overlay())).all()
    assert left.get_title(loc="left").startswith("grad-cam\ntiger cat")
    pyplot.sca(right)
    assert explanation.plot() is right
    pyplot.close(figure)


def test_plot_without_matplotlib_says_what_to_install(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return found(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match=r"pip install 'seewhy\[plot\]'"):
        make().plot()


def test_pictures_are_as_large_as_what_the_model_saw_of_the_photo(make: Any) -> None:
    large = np.random.default_rng(1).integers(0, 256, size=(96, 144, 3), dtype=np.uint8)
    explanation = make(BUMP, photo=large)
    assert explanation.overlay().size == (144, 96)
    assert (np.asarray(explanation.overlay(opacity=0, mode="blend")) == large).all()
    assert explanation.overlay(width=60).size == (60, 40)
    assert explanation.heatmap(width=300).size == (300, 200)
    assert make(BUMP, image=None).heatmap(width=96).size == (96, 64)
    assert explanation.map.shape == (32, 48)
    with pytest.raises(UsageError, match="a picture 0 pixels wide"):
        explanation.overlay(width=0)
    with pytest.raises(UsageError, match="uint8"):
        make(BUMP, photo=large.astype(float))


def test_figures_grow_with_the_photo_as_far_as_a_screen_goes(make: Any) -> None:
    def wide(side: int, **options: Any) -> int:
        picture = np.zeros((side, side, 3), dtype=np.uint8)
        return int(make(BUMP, photo=picture).figure(**options).width)

    assert wide(200) == wide(320) < wide(500) < wide(640) == wide(3000)
    assert wide(3000, width=900) > 1800


def test_a_coarse_map_says_how_it_was_enlarged(make: Any) -> None:
    assert "4×6 values, drawn by bicubic interpolation" in words(make(BUMP).figure_svg())
    assert "drawn by gaussian interpolation" in words(make(BUMP).figure_svg(enlarge="gaussian"))
    fine = make(np.ones((32, 48)))
    assert "drawn by" not in words(fine.figure_svg())
    bilinear = make(BUMP).heatmap(enlarge="bilinear")
    ends = limits([BUMP], signed=False)
    assert (np.asarray(bilinear) == heatmap(resize(BUMP, (32, 48)), signed=False, limits=ends)).all()
    assert (np.asarray(make(BUMP).heatmap()) != np.asarray(bilinear)).any()
    with pytest.raises(UsageError, match="no way to enlarge 'cubic'"):
        make(BUMP).overlay(enlarge="cubic")


def test_a_guided_map_has_a_relief_beside_its_heatmap(make: Any) -> None:
    colours = np.zeros((3, 32, 48))
    colours[0, :, :24], colours[2, :, 24:] = 1, -1
    explanation = make(BUMP, colours=colours, method="guided-backprop")
    pixels = np.asarray(explanation.relief())
    assert pixels[5, 5].tolist() == [255, 128, 128]
    assert pixels[5, 40].tolist() == [128, 128, 0]
    assert "guided-backprop, relief" in words(explanation.figure_svg())
    assert "relief" not in words(make(BUMP).figure_svg())
    assert explanation.relief(width=96).size == (96, 64)
    with pytest.raises(UsageError, match="grad-cam has no relief"):
        make(BUMP).relief()


def test_a_figure_is_a_page_to_print(make: Any, tmp_path: Path) -> None:
    path = make(BUMP).save(tmp_path / "a.pdf")
    assert path.read_bytes().startswith(b"%PDF-1.4")
    over = make(BUMP).save(tmp_path / "b.pdf", picture="overlay", dpi=72)
    assert b"/MediaBox [0 0 48.000 32.000]" in over.read_bytes()
    with Image.open(make(BUMP).save(tmp_path / "c.png", dpi=300)) as stored:
        assert stored.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    svg = make(BUMP).save(tmp_path / "d.svg", dpi=100).read_text(encoding="utf-8")
    assert f'width="{make(BUMP).figure().width / 100:.4g}in"' in svg
