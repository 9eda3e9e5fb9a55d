"""COCO files as sources: pictures and categories are those that torchvision's reader and plain loops find."""

from __future__ import annotations

import io
import json
import pickle
import random
from pathlib import Path
from typing import Any

import pytest

from picture_files import colour_of, write_png
from seewhy.errors import UsageError
from seewhy.models import read_image
from seewhy.runs.sources import json_lists, open_source
from seewhy.runs.sources.json_lists import BEGINS, items_of


def coco(path: Path, told: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told))
    return str(path)


def made(root: Path, count: int = 20) -> dict[str, Any]:
    """Pictures 0.png... with random annotations."""
    draw = random.Random(3)
    names = ["person", "bicycle", "cat", "dog"]
    images = [
        {"id": 1000 - n, "file_name": f"{n}.png", "width": 5, "height": 4, "license": {"id": n}} for n in range(count)
    ]
    for n in range(count):
        write_png(root / f"{n}.png", n)
    annotations = [
        {"id": k, "image_id": draw.choice(images[1:])["id"], "category_id": 10 * draw.randrange(1, 5), "bbox": [0, 0, 2, 2],
         "segmentation": [[0, 0, 2, 0, 2, 2]], "area": 4, "iscrowd": 0}
        for k in range(60)
    ]  # fmt: skip
    return {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 10 * n, "name": name} for n, name in enumerate(names, 1)],
    }


def test_categories_by_plain_loops(tmp_path: Path) -> None:
    told = made(tmp_path / "photos")
    spec = coco(tmp_path / "annotations" / "a.json", told)
    source = open_source(spec, images=str(tmp_path / "photos"))
    entries = list(source.entries())
    assert [e.name for e in entries] == [f"{n}.png" for n in range(20)]
    for image, entry in zip(told["images"], entries, strict=True):
        labels = []
        for category in told["categories"]:
            if any(a["image_id"] == image["id"] and a["category_id"] == category["id"] for a in told["annotations"]):
                labels.append(category["name"])
        assert entry.labels == tuple(labels)
    assert entries[0].labels == ()
    assert any(len(e.labels) > 1 for e in entries)
    assert source.notes == ()


def test_pictures_are_those_of_torchvision(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    from torchvision.datasets import CocoDetection  # type: ignore[import-untyped]

    told = made(tmp_path)
    spec = coco(tmp_path / "a.json", told)
    source = pickle.loads(pickle.dumps(open_source(spec)))
    theirs = CocoDetection(str(tmp_path), spec)
    names = {category["id"]: category["name"] for category in told["categories"]}
    known = {}
    for n in range(len(theirs)):
        picture, annotations = theirs[n]
        known[colour_of(picture)] = {names[each["category_id"]] for each in annotations}
    ours = {colour_of(read_image(source.read(e)).pixels): set(e.labels) for e in source.entries()}
    assert ours == known


def test_unlisted_and_missing_pictures_are_told_of(tmp_path: Path) -> None:
    told = made(tmp_path)
    told["images"] = [*told["images"][:5], {"id": 1, "file_name": "lost.png"}]
    told["annotations"] = []
    source = open_source(coco(tmp_path / "a.json", told))
    assert len(list(source.entries())) == 6
    assert source.notes == (
        "1 of 6 files that a.json lists are not there, the first 'lost.png' (picture 5)",
        f"15 of 20 pictures in '{tmp_path}' are not listed in a.json",
    )


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([1], "has no list 'images'"),
        ({"images": 3}, "has no list 'images'"),
        ({"images": []}, "lists no pictures"),
        ({"images": [{"id": 1}]}, "missing or unknown: KeyError: 'file_name'"),
        (
            {"images": [{"id": 1, "file_name": "0.png"}], "annotations": [{"image_id": 1, "category_id": 3}]},
            "missing or unknown",
        ),
        (
            {"images": [{"id": 1, "file_name": "x.png"}]},
            r"none of the files .* is there, the first 'x\.png' \(picture 0\).*images=",
        ),
        (
            {"images": [{"id": 1, "file_name": "0.png"}, {"id": 2, "file_name": "./0.png"}]},
            "twice, in picture 0 and picture 1",
        ),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, told: Any, said: str) -> None:
    write_png(tmp_path / "0.png", 0)
    with pytest.raises(UsageError, match=said):
        list(open_source(coco(tmp_path / "a.json", told)).entries())


def test_what_is_no_json(tmp_path: Path) -> None:
    for data in (b"{", b"", b"\xff\xfe\xff", b'{"images": ' + b"[" * 200_000, b'{"images": []} x', b'{"images": [{]}'):
        (tmp_path / "a.json").write_bytes(data)
        with pytest.raises(UsageError, match="no JSON"):
            list(open_source(str(tmp_path / "a.json")).entries())
    with pytest.raises(UsageError, match="images='nowhere': there is no such folder"):
        open_source(str(tmp_path / "a.json"), images="nowhere")


VALUES = [
    None,
    True,
    -1.5e-7,
    0,
    12,
    "",
    'a "b" \\ \n é 😀',
    [],
    {},
    [1, [2, {"x": [3, "]}"]}]],
    {"a": {"b": [None]}},
    "x" * 50,
    1234567890,
]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
def test_lists_are_those_of_json(chunk: int, indent: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lists, "_CHUNK", chunk)
    draw = random.Random(0)
    for _ in range(30):
        told = {
            key: draw.choice([draw.choices(VALUES, k=draw.randrange(6)), draw.choice(VALUES)])
            for key in ("a", "b", "c", "dé")
        }
        data = json.dumps(told, indent=indent, ensure_ascii=draw.random() < 0.5).encode()
        lists = draw.choice([["a"], ["a", "dé"], []])
        found: dict[str, Any] = {}
        for key, item in items_of(io.BytesIO(data), lists):
            if item is BEGINS:
                found[key] = []
            else:
                found[key].append(item)
        assert found == {key: told[key] for key in lists if isinstance(told[key], list)}
        at = draw.randrange(1, len(data))
        for broken in (data[:at], data[:at] + b"\x01" + data[at:], data + b","):
            try:
                json.loads(broken)
            except ValueError:
                with pytest.raises(ValueError):
                    list(items_of(io.BytesIO(broken), lists))


@pytest.mark.parametrize("data", [b"[1, 2]", b"3", b"12 ", b'"x"'])
def test_a_top_that_is_no_object_has_no_lists(data: bytes) -> None:
    assert list(items_of(io.BytesIO(data), ["a"])) == []


def test_what_does_not_end_is_not_read_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lists, "_CHUNK", 16)
    monkeypatch.setattr(json_lists, "_MOST", 100)
    file = io.BytesIO(b'{"a": ["' + b"x" * 100_000)
    with pytest.raises(ValueError, match="a value of more than 0 MiB, or one that does not end"):
        list(items_of(file, ["a"]))
