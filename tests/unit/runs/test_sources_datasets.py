"""Directories of Hugging Face's datasets as sources: bytes and classes are those that datasets itself reads."""

from __future__ import annotations

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from picture_files import png, write_png
from seewhy.errors import ImageError, UsageError
from seewhy.models import read_image_bytes
from seewhy.runs.sources import open_source

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def no_bars() -> Any:
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def saved(folder: Path, columns: dict[str, Any], features: dict[str, Any], **words: Any) -> str:
    data = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    data.save_to_disk(str(folder), **words)
    return str(folder)


@pytest.mark.parametrize("kind", ["bytes", "paths", "arrays"])
@pytest.mark.parametrize("shards", [1, 3])
def test_rows_are_those_of_datasets(tmp_path: Path, kind: str, shards: int) -> None:
    count = 25
    images = {
        "bytes": lambda n: {"bytes": png(n), "path": None},
        "paths": lambda n: str(write_png(tmp_path / f"{n % 4}" / f"{n}.png", n)),
        "arrays": lambda n: np.full((4, 5, 3), n, np.uint8),
    }[kind]
    spec = saved(
        tmp_path / "saved",
        {"image": [images(n) for n in range(count)], "label": [n % 3 - 1 for n in range(count)], "site": [f"s{n % 2}" for n in range(count)]},
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"]), "site": datasets.Value("string")},
        num_shards=shards,
    )  # fmt: skip
    if kind == "paths":  # they are embedded: the files may go
        for n in range(4):
            shutil.rmtree(tmp_path / f"{n}")
    source = pickle.loads(pickle.dumps(open_source(spec, columns={"group": "site"})))
    entries = list(source.entries())
    theirs = datasets.load_from_disk(spec)
    raw = theirs.cast_column("image", datasets.Image(decode=False))
    assert len(entries) == count
    for n, entry in enumerate(entries):
        data = source.read(entry)
        assert data == raw[n]["image"]["bytes"]
        assert np.array_equal(
            np.asarray(read_image_bytes(data, entry.name).pixels), np.asarray(theirs[n]["image"].convert("RGB"))
        )
        label = theirs[n]["label"]
        assert entry.labels == (() if label < 0 else (theirs.features["label"].int2str(label),))
        assert entry.group == theirs[n]["site"]
        assert entry.name == f"{n:08}" + (f"-{n}.png" if kind == "paths" else "")
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, entries[::-1])) == [raw[n]["image"]["bytes"] for n in range(count)][::-1]


def test_several_classes_and_rows_without_a_picture(tmp_path: Path) -> None:
    spec = saved(
        tmp_path / "saved",
        {
            "photo": [{"bytes": png(1), "path": None}, None, {"bytes": png(2), "path": None}],
            "labels": [[0, 1], [1], []],
        },
        {"photo": datasets.Image(), "labels": datasets.Sequence(datasets.ClassLabel(names=["cat", "dog"]))},
    )
    source = open_source(spec)
    entries = list(source.entries())
    assert [(e.labels, e.at) for e in entries] == [(("cat", "dog"), "row 0"), ((), "row 2")]
    assert source.notes == ("rows without a picture: 1 left out, the first 'row 1'",)
    assert source.read(entries[1]) == png(2)


def test_rows_that_were_selected(tmp_path: Path) -> None:
    """A selection is saved as its rows, not as numbers of others."""
    data = datasets.Dataset.from_dict(
        {"image": [{"bytes": png(n), "path": None} for n in range(9)]},
        features=datasets.Features({"image": datasets.Image()}),
    )
    data.select([7, 2, 5]).save_to_disk(str(tmp_path / "saved"))
    source = open_source(str(tmp_path / "saved"))
    assert [source.read(entry) for entry in source.entries()] == [png(7), png(2), png(5)]


def test_a_directory_of_splits(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict(
        {"image": [{"bytes": png(1), "path": None}]}, features=datasets.Features({"image": datasets.Image()})
    )
    datasets.DatasetDict({"train": data, "test": data}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(UsageError, match=r"holds the splits 'test', 'train'; give one: .*saved/test'"):
        open_source(str(tmp_path / "saved"))
    assert len(list(open_source(str(tmp_path / "saved" / "train")).entries())) == 1


@pytest.mark.parametrize(
    ("features", "words", "said"),
    [
        ({"a": "value"}, {}, "has no column of pictures: it has 'a'"),
        ({"a": "image", "b": "image"}, {}, r"several columns of pictures, \['a', 'b'\]: name one, image=a"),
        ({"a": "image", "b": "value"}, {"image": "b"}, "column 'b' of .* holds no pictures"),
        ({"a": "image"}, {"label": "lable"}, "no column 'lable'"),
    ],
)
def test_bad_directories_are_one_line(
    tmp_path: Path, features: dict[str, str], words: dict[str, str], said: str
) -> None:
    kinds = {"image": datasets.Image(), "value": datasets.Value("int64")}
    cells = {"image": {"bytes": png(1), "path": None}, "value": 3}
    spec = saved(
        tmp_path / "s", {k: [cells[v]] for k, v in features.items()}, {k: kinds[v] for k, v in features.items()}
    )
    with pytest.raises(UsageError, match=said):
        list(open_source(spec, columns=words).entries())


def test_damaged_and_empty_directories(tmp_path: Path) -> None:
    spec = saved(tmp_path / "a", {"image": [{"bytes": png(1), "path": None}]}, {"image": datasets.Image()})
    source = open_source(spec)
    (entry,) = source.entries()
    with pytest.raises(ImageError, match=r"cannot read row 4 of"):
        source.read(entry.__class__("x", at="row 4"))
    next((tmp_path / "a").glob("*.arrow")).write_bytes(b"no arrow")
    with pytest.raises(UsageError, match=r"cannot read the directory .* of datasets"):
        list(open_source(spec).entries())
    empty = saved(tmp_path / "b", {"image": []}, {"image": datasets.Image()})
    with pytest.raises(UsageError, match="holds no pictures"):
        list(open_source(empty).entries())
