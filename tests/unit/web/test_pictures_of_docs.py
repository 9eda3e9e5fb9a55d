"""The pictures of docs/workbench.md, taken of the built-in model and photos that packages ship. With SEEWHY_PICTURES=1 in
the environment they are written into docs/images; without it nothing of the project is changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import seewhy
from browsers import browsing, silent, until
from seewhy.web.workbench import Workbench
from serving import served

pytest.importorskip("pyarrow")
pytest.importorskip("timm")
data = pytest.importorskip("skimage.data")
IMAGES = Path(__file__).parents[3] / "docs" / "images"
_WIDE = {"viewport": {"width": 1400, "height": 860}, "color_scheme": "light"}


def _photos(folder: Path) -> Path:
    """Photos that scikit-image and scikit-learn ship, and parts of them."""
    folder.mkdir()
    for name in ("chelsea", "coffee", "astronaut", "rocket", "camera", "coins"):
        whole = Image.fromarray(getattr(data, name)()).convert("RGB")
        whole.save(folder / f"{name}.png")
        width, height = whole.size
        whole.crop((width // 4, 0, width, height * 3 // 4)).save(folder / f"{name}, a part.png")
    datasets = pytest.importorskip("sklearn.datasets")
    for name in ("china", "flower"):
        Image.fromarray(np.asarray(datasets.load_sample_image(f"{name}.jpg"))).save(folder / f"{name}.png")
    return folder


def _taken(page: Any, name: str, tmp_path: Path) -> None:
    """A picture of the page; one that is no picture of anything fails."""
    path = (IMAGES if os.environ.get("SEEWHY_PICTURES") else tmp_path) / f"workbench-{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as image:
        small = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=255)
        assert len(np.unique(np.asarray(small))) > 60, f"{path.name} is empty"
    small.save(path, optimize=True)


@pytest.mark.slow
def test_pictures_of_the_docs(tmp_path: Path) -> None:
    photos = _photos(tmp_path / "photos")
    model = seewhy.load("builtin")
    seewhy.run(model, photos, tmp_path / "run", "grad-cam")
    with (
        served(Workbench(model, str(photos), str(tmp_path / "run"))) as client,
        browsing() as browser,
        silent(browser, f"http://127.0.0.1:{client.port}/", **_WIDE) as page,
    ):
        listed = {each["name"]: each["id"] for each in client.get("photos").json["photos"]}
        some = "grad-cam,lrp,integrated-gradients"
        page.goto(f"{client.url}#/look?photo={listed['chelsea.png']}&methods={some}")
        until(page, "document.querySelectorAll('[data-testid=result]').length === 3", seconds=120)
        viewer = page.get_by_test_id("viewer").first.bounding_box()
        page.mouse.move(viewer["x"] + viewer["width"] * 0.45, viewer["y"] + viewer["height"] * 0.4)
        page.wait_for_timeout(1000)
        _taken(page, "look", tmp_path)
        page.get_by_test_id("tab-ask").click()
        painter = page.get_by_test_id("painter")
        painter.wait_for()
        page.wait_for_timeout(500)
        box = painter.bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.42, box["y"] + box["height"] * 0.3)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.58, box["y"] + box["height"] * 0.42, steps=12)
        page.mouse.up()
        page.get_by_test_id("latency").wait_for()
        page.wait_for_timeout(1000)
        _taken(page, "ask", tmp_path)
        page.get_by_test_id("tab-data").click()
        page.get_by_test_id("cell").nth(8).wait_for()
        page.get_by_test_id("sort").select_option("probability")
        page.get_by_test_id("maps").check()
        page.wait_for_timeout(3000)
        _taken(page, "data", tmp_path)
        assert page.get_by_test_id("cell").count() == 14
