"""``seewhy.view``: the workbench's viewer under a notebook's cell, with its numbers in it."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from browsers import browsing, silent, until
from pages import EVIL
from seewhy.errors import UsageError

from .conftest import SIZE, picture, small

pytest.importorskip("anywidget")


def test_the_numbers_are_in_the_cell() -> None:
    maps = seewhy.explain_all(small(), picture(1), ["grad-cam", "saliency"], target=0)
    shown = seewhy.view(maps)
    first = shown.data["results"][0]
    values = np.frombuffer(base64.b64decode(first["values"]), dtype="<f4").reshape(SIZE, SIZE)
    np.testing.assert_array_equal(values, maps[0].map)
    assert (first["target"], first["window"]) == (EVIL[0], pytest.approx(list(maps[0].window)))
    assert first["photo"].startswith("data:image/jpeg;base64,")
    json.dumps(shown.data, allow_nan=False)
    assert len(seewhy.view(maps[0]).data["results"]) == 1


def test_what_cannot_be_viewed_is_said() -> None:
    for nothing in ([], "grad-cam", [3]):
        with pytest.raises(UsageError, match="takes an explanation"):
            seewhy.view(nothing)  # type: ignore[arg-type]
    net = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Flatten(), nn.Linear(18, 2))
    with pytest.raises(UsageError, match="no map of a picture"):
        seewhy.view(seewhy.explain(net, torch.rand(1, 2, 8), "saliency"))


def test_it_is_seen_in_a_page() -> None:
    shown = seewhy.view(seewhy.explain_all(small(), picture(1), ["grad-cam", "saliency"], target=0))
    document = (
        "<!doctype html><html lang=en><title>x</title><main id=cell></main><script type=module src=main.js></script>"
    )
    script = (
        f"import widget from './widget.js'; const data = {json.dumps(shown.data)};"
        "await widget.render({model: {get: () => data, on() {}, off() {}}, el: document.getElementById('cell')});"
    )
    served = {
        "/": (document, "text/html"), "/main.js": (script, "text/javascript"), "/widget.js": (shown._esm, "text/javascript")
    }  # fmt: skip

    def answer(route: Any) -> None:
        body, kind = served["/" + route.request.url.split("/", 3)[3]]
        route.fulfill(body=str(body), content_type=kind)

    with browsing() as browser, silent(browser, "http://notebook.test/") as page:
        page.route("http://notebook.test/**", answer)
        page.route("**/favicon.ico", lambda route: route.fulfill(body=""))
        page.goto("http://notebook.test/")
        page.get_by_test_id("result").nth(1).wait_for()
        viewer = page.get_by_test_id("viewer").first
        viewer.focus()
        page.keyboard.press("ArrowRight")
        until(page, "[...document.querySelectorAll('[data-testid=readout]')].every(e => /logit/.test(e.innerText))")
        assert EVIL[0] in page.locator("#cell").inner_text()
