"""The workbench in a browser: each view does what docs/workbench.md says, and nothing is heard of it besides."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

import seewhy
from browsers import browsing, silent, until
from large_runs import enlarged
from pages import EVIL
from seewhy.web.workbench import Workbench
from serving import Client, served

from .conftest import SIZE, picture, png, small

pytest.importorskip("pyarrow")
#: which of axe's findings may not be there
_GRAVE = ("serious", "critical")
_WIDE = {"viewport": {"width": 1600, "height": 1000}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests."""
    with browsing() as started:
        yield started


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> Iterator[Client]:
    """A workbench with everything: photos, a run of a hundred thousand rows, an audit and a repair."""
    root: Path = tmp_path_factory.mktemp("whole")
    for n in range(8):
        folder = root / "photos" / ("tiger cat", "dog")[n % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture(n + 50, (90, 120)).save(folder / f"{n:02d}.png")
    picture(77).save(root / "photos" / f"{EVIL[0].replace('/', '')} .png")
    seewhy.run(small(), root / "photos", root / "run", "grad-cam")
    enlarged(root / "run", 100_000)
    _audit(root / "audit")
    _repair(root / "repair")
    bench = Workbench(small(), str(root / "photos"), str(root / "run"), root / "audit", root / "repair")
    with served(bench) as client:
        yield client


def _audit(folder: Path) -> None:
    folder.mkdir()
    effect = {
        "flips": 0.9,
        "interval": [0.8, 0.95],
        "odds": 2.0,
        "p": 1e-4,
        "pictures": 60,
        "against": "another window",
    }
    finding = {
        "class": 0, "label": EVIL[0], "kind": "place", "tag": "corner", "verdict": "shortcut", "q": 0.001, "measured": {},
        "outside": "it keeps its place", "picture": "finding-01.png", "effects": {"pasting": effect, "removing": effect},
    }  # fmt: skip
    document = {
        "version": 1, "model": "small", "source": "photos", "findings": [finding], "checked": {EVIL[0]: 60, "dog": 60},
        "power": {EVIL[0]: 0.08, "dog": 0.08}, "skipped": {"tabby cat": "3 pictures"}, "accuracy": {"dog": 0.9},
        "clusters": {EVIL[0]: [{"pictures": 20, "picture": "class-0-cluster-1.png"}]}, "evidence": {}, "against": {},
        "groups": [{"class": 0, "label": EVIL[0], "group": EVIL[3], "pictures": 20, "accuracy": 0.5}], "failed": [],
        "notes": ["a note"], "passes": 100, "settings": {"pictures": 200},
    }  # fmt: skip
    (folder / "audit.json").write_text(json.dumps(document))
    for name in ("finding-01.png", "class-0-cluster-1.png", "evidence.png"):
        picture(1, (30, 90)).save(folder / name)


def _repair(folder: Path) -> None:
    folder.mkdir()
    group = {"class": 0, "label": EVIL[0], "cues": [0], "pictures": 98, "before": 0.33, "after": 0.97}
    cue = {"class": 0, "label": EVIL[0], "kind": "place", "where": "in the corner", "pictures": 300, "have it": 293,
           "removed": 293, "pasted": 587, "untestable": ""}  # fmt: skip
    document = {
        "how": "head", "model": "small", "cues": [cue], "worst group": {"before": 0.33, "after": 0.97}, "groups": [group],
        "details": {}, "audit": None, "failed": [], "notes": [],
    }  # fmt: skip
    (folder / "repair.json").write_text(json.dumps(document))


@pytest.fixture
def page(browser: Any, whole: Client) -> Iterator[Any]:
    """The page, open."""
    with silent(browser, f"http://127.0.0.1:{whole.port}/", **_WIDE) as opened:
        opened.goto(whole.url)
        opened.get_by_test_id("result").first.wait_for()
        yield opened


def _id(page: Any, name: str) -> Any:
    return page.get_by_test_id(name)


def _pixels(page: Any, at: int = 0) -> str:
    """What a viewer shows, once it has drawn: a digest, by which pictures are told apart."""
    page.wait_for_timeout(150)
    data: str = page.locator("[data-testid=viewer] canvas").nth(at).evaluate("canvas => canvas.toDataURL()")
    return hashlib.sha256(data.encode()).hexdigest()


def _choose(page: Any, *methods: str) -> None:
    """These methods, and no others."""
    for box in page.locator("[data-testid=methods] input[type=checkbox]:checked").all():
        if box.get_attribute("data-testid") not in [f"method-{name}" for name in methods]:
            box.uncheck()
    for name in methods:
        _id(page, f"method-{name}").check()
    until(
        page,
        "wanted => document.querySelectorAll('[data-testid=result]').length === wanted"
        " && !document.querySelector('[data-testid=jobs]')",
        len(methods),
    )


def test_the_address_loses_its_token_and_the_page_loads(page: Any, whole: Client) -> None:
    assert "token" not in page.url
    page.reload()
    _id(page, "result").first.wait_for()
    assert _id(page, "model").inner_text()


def test_photos_are_dropped_pasted_and_chosen(page: Any) -> None:
    page.context.allowed = "status of 415"
    before = _id(page, "photo").count()
    _id(page, "file").set_input_files({"name": "chosen.png", "mimeType": "image/png", "buffer": png(91)})
    until(page, "n => document.querySelectorAll('[data-testid=photo]').length > n", before)
    for kind, name in (("drop", "dropped"), ("paste", "pasted")):
        data = base64.b64encode(png(92 if kind == "drop" else 93)).decode()
        page.evaluate(
            """([kind, name, data]) => {
              const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
              const held = new DataTransfer();
              held.items.add(new File([bytes], `${name}.png`, {type: "image/png"}));
              const event = kind === "drop" ? new DragEvent("drop", {dataTransfer: held, bubbles: true, cancelable: true})
                : new ClipboardEvent("paste", {clipboardData: held, bubbles: true, cancelable: true});
              document.body.dispatchEvent(event);
            }""",
            [kind, name, data],
        )
        page.get_by_text(f"{name}.png").first.wait_for()
    _id(page, "file").set_input_files({"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"})
    fault = _id(page, "photo-fault")
    fault.wait_for()
    assert "broken.png" in fault.inner_text()


def test_maps_side_by_side_with_one_crosshair(page: Any, whole: Client) -> None:
    _choose(page, "grad-cam", "saliency", "occlusion")
    viewers = _id(page, "viewer")
    box = viewers.nth(0).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(200)
    said = _id(page, "readout").all_inner_texts()
    assert len(said) == 3
    units = ["logit", "logit", "logit"]
    number = str(page.evaluate("new URLSearchParams(location.hash.split('?')[1]).get('photo')"))
    for shown, method, unit in zip(said, ("grad-cam", "saliency", "occlusion"), units, strict=True):
        value = float(re.search(r"[+−-]?[\d.]+(e[+−-]?\d+)?", shown)[0].replace("−", "-"))  # type: ignore[index]
        (told,) = whole.explained(number, method)
        values = np.frombuffer(whole.get(told["map"]["url"]).body, dtype="<f4").reshape(SIZE, SIZE)
        middle = values[SIZE // 2 - 1 : SIZE // 2 + 1, SIZE // 2 - 1 : SIZE // 2 + 1]
        spread = np.abs(values).max() * 0.02 + 1e-6
        assert middle.min() - spread <= value <= middle.max() + spread, (method, shown)
        assert unit in shown


def test_keys_move_the_crosshair_and_zoom(page: Any) -> None:
    viewer = _id(page, "viewer").first
    viewer.focus()
    page.keyboard.press("ArrowRight")
    first = _id(page, "readout").first.inner_text()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert _id(page, "readout").first.inner_text() != first
    page.keyboard.press("+")
    assert _id(page, "zoom").inner_text() != "1.0×"
    page.keyboard.press("0")
    assert _id(page, "zoom").inner_text() == "1.0×"


def test_sliders_change_what_is_drawn(page: Any) -> None:
    before = _pixels(page)
    for name, value in (("opacity", "0.1"), ("threshold", "0.7")):
        _id(page, name).fill(value)
        after = _pixels(page)
        assert after != before, name
        before = after
    for name in ("mode-map", "mode-photo", "mode-overlay"):
        _id(page, name).click()
        after = _pixels(page)
        assert after != before, name
        before = after
    _choose(page, "grad-cam", "saliency")
    before = _pixels(page)
    _id(page, "scaling-shared").click()
    assert _pixels(page) != before or _pixels(page, 1) != before


def test_a_class_and_why_not_another(page: Any) -> None:
    _id(page, "target").fill("tiger")
    page.get_by_role("option", name="tiger cat").first.click()
    _id(page, "result").get_by_text("tiger cat").first.wait_for()
    _id(page, "against").fill("dog")
    page.get_by_role("option", name="dog").first.click()
    page.get_by_text("tiger cat − dog").first.wait_for()


def test_layers_are_one_click_from_their_maps(page: Any) -> None:
    _id(page, "layer-2").click()
    _id(page, "cam-here").last.click()
    until(page, "[...document.querySelectorAll('[data-testid=result]')].some(e => / 2$|\\n2\\n/.test(e.innerText))")
    _id(page, "features-here").last.click()
    figure = _id(page, "figure")
    figure.wait_for()
    until(page, "document.querySelector('[data-testid=figure]').naturalWidth > 100")


def test_methods_tell_their_card_and_why_not(page: Any, whole: Client) -> None:
    whole.explained(whole.get("photos").json["photos"][0]["id"], "attention-rollout")  # found out once
    page.reload()
    _id(page, "result").first.wait_for()
    assert _id(page, "method-attention-rollout").is_disabled()
    _id(page, "about-grad-cam").click()
    card = _id(page, "method-card")
    card.wait_for()
    assert "Selvaraju" in card.inner_text()
    _id(page, "method-search").fill("lime")
    assert not _id(page, "method-grad-cam").is_visible()


def _long(whole: Client) -> str:
    """The address of a view in which the second method takes very long."""
    photo = whole.get("photos").json["photos"][-1]["id"]
    parameters = quote(json.dumps({"rise": {"n": 1_000_000, "tolerance": 0}}))
    return f"http://127.0.0.1:{whole.port}/#/look?photo={photo}&methods=grad-cam,rise&set={parameters}"


def test_results_come_as_they_are_ready_and_are_cancelled(page: Any, whole: Client) -> None:
    page.goto(_long(whole))
    cancel = _id(page, "cancel").first
    cancel.wait_for()
    until(page, "document.querySelectorAll('[data-testid=result]').length === 1")  # rise is under way
    cancel.click()
    cancel.wait_for(state="detached")
    assert "ancelled" in _id(page, "waiting").inner_text()


def test_a_page_that_closes_waits_for_nothing(browser: Any, whole: Client) -> None:
    with silent(browser, f"http://127.0.0.1:{whole.port}/", **_WIDE) as page:
        page.goto(whole.url)
        _id(page, "result").first.wait_for()
        with page.expect_response("**/explanations") as asked:
            page.goto(_long(whole))
        job = asked.value.json()["id"]
        _id(page, "cancel").first.wait_for()
        page.goto("about:blank")
    assert whole.events(job)[-1][0] == "cancelled"


def _stroke(page: Any, *points: tuple[float, float]) -> None:
    box = _id(page, "painter").bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for one in at[1:]:
        page.mouse.move(*one, steps=4)
    page.mouse.up()


def test_what_is_painted_over_changes_the_scores(page: Any, whole: Client) -> None:
    _id(page, "tab-ask").click()
    _id(page, "painter").wait_for()
    page.get_by_text("nothing is hidden").wait_for()
    with page.expect_response("**/interventions") as answer:
        _stroke(page, (0.45, 0.4), (0.55, 0.6))
    _id(page, "latency").wait_for()
    page.wait_for_timeout(600)
    asked = json.loads(answer.value.request.post_data)
    told = whole.post("interventions", asked).json
    assert told["hidden"] > 0
    _id(page, "change").first.wait_for()
    hidden = _id(page, "hidden").inner_text()
    _stroke(page, (0.3, 0.3), (0.4, 0.3))
    until(
        page,
        "was => document.querySelector('[data-testid=hidden]').innerText.split(',')[0] !== was",
        hidden.split(",")[0],
    )
    _id(page, "undo").click()
    until(
        page,
        "was => document.querySelector('[data-testid=hidden]').innerText.split(',')[0] === was",
        hidden.split(",")[0],
    )
    _id(page, "redo").click()
    _id(page, "fill").select_option("blur")
    page.wait_for_timeout(500)
    assert _id(page, "saw").locator("img").evaluate("image => image.naturalWidth") > 0
    # the same in Python
    assert "seewhy.intervene" in page.locator("main").inner_text()


def test_a_patch_of_another_photo_and_the_lens(page: Any) -> None:
    _id(page, "tab-ask").click()
    _id(page, "painter").wait_for()
    _id(page, "fill").select_option("patch")
    with page.expect_response("**/interventions") as answer:
        _stroke(page, (0.45, 0.45), (0.55, 0.55))
    assert answer.value.status == 200
    assert json.loads(answer.value.request.post_data)["patch"]["photo"]
    _id(page, "clear").click()
    _id(page, "fill").select_option("grey")
    _id(page, "tool-lens").click()
    box = _id(page, "painter").bounding_box()
    with page.expect_response("**/interventions") as answer:
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert json.loads(answer.value.request.post_data)["shapes"][0]["kind"] == "box"


def test_a_finding_is_kept_and_opened_again(page: Any, whole: Client) -> None:
    _id(page, "tab-ask").click()
    _id(page, "painter").wait_for()
    _stroke(page, (0.45, 0.4), (0.55, 0.6))
    _id(page, "latency").wait_for()
    _id(page, "finding-title").fill(EVIL[0])
    _id(page, "keep").click()
    finding = _id(page, "finding").first
    finding.wait_for()
    assert EVIL[0] in finding.inner_text()
    kept = whole.get("findings").json["findings"][-1]
    assert kept["result"]["hidden"] > 0
    _id(page, "clear").click()
    _id(page, "finding-open").first.click()
    until(page, "location.hash.includes('shapes=')")
    _id(page, "latency").wait_for()
    _id(page, "finding-delete").first.click()
    finding.wait_for(state="detached")
    assert whole.get("findings").json["findings"] == []


def test_the_trust_card_beside_its_map(page: Any) -> None:
    _id(page, "tab-trust").click()
    _id(page, "trust-run").click()
    card = _id(page, "trust-card")
    card.wait_for(timeout=120_000)
    words = card.inner_text().lower()
    assert re.search("green|amber|red", words)
    for name in ("deletion", "insertion", "gain"):
        assert name in _id(page, "measures").inner_text()
    assert _id(page, "measures").locator("svg").count() >= 3


def test_a_hundred_thousand_rows_scroll(page: Any) -> None:
    _id(page, "tab-data").click()
    grid = _id(page, "grid")
    grid.wait_for()
    _id(page, "cell").first.wait_for()
    assert "100,000" in _id(page, "row-count").inner_text()
    for share in (0.3, 0.99, 0.5, 0.0):
        grid.evaluate("(grid, share) => { grid.scrollTop = share * grid.scrollHeight; }", share)
        page.wait_for_timeout(400)
        assert 5 < _id(page, "cell").count() < 200
    _id(page, "sort").select_option("score")
    page.wait_for_timeout(500)
    _id(page, "filter-wrong").check()
    until(page, "!document.querySelector('[data-testid=row-count]').innerText.includes('100,000')")
    _id(page, "filter-clear").click()
    _id(page, "filter-search").fill("000007 ")
    until(page, "document.querySelectorAll('[data-testid=cell]').length === 1")
    _id(page, "cell").first.click()
    _id(page, "row-detail").wait_for()
    _id(page, "row-detail").get_by_test_id("viewer").wait_for()


def test_the_audit_and_the_repair(page: Any) -> None:
    _id(page, "tab-data").click()
    _id(page, "sub-audit").click()
    finding = _id(page, "audit-finding").first
    finding.wait_for()
    words = finding.inner_text()
    assert EVIL[0] in words
    assert "shortcut" in words
    assert finding.locator("svg").count() >= 1
    until(page, "[...document.querySelectorAll('[data-testid=audit] img')].every(i => i.naturalWidth > 0)")
    _id(page, "sub-repair").click()
    _id(page, "repair-groups").wait_for()
    assert "97" in _id(page, "worst").inner_text()


def test_a_link_is_the_view(page: Any, browser: Any, whole: Client) -> None:
    _choose(page, "grad-cam", "saliency")
    _id(page, "opacity").fill("0.3")
    _id(page, "target").fill("dog")
    page.get_by_role("option", name="dog").first.click()
    until(page, "location.hash.includes('target=4')")
    _id(page, "tab-hand").click()
    link = _id(page, "permalink").evaluate("e => e.value ?? e.innerText").strip()
    _id(page, "tab-look").click()
    page.wait_for_timeout(300)
    drawn = _pixels(page)
    with silent(browser, f"http://127.0.0.1:{whole.port}/", **_WIDE) as other:
        other.goto(whole.url)
        other.goto(link)
        other.goto(other.url.replace("#/hand", "#/look"))
        other.get_by_test_id("result").nth(1).wait_for()
        assert other.get_by_test_id("opacity").input_value() == "0.3"
        end = time.monotonic() + 20
        while _pixels(other) != drawn:
            drawn = _pixels(page)  # both draw when they come to it
            assert time.monotonic() < end, "the link shows another picture"


def test_files_and_lines_to_hand_on(page: Any) -> None:
    _choose(page, "grad-cam")
    _id(page, "tab-hand").click()
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<svg"), ("npz", b"PK"), ("html", b"<!doctype")):
        with page.expect_download() as found:
            _id(page, f"export-{kind}").first.click()
        assert Path(found.value.path()).read_bytes().startswith(start), kind
    code = " ".join(_id(page, "code").all_inner_texts())
    assert "seewhy.explain(" in code
    assert "seewhy explain" in code


def test_names_are_text_everywhere(browser: Any, whole: Client) -> None:
    evil = next(each for each in whole.get("photos?limit=1000").json["photos"] if "onerror" in each["name"])
    with silent(browser, f"http://127.0.0.1:{whole.port}/", **_WIDE) as page:
        page.goto(f"{whole.url}#/look?photo={evil['id']}&methods=grad-cam&target=0")
        page.get_by_test_id("result").first.wait_for()
        assert EVIL[0] in page.get_by_test_id("result").first.inner_text()
        assert page.locator("img[src='x']").count() == 0
        for tab in ("ask", "trust", "data", "hand"):
            page.get_by_test_id(f"tab-{tab}").click()
            page.wait_for_timeout(300)
            assert page.locator("img[src='x']").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1024, 1600])
def test_every_width_and_theme(browser: Any, whole: Client, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    own = f"http://127.0.0.1:{whole.port}/"
    with silent(browser, own, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        page.goto(whole.url)
        page.get_by_test_id("result").first.wait_for()
        for tab in ("look", "ask", "trust", "data", "hand"):
            page.get_by_test_id(f"tab-{tab}").click()
            page.wait_for_timeout(400)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
            found = axe.Axe().run(page).response["violations"]
            grave = [(each["id"], each["nodes"][0]["html"][:200]) for each in found if each["impact"] in _GRAVE]
            assert not grave, (tab, grave)


def test_without_a_token_the_page_says_what_to_do(browser: Any, whole: Client) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{whole.port}/?token=wrong")
    assert "open the address that seewhy serve printed" in page.content()
    context.close()


def test_a_workbench_of_photos_alone_says_how_to_begin_with_more(browser: Any, folder: Path) -> None:
    with (
        served(Workbench(small(), str(folder))) as client,
        silent(browser, f"http://127.0.0.1:{client.port}/", **_WIDE) as page,
    ):
        page.goto(client.url)
        page.get_by_test_id("tab-data").click()
        page.get_by_text("seewhy serve --run").first.wait_for()
