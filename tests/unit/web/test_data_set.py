"""A data set in the workbench: rows of a run, sorted and filtered, with their pictures; folders of an audit and a repair."""

from __future__ import annotations

import io
import json
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import seewhy
from large_runs import enlarged
from pages import EVIL
from seewhy.errors import StoreError, UsageError
from seewhy.runs.opened import open_run
from seewhy.web.folders import Folder
from seewhy.web.rows import Query, Rows
from seewhy.web.workbench import Workbench
from serving import Client, served

from .conftest import SIZE, picture, small

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def place(tmp_path_factory: Any) -> Path:
    """A run over photos of two classes, one of them broken."""
    root: Path = tmp_path_factory.mktemp("data")
    for n in range(12):
        folder = root / "photos" / ("tiger cat", "dog")[n % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture(n + 30).save(folder / f"{n:02d}.png")
    (root / "photos" / "dog" / "broken.png").write_bytes(b"nothing")
    seewhy.run(small(), root / "photos", root / "run", ["grad-cam", "saliency"])
    return root


@pytest.fixture(scope="module")
def audit(tmp_path_factory: Any) -> Path:
    """What an audit writes, in short."""
    folder: Path = tmp_path_factory.mktemp("audit")
    finding = {
        "class": 0, "label": EVIL[0], "kind": "place", "tag": "corner", "verdict": "shortcut", "q": 0.001,
        "outside": "it keeps its place", "picture": "finding-01.png",
        "effects": {"pasting": {"flips": 0.9, "interval": [0.8, 0.95], "pictures": 60, "against": "another window"}},
    }  # fmt: skip
    stray = {**finding, "picture": "../secret.png"}
    document = {
        "version": 1, "model": "small", "source": "/home/somebody/photos", "findings": [finding, stray],
        "checked": {EVIL[0]: 60, "dog": 60}, "power": {EVIL[0]: 0.08, "dog": 0.08}, "skipped": {"tabby cat": "3 pictures"},
        "clusters": {EVIL[0]: [{"pictures": 20, "picture": "class-0-cluster-1.png"}]}, "accuracy": {"dog": 0.9},
        "groups": [], "evidence": {}, "notes": [], "failed": [], "passes": 100, "against": {},
    }  # fmt: skip
    (folder / "audit.json").write_text(json.dumps(document))
    for name in ("finding-01.png", "class-0-cluster-1.png", "evidence.png", "other.png"):
        picture(1, (30, 90)).save(folder / name)
    picture(2).save(folder.parent / "secret.png")
    return folder


@pytest.fixture(scope="module")
def data(place: Path, audit: Path, folder: Path) -> Iterator[Client]:
    """A workbench of them."""
    with served(Workbench(small(), str(place / "photos"), str(place / "run"), audit)) as found:
        yield found


def test_what_the_run_is(data: Client, place: Path) -> None:
    told = data.get("run").json
    assert (told["rows"], told["pictures"], told["complete"]) == (25, 13, True)
    assert told["methods"] == ["grad-cam", "saliency"]
    assert told["statuses"]["failed"] == 1
    assert {each["label"] for each in told["classes"]} >= {"tiger cat", "dog"}
    assert str(place) not in data.get("run").body.decode()


def test_rows_are_sorted_and_filtered(data: Client, place: Path) -> None:
    run = open_run(place / "run")
    table = run.table().to_pylist()
    own = data.get("run/rows?sort=score&descending=1&method=grad-cam&limit=500").json
    expected = sorted((row["score"] for row in table if row["method"] == "grad-cam"), reverse=True)
    assert [row["score"] for row in own["rows"]] == pytest.approx(expected)
    for query, keep in {
        "class=1": lambda row: row["truth"] == 1,
        "status=failed": lambda row: row["status"] == "failed",
        "search=DOG/": lambda row: "dog/" in row["path"],
        "wrong=1": lambda row: row["truth"] is not None and row["prediction"] not in (None, row["truth"]),
        f"prediction={table[0]['prediction']}": lambda row: row["prediction"] == table[0]["prediction"],
    }.items():
        found = data.get(f"run/rows?{query}").json
        assert found["count"] == sum(map(keep, table)), query
    part = data.get("run/rows?offset=5&limit=3").json
    assert [row["number"] for row in part["rows"]] == [5, 6, 7]
    assert part["count"] == 25
    errors = data.get("run/rows?sort=error&descending=1&method=grad-cam").json["rows"]
    assert [row["wrong"] for row in errors] == sorted(
        [row["wrong"] for row in errors], key=lambda w: (w is None, not w)
    )
    assert data.get("run/rows?sort=nothing").status == 422
    assert data.get("run/rows?limit=100000").status == 422


def test_rows_have_pictures_and_maps(data: Client, place: Path) -> None:
    run = open_run(place / "run")
    for n in (0, 3):
        for with_map in (0, 1):
            thumb = data.get(f"run/rows/{n}/thumb?map={with_map}&size=96")
            assert max(Image.open(io.BytesIO(thumb.body)).size) == 60
        told = data.get(f"run/rows/{n}").json
        values = np.frombuffer(data.get(told["map"]["url"]).body, dtype="<f4").reshape(SIZE, SIZE)
        np.testing.assert_allclose(values, run[n].map, atol=1e-6)
        assert data.get(f"photos/{told['photo']}").json["name"] == told["path"]
    broken = next(r["number"] for r in data.get("run/rows?status=failed").json["rows"])
    assert data.get(f"run/rows/{broken}/values").status == 404
    assert data.get(f"run/rows/{broken}").json["map"] is None
    assert data.get(f"run/rows/{broken}/thumb?map=1").status in (404, 422)
    assert data.get("run/rows/99999/thumb").status == 404


def test_photos_that_are_gone_leave_their_maps(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "run", tmp_path / "run")
    shutil.copytree(place / "photos", tmp_path / "photos")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    manifest["taken"]["source"] = str(tmp_path / "gone")
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
    with served(Workbench(small(), None, str(tmp_path / "run"))) as client:
        assert "stand alone" in client.get("run").json["note"]
        assert Image.open(io.BytesIO(client.get("run/rows/0/thumb?map=1").body)).format == "JPEG"


def test_a_hundred_thousand_rows(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "run", tmp_path / "run")
    enlarged(tmp_path / "run", 100_000)
    rows = Rows(open_run(tmp_path / "run"), None)
    assert len(rows) >= 100_000
    tracemalloc.start()
    last = rows.some(Query("score", descending=True), len(rows) - 10, 10)
    held = tracemalloc.get_traced_memory()[0]
    for offset in range(0, 100_000, 5_000):
        assert len(rows.some(Query("score", descending=True), offset, 100)["rows"]) == 100
    assert tracemalloc.get_traced_memory()[0] < held + 2**20
    tracemalloc.stop()
    scores = [row["score"] for row in last["rows"] if row["score"] is not None]
    assert scores == sorted(scores, reverse=True)


def test_the_audit_and_those_of_its_pictures_that_it_names(data: Client) -> None:
    told = data.get("audit").json
    assert told["findings"][0]["label"] == EVIL[0]
    assert set(told["pictures"]) == {"finding-01.png", "class-0-cluster-1.png", "evidence.png"}
    assert told["source"] == "photos"
    for url in told["pictures"].values():
        assert data.get(url).headers["content-type"] == "image/png"
    for name in ("other.png", "..%2fsecret.png", "audit.json", "secret.png"):
        assert data.get(f"audit/pictures/{name}").status == 404
    assert data.get("repair").status == 404


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no audit.json: give the folder that seewhy audit --out wrote"):
        Folder(tmp_path, "audit.json")
    (tmp_path / "audit.json").write_text("[1")
    with pytest.raises(StoreError, match="cannot read"):
        Folder(tmp_path, "audit.json")
    (tmp_path / "audit.json").write_text("[1]")
    with pytest.raises(StoreError, match="no document"):
        Folder(tmp_path, "audit.json")
    with pytest.raises((StoreError, UsageError)):
        Workbench(small(), None, str(tmp_path / "nothing"))
