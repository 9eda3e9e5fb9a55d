"""Reports in a browser: headless Chromium, driven by Playwright, where both are installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browsers import browsing, silent
from pages import EVIL
from seewhy.reports.page import (
    Badge,
    Details,
    Figure,
    Figures,
    Heading,
    Link,
    Number,
    Page,
    Section,
    Table,
    Words,
    held,
    html_of,
)

#: words of a fold, which are printed in any case
FOLDED = "seen on paper"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests."""
    with browsing() as started:
        yield started


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page with everything on it."""
    rng = np.random.default_rng(0)
    shades = [
        held(np.full((90, 120, 3), 60 * n, np.uint8) + rng.integers(0, 9, (90, 120, 3), np.uint8)) for n in range(4)
    ]
    photos = [
        Figure(data, f"picture {n}", f"picture {n}", [EVIL[n]], anchor=f"map-{n}") for n, data in enumerate(shades[:3])
    ]
    rows = [
        ["b2", Number(2.0), Badge("ok", "good")],
        ["b10", Number(float("nan")), None],
        ["a", Number(-10.0), Link("c", "map-1")],
        ["", Number(1e4), None],
    ]
    table = Table(["name", "number", "more"], rows, "a table")
    wide = Table([f"column {n}" for n in range(30)], [["some words"] * 30], "a wide table")
    long = Table(["name", "number"], [[f"row {n}", Number(n)] for n in range(150)], "a long table")
    blocks = [
        Heading(EVIL[0]),
        Figures(photos),
        table,
        Details("folded", [Words(FOLDED), Figures([Figure(shades[3], "last", "last", drawing=True)])]),
    ]
    page = Page(
        EVIL[1], [Words("a lead")], [Section("first", blocks), Section("second", [long, wide])], [Words("the end")]
    )
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html_of(page), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser: Any, document: str) -> Iterator[Any]:
    """That page, open; nothing may be said in its console, asked of the network, or asked of the reader."""
    with silent(browser, document, viewport={"width": 1024, "height": 800}) as page:
        page.goto(document)
        yield page


def _column(page: Any, number: int) -> list[str]:
    return page.locator("table").first.locator(f"tbody td:nth-child({number})").all_inner_texts()


def test_tables_are_sorted_by_their_heads(opened: Any) -> None:
    name, number = (opened.locator("table").first.locator("th").nth(n) for n in (0, 1))
    assert _column(opened, 1) == ["b2", "b10", "a", ""]
    number.get_by_role("button").click()
    assert _column(opened, 2) == ["10,000", "2", "−10", "–"]
    assert number.get_attribute("aria-sort") == "descending"
    number.get_by_role("button").click()
    assert _column(opened, 2) == ["−10", "2", "10,000", "–"]  # what is missing stays last
    assert number.get_attribute("aria-sort") == "ascending"
    name.get_by_role("button").focus()
    opened.keyboard.press("Enter")
    assert _column(opened, 1) == ["a", "b2", "b10", ""]  # 2 before 10
    assert (name.get_attribute("aria-sort"), number.get_attribute("aria-sort")) == ("ascending", None)


def test_pictures_open_at_full_size(opened: Any) -> None:
    """By mouse and by keyboard; arrow keys go on, also around the end, Esc closes, and the focus is where it was."""
    viewer = opened.locator("dialog")
    assert not viewer.is_visible()
    opened.locator("figure button").nth(1).click()
    assert viewer.is_visible()
    assert viewer.locator("img").get_attribute("alt") == "picture 1"
    assert viewer.locator("img").bounding_box()["width"] > opened.locator("figure img").nth(1).bounding_box()["width"]
    assert "2 of 4: <img src=x onerror=alert(1)>" in viewer.inner_text()
    for key, alt in (
        ("ArrowRight", "picture 2"),
        ("ArrowRight", "last"),
        ("ArrowRight", "picture 0"),
        ("ArrowLeft", "last"),
        ("Home", "picture 0"),
    ):
        opened.keyboard.press(key)
        assert viewer.locator("img").get_attribute("alt") == alt
    opened.keyboard.press("Escape")
    assert not viewer.is_visible()
    opened.wait_for_timeout(100)  # the dialog's own way back comes first
    assert opened.evaluate("document.activeElement.querySelector('img').alt") == "picture 0"
    opened.keyboard.press("Enter")
    assert viewer.is_visible()
    viewer.get_by_role("button", name="Next").click()
    assert viewer.locator("img").get_attribute("alt") == "picture 1"
    viewer.get_by_role("button", name="Close").click()
    assert not viewer.is_visible()


def test_names_stay_text_in_the_page_and_in_its_viewer(opened: Any) -> None:
    assert opened.evaluate("document.querySelectorAll('img[src=x], script').length") == 1
    opened.locator("figure button").first.click()
    assert EVIL[0] in opened.locator("dialog").inner_text()
    assert opened.evaluate("document.querySelectorAll('dialog img').length") == 1


def test_nothing_else_can_run_or_load(browser: Any, document: str) -> None:
    """What somebody would get into the page in spite of all is refused by its policy."""
    page = browser.new_page()
    page.goto(document)
    refused = page.evaluate(
        """() => new Promise((done) => {
          const names = [];
          document.addEventListener("securitypolicyviolation", (event) => names.push(event.effectiveDirective));
          window.ran = 0;
          const add = (tag, more) => document.body.append(Object.assign(document.createElement(tag), more));
          add("script", { textContent: "window.ran = 1" });
          add("style", { textContent: "body { display: none }" });
          document.body.insertAdjacentHTML("beforeend", '<b onclick="window.ran = 2" style="color: red">b</b>');
          document.body.lastChild.click();
          add("img", { src: "http://127.0.0.1:9/x.png" });
          fetch("http://127.0.0.1:9/").catch(() => setTimeout(() => done([window.ran, names.sort()]), 50));
        })"""
    )
    assert refused[0] == 0
    assert set(refused[1]) >= {
        "script-src-elem",
        "script-src-attr",
        "style-src-elem",
        "style-src-attr",
        "img-src",
        "connect-src",
    }
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1024, 1600])
def test_the_page_is_no_wider_than_the_screen(browser: Any, document: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.goto(document)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (shade == "rgb(255, 255, 255)") == (scheme == "light")
    # paper is white
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.close()


def test_paper_has_all_of_it(browser: Any, document: str, tmp_path: Path) -> None:
    """What is folded is printed, sections begin a page, heads of tables come again, and no picture is cut."""
    page = browser.new_page(color_scheme="dark")
    page.goto(document)
    path = tmp_path / "page.pdf"
    page.pdf(path=path, format="A4")
    assert not page.evaluate("document.querySelector('details').open")
    page.emulate_media(media="print")
    styles = "(name) => getComputedStyle(document.querySelector(name))"
    assert page.evaluate(f"({styles})('figure').breakInside") == "avoid"
    assert page.evaluate(f"({styles})('section + section').breakBefore") == "page"
    assert page.evaluate(f"({styles})('nav').display") == "none"
    page.close()
    if shutil.which("pdftotext"):
        import subprocess

        text = subprocess.run(
            ["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True
        ).stdout
        pages = text.split("\f")
        assert FOLDED in text
        assert sum("row 0" in each for each in pages) == 1
        rows = [each for each in pages if "row " in each]
        assert len(rows) > 1
        assert all("number" in each for each in rows)
        assert pages[0].split()[0].startswith('"><script>')


def test_without_script_the_page_reads_the_same(browser: Any, document: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(document)
    assert page.locator("figure > img").count() == 4
    assert not page.locator("dialog").is_visible()
    assert page.locator("details").inner_text() == "folded"
    page.locator("summary").click()
    assert FOLDED in page.locator("details").inner_text()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_grave(browser: Any, document: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with silent(browser, document, viewport={"width": 1024, "height": 800}, color_scheme=scheme) as page:
        page.goto(document)
        found = axe.Axe().run(page).response["violations"]
        grave = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]
        assert not grave, grave
