"""What a notebook is shown: tables, lists as tables, pictures; nothing of a name becomes markup."""

from __future__ import annotations

import base64
import copy
import io
import pickle
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seewhy
from seewhy.explanation import Diagnosis, Finding, MethodCheck
from seewhy.html import Rows, bar, pairs, picture, table
from seewhy.models import Preprocess
from seewhy.registry import cards
from seewhy.render import embedded
from seewhy.render.embedded import MOST


class _Cells(HTMLParser):
    """Rows of a table, as text; and whether everything that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def _cells(text: str) -> list[list[str]]:
    read = _Cells(text)
    assert read.open == []
    return read.rows


def test_tables_hold_any_words() -> None:
    text = table(["a", "<b>"], [["<script>", 1234567], [None, True], [(3, 4), 0.1234567891]])
    assert _cells(text) == [["a", "<b>"], ["<script>", "1,234,567"], ["", "yes"], ["3×4", "0.123457"]]
    assert "<script>" not in text
    assert _cells(pairs([("one", "x & y"), ("none", None), ("empty", ""), ("no", False)])) == [
        ["one", "x & y"],
        ["no", ""],
    ]
    assert bar("a<b", 1, 2).count("<b") == 0


def test_pictures_are_inside() -> None:
    text = picture(b"data", "png", 'a "quoted" name')
    assert re.search(r'src="data:image/png;base64,([^"]+)"', text)
    assert _Cells(text).open == []


def test_a_list_with_a_table_is_still_a_list() -> None:
    rows = Rows([1 + 2j, 3j], {"re": "real", "im": "imag"})
    assert rows == [1 + 2j, 3j]
    assert _cells(rows._repr_html_()) == [["re", "im"], ["1", "2"], ["0", "3"]]
    for twin in (copy.copy(rows), pickle.loads(pickle.dumps(rows))):
        assert (twin, twin._repr_html_()) == (rows, rows._repr_html_())


def test_methods_and_layers_are_tables() -> None:
    for listed in (seewhy.methods(), cards()):
        heads, *rows = _cells(listed._repr_html_())
        assert heads[:2] == ["method", "family"]
        assert [row[0] for row in rows] == [card.name for card in listed]
    assert {card.family for card in seewhy.methods("cam")} == {"cam"}
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)).eval()
    heads, *rows = _cells(seewhy.layers(net, torch.rand(1, 3, 8, 8))._repr_html_())
    assert rows[1] == ["1", "ReLU", "1×4×6×6", "6×6", "4", "0", "yes"]
    assert [row[-1] for row in rows] == ["", "yes", ""]

    class Printer:
        said = ""

        def text(self, words: str) -> None:
            self.said += words

    seewhy.methods("cam")._repr_pretty_(printer := Printer(), False)
    assert printer.said.startswith(f"{len(seewhy.methods('cam'))} rows: ablation-cam, cam, ")
    assert dict(_cells(seewhy.methods("cam")[0]._repr_html_()))["name"] == "ablation-cam"


def test_a_model_says_what_it_is_in_a_line_and_in_a_table() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 7))
    model = seewhy.wrap(net, preprocess=Preprocess(size=(4, 4)), labels=[f"<{n}>" for n in range(7)], name="mine")
    assert repr(model) == "Model('mine', Sequential, 7 labels)"
    known = dict(_cells(model._repr_html_()))
    assert (known["model"], known["network"], known["parameters"]) == ("mine", "Sequential", "343")
    assert known["classes"] == "7: <0>, <1>, <2>, <3>, <4>, …"
    assert known["input"].startswith("3×4×4, crop of 256")
    plain = dict(_cells(seewhy.wrap(lambda x: x.mean((2, 3)))._repr_html_()))
    assert plain["input"] == "not said"
    assert "parameters" not in plain


def test_a_diagnosis_is_tables() -> None:
    finding = Finding("no-gradient", "error", "nothing < flows", "train it")
    tried = MethodCheck("grad-cam", "cam", False, "no layer")
    facts = {"input": "3 x 8 x 8"}
    rows = _cells(Diagnosis("mine", facts, (finding,), (tried,))._repr_html_())
    assert ["error", "no-gradient", "nothing < flows", "train it"] in rows
    assert ["grad-cam", "cam", "", "", "0", "0", "no layer"] in rows
    assert ["input", "3 x 8 x 8"] in rows
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    text = seewhy.diagnose(net, torch.rand(3, 16, 16), methods=["grad-cam"])._repr_html_()
    assert text.count("<img") == 1  # the proof of the grid
    assert "grad-cam" in text


def test_an_evaluation_a_boundary_and_curves_are_shown(tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("matplotlib")
    net, x = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), torch.rand(6, 3, 2, 2)
    text = seewhy.evaluate_model(net, x, [0, 1, 2] * 2)._repr_html_()
    assert dict(row for row in _cells(text) if len(row) == 2)["photos"] == "6"
    assert text.count("<img") == 1
    assert seewhy.boundary(net, x, [0, 1, 2] * 2)._repr_html_().count("<img") == 1
    log = tmp_path_factory.mktemp("log") / "log.csv"
    log.write_text("epoch,loss\n1,2\n2,1\n")
    assert seewhy.training_curves(log)._repr_html_().count("<img") == 1


def _noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


def test_pictures_are_as_small_as_a_notebook_can_hold() -> None:
    flat, kind = embedded(Image.new("RGB", (900, 700), "white"))
    assert (kind, len(flat) < 20_000) == ("png", True)
    for image in (_noise(1600, 1200), _noise(300, 3000), _noise(1200, 1200).convert("RGBA")):
        data, kind = embedded(image)
        assert (kind, len(data) <= MOST) == ("jpeg", True)
        with Image.open(io.BytesIO(data)) as small:
            assert small.size[0] / small.size[1] == pytest.approx(image.size[0] / image.size[1], rel=0.02)
    assert len(embedded(_noise(200, 200), most=4000)[0]) <= 4000


def test_explanations_in_a_notebook_stay_small() -> None:
    photo = np.asarray(_noise(224, 224))
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    model = seewhy.wrap(net, preprocess=Preprocess(size=(224, 224)))
    maps = seewhy.explain_all(model, [photo] * 3, method=["grad-cam", "saliency"], target="top-2")
    for shown in (maps, maps[0]):
        (data,) = re.findall(r'base64,([^"]+)"', shown._repr_html_())
        assert len(base64.b64decode(data)) <= MOST
