"""Figures: what stands where, in the raster and in the SVG."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from seewhy.errors import UsageError
from seewhy.render import Cell, Colorbar, caption, colormap, grid, grid_svg
from seewhy.render.sheet import Sheet, Text, raster
from seewhy.render.typeset import fit, settable, width, wrap

SVG = "{http://www.w3.org/2000/svg}"
RED = np.zeros((40, 40, 3), dtype=np.uint8)
RED[..., 0] = 255
WIDE = np.zeros((20, 80, 3), dtype=np.uint8)
WIDE[..., 1] = 255


def extent(image: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, width, height of all pixels with ``colour``."""
    rows, columns = np.nonzero((np.asarray(image) == colour).all(axis=2))
    return (
        int(columns.min()),
        int(rows.min()),
        int(columns.max() - columns.min() + 1),
        int(rows.max() - rows.min() + 1),
    )


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_pictures_are_fitted_never_stretched() -> None:
    image = grid([[Cell(RED, ("a",)), Cell(WIDE, ("b",))]], cell=160)
    assert extent(image, (255, 0, 0))[2:] == (160, 160)
    left, top, wide, high = extent(image, (0, 255, 0))
    assert (wide, high) == (160, 40)
    assert (left, top) == (extent(image, (255, 0, 0))[0] + 160 + 8, extent(image, (255, 0, 0))[1])


def test_background_is_white_and_margins_are_empty() -> None:
    pixels = np.asarray(grid([[Cell(RED, ("title",))]], cell=320, header="header", footer="footer"))
    assert (pixels[:20] == 255).all()
    assert (pixels[-20:] == 255).all()
    assert (pixels[:, :20] == 255).all()
    assert (pixels[:, -20:] == 255).all()


def test_pictures_of_a_row_are_level_whatever_their_titles() -> None:
    blue = RED[..., ::-1].copy()
    image = grid([[Cell(RED, ("one",)), Cell(blue, ("one", "two", "three"))]], cell=160)
    assert extent(image, (255, 0, 0))[1] == extent(image, (0, 0, 255))[1]


def test_titles_stand_clear_above_their_pictures() -> None:
    tree = ElementTree.fromstring(grid_svg([[Cell(RED, ("one",)), Cell(RED, ("one", "two", "three"))]], cell=160))
    lowest = max(float(each.attrib["y"]) for each in tree.iter(f"{SVG}text"))
    assert {float(each.attrib["y"]) > lowest + 2 for each in tree.iter(f"{SVG}image")} == {True}


def test_svg_has_the_words_as_text_and_the_pixels_as_png() -> None:
    svg = grid_svg(
        [
            [
                Cell(RED, ("grad-cam", "espresso <1> & more"), note="not converged"),
                Cell(None, note="not computed"),
            ]
        ],
        header="Why?",
        footer="shared scale",
        colorbar=("blue-red", -0.25, 0.25),
    )
    words = texts(svg)
    for each in ("Why?", "grad-cam", "espresso <1> & more", "not converged", "not computed", "shared scale"):
        assert each in words
    assert {"−0.25", "0", "0.25"} <= set(words)
    data = [base64.b64decode(each) for each in re.findall(r"base64,([^\"]+)", svg)]
    stored = [np.asarray(Image.open(io.BytesIO(each))) for each in data]
    assert (stored[0] == RED).all()
    assert (stored[1][0] == colormap("blue-red")).all()


def test_svg_and_raster_have_the_same_layout() -> None:
    cells = [[Cell(RED, ("a", "b")), Cell(WIDE, ("c",))], [Cell(WIDE, ("d",))]]
    image = grid(cells, cell=160, header="h")
    root = ElementTree.fromstring(grid_svg(cells, cell=160, header="h"))
    assert (int(root.attrib["width"]), int(root.attrib["height"])) == image.size
    first = next(root.iter(f"{SVG}image")).attrib
    assert extent(image, (255, 0, 0)) == tuple(round(float(first[key])) for key in ("x", "y", "width", "height"))


def test_svg_survives_characters_that_xml_forbids() -> None:
    assert texts(grid_svg([[Cell(RED, ("a\x00b\x1b\nc",))]])) == ["a b c"]


def test_note_is_drawn_at_the_lower_edge_and_only_when_there_is_one() -> None:
    plain = np.asarray(grid([[Cell(RED)]], cell=160)).astype(int)
    noted = np.asarray(grid([[Cell(RED, note="zero gradient")]], cell=160)).astype(int)
    changed = np.nonzero(np.abs(plain - noted).sum(axis=2))[0]
    _, top, _, high = extent(grid([[Cell(RED)]], cell=160), (255, 0, 0))
    assert changed.min() > top + high * 0.7
    assert changed.max() == top + high - 1


def test_long_titles_end_in_an_ellipsis_inside_their_cell() -> None:
    title = "supercalifragilisticexpialidocious " * 6
    words = texts(grid_svg([[Cell(RED, (title,))]], cell=160))
    assert len(words) == 2
    assert words[-1].endswith("…")
    assert all(width(each, 12) <= 160 for each in words)


def test_strongly_enlarged_pictures_keep_their_pixels() -> None:
    tiny = np.zeros((2, 2, 3), dtype=np.uint8)
    tiny[0, 0] = (255, 0, 0)
    assert extent(grid([[Cell(tiny)]], cell=160), (255, 0, 0))[2:] == (80, 80)
    assert "pixelated" in grid_svg([[Cell(tiny)]], cell=160)


def test_larger_cells_are_the_same_figure_at_a_higher_resolution() -> None:
    small, large = (grid([[Cell(RED, ("title", "line"))]], cell=each) for each in (320, 640))
    assert large.size[0] == 2 * small.size[0]
    assert abs(large.size[1] - 2 * small.size[1]) <= 4


def test_figures_refuse() -> None:
    with pytest.raises(UsageError, match="at least one cell"):
        grid([[]])
    with pytest.raises(UsageError, match="cell of 10 pixels"):
        grid([[Cell(RED)]], cell=10)
    with pytest.raises(UsageError, match="float64"):
        grid([[Cell(np.zeros((3, 3, 3)))]])  # type: ignore[arg-type]


def test_narrow_figures_put_the_footer_under_the_colorbar() -> None:
    svg = ElementTree.fromstring(
        grid_svg([[Cell(RED, ("a",))]], cell=320, footer="a remark on the scale", colorbar=("ember", 0, 1))
    )
    heights = {each.text: float(each.attrib["y"]) for each in svg.iter(f"{SVG}text")}
    assert heights["a remark on the scale"] > heights["1"]


def test_caption_keeps_the_size_of_readable_pictures_and_enlarges_small_ones() -> None:
    large = np.full((200, 180, 3), 90, dtype=np.uint8)
    captioned = caption(large, "no gradient")
    assert captioned.shape == large.shape
    assert (captioned[:150] == 90).all()
    assert captioned[-10:].min() < 60
    assert captioned[-40:].max() > 200
    assert caption(large[:28, :28], "no gradient").shape == (168, 168, 3)


def test_fit_and_wrap() -> None:
    assert fit("short", 14, 200) == "short"
    cut = fit("a" * 100, 14, 100)
    assert cut.endswith("…")
    assert 70 < width(cut, 14) <= 100
    assert wrap("one two three four", 14, 60, 5) == ["one two", "three", "four"]
    assert wrap("one two three four", 14, 60, 2)[1].startswith("thr")
    assert wrap("one two three four", 14, 60, 2)[1].endswith("…")
    assert wrap("", 14, 60, 2) == []


def test_signs_that_the_font_lacks_are_spelled_plainly() -> None:
    assert settable("tiger cat · 0.55", 12)[0] == "tiger cat · 0.55"
    assert settable("7 × 7 – Größe − ≥", 12)[0] == "7 x 7 - Grosse - >="


def test_letters_stand_where_they_belong_and_not_at_whole_pixels() -> None:
    """The same word a quarter of a pixel further is another picture, and as dark."""
    drawn = [
        np.asarray(raster(Sheet(80, 20, (Text(5 + shift, 15, "illicit", 12, "#000000"),)))).astype(float)
        for shift in (0, 0.25, 1)
    ]
    assert (drawn[0] != drawn[1]).any()
    assert (drawn[0][:, :-1] == drawn[2][:, 1:]).all()
    assert drawn[0].sum() == pytest.approx(drawn[1].sum(), rel=0.01)


def test_all_words_have_the_contrast_that_wcag_asks_for() -> None:
    svg = grid_svg(
        [[Cell(RED, ("a", "b"), "note"), Cell(None, note="not computed")]],
        header="h",
        footer="f",
        colorbar=Colorbar("ember", 0, 1, "logit"),
    )

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    inks = {each.attrib["fill"] for each in ElementTree.fromstring(svg).iter(f"{SVG}text")} - {"#ffffff"}
    assert inks
    # on the darkest ground that they stand on, the panel of a cell without pixels
    assert all((light("#f2f2f0") + 0.05) / (light(ink) + 0.05) >= 7 for ink in inks)


def test_a_picture_s_own_colorbar_stands_under_it() -> None:
    svg = grid_svg([[Cell(RED, ("a",), bar=Colorbar("blue-red", -0.5, 0.5, "logit")), Cell(RED, ("b",))]], cell=160)
    pictures = [each.attrib for each in ElementTree.fromstring(svg).iter(f"{SVG}image")]
    assert len(pictures) == 3
    assert float(pictures[1]["y"]) > float(pictures[0]["y"]) + float(pictures[0]["height"])
    assert (pictures[1]["x"], pictures[1]["width"]) == (pictures[0]["x"], pictures[0]["width"])
    assert {"−0.5", "0", "0.5 logit"} <= set(texts(svg))
    long = grid_svg([[Cell(RED, bar=Colorbar("blue-red", -0.5, 0.5, "logit per unit of the input"))]], cell=160)
    assert {"0.5", "logit per unit of the input"} <= set(texts(long))


def test_a_cell_without_anything_is_empty() -> None:
    drawn = grid([[Cell(None), Cell(RED)]], cell=160)
    assert (np.asarray(drawn)[:, : drawn.width // 2 - 4] == 255).all()


@pytest.mark.parametrize(("high", "words"), [(0.363, "0.363"), (4.1e-7, "4.1e−7"), (12.5, "12.5"), (2.4e9, "2.4e9")])
def test_numbers_of_a_colorbar_are_short(high: float, words: str) -> None:
    assert {"0", words} <= set(texts(grid_svg([[Cell(RED, bar=Colorbar("ember", 0.0, high))]])))
