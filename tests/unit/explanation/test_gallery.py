"""A gallery: rows, files, JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from seewhy.errors import UsageError
from seewhy.explanation import Gallery, Status, Tile, columns_for
from seewhy.explanation.gallery import map_tile


def _gallery(count: int = 5, **more: Any) -> Gallery:
    tiles = tuple(
        Tile(np.full((7, 7, 3), 40 * n, dtype=np.uint8), (f"channel {n}", f"evidence {n:+d}"), n, float(n))
        for n in range(count)
    )
    values = np.arange(count * 4, dtype=np.float32).reshape(count, 2, 2)
    return Gallery(
        **{"title": "five <channels>", "tiles": tiles, "values": values, "columns": 3, "notes": ("a note",)} | more
    )


def test_it_is_a_sequence_of_tiles() -> None:
    found = _gallery()
    assert len(found) == 5
    assert [tile.index for tile in found] == [0, 1, 2, 3, 4]
    assert found[2].title == ("channel 2", "evidence +2")
    assert repr(found) == "Gallery('five <channels>', 5 tiles, values=(5, 2, 2), status=ok)"


def test_tiles_make_rows_of_so_many_columns() -> None:
    narrow, wide = _gallery(columns=1).figure(), _gallery(columns=5).figure()
    assert narrow.height > 3 * wide.height
    assert wide.width > 3 * narrow.width
    svg = _gallery(status=Status("unfinished", "stopped early")).figure_svg()
    texts = [each.text for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("text")]
    assert texts[0] == "five <channels>"
    assert "channel 4" in texts
    assert any("unfinished: stopped early; a note" in text for text in texts)


def test_the_title_is_legible_and_the_colorbar_ends_where_it_says() -> None:
    """At the smallest cells too."""
    svg = _gallery(cell=64, colorbar=("ember", 0.0, 12.5)).figure_svg()
    texts = {each.text: each for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("text")}
    assert int(texts["five <channels>"].get("font-size")) >= 15
    assert {"0", "12.5"} <= set(texts)
    bar = [each for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("image")][-1]
    assert float(bar.get("width")) >= 150
    # the numbers stand below the bar
    assert float(texts["12.5"].get("y")) - int(texts["12.5"].get("font-size")) >= float(bar.get("y")) + float(
        bar.get("height")
    )


@pytest.mark.parametrize("suffix", ["png", "jpg", "svg", "pdf", "npy"])
def test_every_format(tmp_path: Path, suffix: str) -> None:
    found = _gallery()
    path = found.save(tmp_path / f"a.{suffix}")
    if suffix == "npy":
        np.testing.assert_array_equal(np.load(path, allow_pickle=False), found.values)
    elif suffix == "svg":
        assert path.read_text(encoding="utf-8") == found.figure_svg()
    elif suffix == "pdf":
        assert path.read_bytes() == found.figure_pdf()
    else:
        with Image.open(path) as drawn:
            assert drawn.size == found.figure().size
    with pytest.raises(UsageError, match="exists already"):
        found.save(path)
    assert found.save(path, force=True) == path


def test_what_cannot_be_saved_or_drawn(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Suffixes: \.png"):
        _gallery().save(tmp_path / "a.npz")
    with pytest.raises(UsageError, match="nothing to draw"):
        _gallery(0).figure()


def test_it_becomes_strict_json() -> None:
    odd = Tile(np.zeros((2, 2, 3), dtype=np.uint8), ("photo",), value=float("nan"))
    found = _gallery(1, parameters={"layer": "conv", "areas": (0.1, 0.2)})
    document = Gallery(**{**vars_of(found), "tiles": (*found.tiles, odd)}).to_dict()
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text) == document
    assert document["tiles"] == [
        {"title": ["channel 0", "evidence +0"], "index": 0, "value": 0.0},
        {"title": ["photo"], "index": None, "value": None},
    ]
    assert (document["status"], document["cause"], document["notes"]) == ("ok", "", ["a note"])
    assert document["parameters"]["layer"] == "conv"


def vars_of(gallery: Gallery) -> dict[str, Any]:
    return {name: getattr(gallery, name) for name in gallery.__dataclass_fields__}


def test_a_notebook_shows_the_figure_under_its_title() -> None:
    html = _gallery()._repr_html_()
    assert html.startswith('<img alt="five &lt;channels&gt;"')
    assert "data:image/png;base64," in html


@pytest.mark.parametrize("count", [0, 1, 5, 6, 13, 32, 33, 64, 65, 200])
def test_columns_leave_few_places_empty(count: int) -> None:
    columns = columns_for(count)
    assert columns == max(count, 1) if count < 6 else 6 <= columns <= 11
    assert -count % columns <= 3


def test_a_map_among_tiles_has_its_own_colorbar(make: Any) -> None:
    tile = map_tile(make(map_unit="logit"), ("grad-cam",), 24)
    assert tile.pixels.shape == (16, 24, 3)
    assert tile.bar is not None
    assert tile.bar.unit == "logit"
    svg = Gallery(title="t", tiles=(tile,), values=np.zeros(1)).figure_svg()
    assert any(each.text == f"{tile.bar.high:.3g} logit" for each in ElementTree.fromstring(svg).iter())


def test_titles_can_stand_under_their_tiles() -> None:
    def height(svg: str, kind: str) -> float:
        return max(float(each.get("y")) for each in ElementTree.fromstring(svg).iter() if each.tag.endswith(kind))

    tiles = (Tile(np.zeros((8, 8, 3), dtype=np.uint8), ("one",)),)
    below = Gallery(title="", tiles=tiles, values=np.zeros(1), under=True).figure_svg()
    above = Gallery(title="", tiles=tiles, values=np.zeros(1)).figure_svg()
    assert height(above, "text") < height(above, "image")
    assert height(below, "text") > height(below, "image")
