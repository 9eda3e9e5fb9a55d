"""Pages of blocks: what they may hold, what stays text, how large they become, and what they look like to whom."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pages import EVIL, check_page
from seewhy.errors import UsageError, on_a_line
from seewhy.render import colormap
from seewhy.reports.page import (
    LIMIT,
    Badge,
    Code,
    Details,
    Figure,
    Figures,
    Heading,
    Link,
    Number,
    Page,
    Pairs,
    Points,
    Scale,
    Section,
    Table,
    Words,
    held,
    html_of,
)

ROOT = Path(__file__).parents[3]


def _noise(seed: int, width: int = 500, height: int = 375) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def _figure(n: int, words: str = "a map") -> Figure:
    return Figure(
        held(_noise(n, 40, 30)), words, words, [words], [Badge(words, "bad")], Scale("blue-red", -1.5, 1.5, words), anchor=f"map-{n}"
    )  # fmt: skip


def _page(words: str) -> Page:
    """A page with ``words`` wherever words can stand."""
    table = Table(
        ["name", words, "place"],
        [[words, Number(2.5, words), Link(words, "map-0")], [Badge(words), Number(3), None]],
        words,
    )
    blocks = [
        Heading(words, [Badge(words, "good")]), Words(words, badge=Badge(words)), Points([words, "b"], [Badge(words, "doubt")]), table,
        Pairs([(words, words), ("none", None), ("empty", "")]), Figures([_figure(0, words), Figure(None, "", words)]),
        Details(words, [Code(words, words), Words(words, note=True), Figures([_figure(1, words)])]),
    ]  # fmt: skip
    return Page(words, [Words(words)], [Section(words, blocks), Section("second", [Words("b")])], [Code(words)])


@pytest.mark.parametrize("words", EVIL)
def test_whatever_words_hold_is_text(words: str) -> None:
    html = html_of(_page(words))
    page = check_page(html)
    shown = on_a_line(words)
    # in every place, word for word, and never as a tag of its own
    assert page.text.count(shown) >= 20
    assert {"img"} >= {name for name, _ in page.tags} & {"img", "b"}
    assert len(page.all("img")) == 2
    assert len(page.all("script")) == 1
    assert all(each["alt"] == shown for each in page.all("img"))
    assert re.search(r"<title>(.*)</title>", html)
    # a name from right to left does not turn what stands beside it
    assert page.tags.count(("bdi", {})) >= 20


def test_a_page_is_read_without_its_script() -> None:
    page = check_page(html_of(_page("a word")))
    assert ["name", "a word", "place"] in page.rows
    assert ["a word", "a word", "a word"] in page.rows
    assert ["• a word", "3", ""] in page.rows
    assert "None" not in page.text
    assert [each["data-sort"] for each in page.all("td") if "data-sort" in each] == ["2.5", "3"]
    assert page.all("dialog")
    assert not any("open" in each for each in page.all("dialog"))
    # buttons do nothing without the script, so none is outside what the script opens
    before = page.tags[: [name for name, _ in page.tags].index("dialog")]
    assert "button" not in [name for name, _ in before]


def test_verdicts_are_never_told_by_colour_alone() -> None:
    badges = [Badge(kind, kind) for kind in ("good", "doubt", "bad", "plain")]
    text = check_page(html_of(Page("a", [], [Section("b", [Heading("c", badges)])], []))).text
    for sign, kind in zip("✓!✕•", ("good", "doubt", "bad", "plain"), strict=True):
        assert f"{sign} {kind}" in text
    with pytest.raises(UsageError, match="no badge 'nice'"):
        Badge("a", "nice")


def test_numbers_are_as_they_are_and_as_they_are_read() -> None:
    assert [Number(value).words for value in (0.0, -0.5, 1e-7, 12345.0, float("inf"))] == [
        "0",
        "−0.5",
        "1e−07",
        "12,345",
        "–",
    ]
    assert Table(["a", "b"], [["x", Number(1)], ["y", None]], "c").numeric == [False, True]
    with pytest.raises(UsageError, match="2 columns has a row of 1"):
        Table(["a", "b"], [["x"]], "c")
    for wrong in ("a b", "1", "A", '"'):
        with pytest.raises(UsageError, match="no place of a page"):
            Link("x", wrong)


def test_fifty_photos_and_three_maps_of_each_fit_whatever_they_show() -> None:
    """Noise, which no file format makes smaller, in 200 pictures: bounded, and still to be seen."""
    figures = [Figure(held(_noise(n)), "noise", "noise") for n in range(200)]
    html = html_of(Page("noise", [], [Section("all", [Figures(figures)])], []))
    assert len(html.encode()) <= LIMIT == 5_000_000
    assert len(html.encode()) > 0.6 * LIMIT  # the room is used
    page = check_page(html)
    widths = {int(each["width"] or 0) for each in page.all("img")}
    assert len(page.all("img")) == 200
    assert widths == {max(widths)}
    assert max(widths) >= 160
    assert f"Pictures are kept at up to {max(widths)} pixels" in page.text
    assert "stays under 5 MB" in page.text


def test_pictures_are_as_large_as_there_is_room_for() -> None:
    smooth = np.asarray(Image.radial_gradient("L").resize((1600, 1200)).convert("RGB"))
    one = check_page(html_of(Page("a", [], [Section("b", [Figures([Figure(held(smooth), "a", "a")])])], [])))
    assert one.all("img")[0]["width"] == "1280"
    small = html_of(
        Page("a", [], [Section("b", [Figures([Figure(held(_noise(0, 1600, 1200)), "a", "a")])])], []), 200_000
    )
    assert len(small.encode()) <= 200_000
    assert 128 <= int(check_page(small).all("img")[0]["width"] or 0) < 1280


def test_what_there_is_no_room_for_is_said() -> None:
    figures = [Figure(data, "noise", "noise") for data in map(held, map(_noise, range(40))) for _ in range(15)]
    html = html_of(Page("a", [], [Section("b", [Figures(figures)])], []), 300_000)
    assert len(html.encode()) <= 300_000
    page = check_page(html)
    left = 600 - len(page.all("img"))
    assert 0 < left < 600
    assert f"There was no room for {left} of them" in page.text
    assert page.text.count("no room for this picture") == left
    with pytest.raises(UsageError, match="the words of this report take"):
        html_of(Page("a", [Words("b" * 300_000)], [], []), 250_000)
    for wrong in (0, -1, 5.0, True, None):
        with pytest.raises(UsageError, match="limit="):
            html_of(Page("a", [], [], []), wrong)  # type: ignore[arg-type]


def test_drawings_keep_their_type() -> None:
    """A chart stays a PNG, pixel by pixel, where that is not much larger."""
    chart = Image.new("RGB", (900, 500), "white")
    for n in range(0, 900, 60):
        chart.paste("black", (n, 40, n + 2, 460))
    (shown,) = check_page(
        html_of(
            Page("a", [], [Section("b", [Figures([Figure(held(chart, drawing=True), "a", "a", drawing=True)])])], [])
        )
    ).all("img")
    assert (shown["src"] or "").startswith("data:image/png;base64,")
    assert shown["width"] == "900"


def test_scales_have_the_colours_of_maps() -> None:
    (style,) = check_page(html_of(Page("a", [], [], []))).styles
    for name in ("ember", "blue-red", "gray"):
        (colours,) = re.findall(rf"\.bar\.{name}{{background:linear-gradient\(to right,([^)]*)\)", style)
        stops = colours.split(",")
        assert stops[0] == "#{:02x}{:02x}{:02x}".format(*colormap(name)[0])
        assert stops[-1] == "#{:02x}{:02x}{:02x}".format(*colormap(name)[-1])


def _light(colour: str) -> float:
    """Relative luminance, as WCAG has it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_words_stand_out_in_light_and_in_dark() -> None:
    """Every pair of colours that meets has the contrast of AA, 4.5."""
    (style,) = check_page(html_of(Page("a", [], [], []))).styles
    themes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    assert len(themes) == 2
    pairs = [(f"{kind}-ink", f"{kind}-ground") for kind in ("good", "doubt", "bad", "plain")]
    pairs += [(ink, ground) for ink in ("ink", "soft", "link") for ground in ("ground", "raised")]
    for theme in themes:
        for ink, ground in pairs:
            low, high = sorted((_light(theme[ink]), _light(theme[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)
    # and nothing else has a colour
    rest = re.sub(r":root \{.*?\}|\.bar\.[a-z-]+\{.*?\}", "", style, flags=re.DOTALL)
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", rest)) <= {"#ffffff"}


def test_pages_load_without_torch() -> None:
    code = "import sys, seewhy.reports.page as p; p.html_of(p.Page('a', [], [], [])); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_wheel_has_the_templates(tmp_path: Path) -> None:
    hatchling = pytest.importorskip("hatchling.builders.wheel")
    (built,) = hatchling.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(io.BytesIO(Path(built).read_bytes())) as wheel:
        names = set(wheel.namelist())
    for name in ("page.html.jinja", "page.css", "page.js"):
        assert f"seewhy/reports/page/templates/{name}" in names
