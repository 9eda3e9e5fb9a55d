"""What a path or a URL is: kinds, stores of fsspec, what is refused, and what is missing."""

from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from picture_files import png, write_film, write_png
from seewhy.errors import ImageError, UnknownName, UsageError
from seewhy.models import Photo
from seewhy.runs.sources import Source, open_source

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def store() -> Iterator[Any]:
    """fsspec's store in memory, empty."""
    made = fsspec.filesystem("memory")
    made.store.clear()
    made.pseudo_dirs[:] = [""]
    yield made
    made.store.clear()


def data_of(source: Source) -> dict[str, bytes]:
    read = {entry.name: source.read(entry) for entry in source.entries()}
    return {
        name: data.read_bytes() if isinstance(data, Path) else data
        for name, data in read.items()
        if not isinstance(data, Photo)
    }


def filled(root: Path) -> dict[str, dict[str, bytes]]:
    """Sources of every kind that has no directory of its own format; what each gives."""
    tarfile = pytest.importorskip("tarfile")
    for n in range(3):
        write_png(root / "photos" / "ab"[n % 2] / f"{n}.png", n)
    inner = {f"photos/{'ab'[n % 2]}/{n}.png": png(n) for n in range(3)}
    (root / "a.csv").write_text("\n".join(["file", *inner]))
    (root / "a.json").write_text(json.dumps({"images": [{"id": n, "file_name": name} for n, name in enumerate(inner)]}))
    for number in "01":
        with tarfile.open(root / f"s-{number}.tar", "w") as made:
            made.add(root / "photos" / "a" / "0.png", "k.png")
    short = {name.removeprefix("photos/"): data for name, data in inner.items()}
    return {
        "photos": short, "a.csv": inner, "a.json": inner, "photos/a/0.png": {"0.png": png(0)}, "s-0.tar": {"k.png": png(0)},
        "s-{0..1}.tar": {"s-0/k.png": png(0), "s-1/k.png": png(0)}, "s-?.tar": {"s-0/k.png": png(0), "s-1/k.png": png(0)},
    }  # fmt: skip


def test_here_and_in_a_store(tmp_path: Path, store: Any) -> None:
    expected = filled(tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            store.pipe_file(f"/deep/er/{path.relative_to(tmp_path).as_posix()}", path.read_bytes())
    for where in (str(tmp_path), f"file://{tmp_path}", "memory://deep/er", "memory:///deep/er"):
        for spec, known in expected.items():
            source = pickle.loads(pickle.dumps(open_source(f"{where}/{spec}")))
            assert data_of(source) == known, (where, spec)
            assert {e.labels for e in source.entries()} <= {(), ("a",), ("b",)}
            assert not any(e.name.startswith("/") or ".." in e.name for e in source.entries())


def test_parquet_and_films_in_a_store(tmp_path: Path, store: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("av")
    pq.write_table(pa.table({"image": [png(4), png(5)]}), tmp_path / "a.parquet")
    store.pipe_file("/x/a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert data_of(open_source("memory://x/a.parquet")) == {"00000000": png(4), "00000001": png(5)}
    store.pipe_file("/x/clip.mp4", write_film(tmp_path / "clip.mp4", 6).read_bytes())
    source = open_source("memory://x/clip.mp4", every=4)
    assert [getattr(source.read(entry), "name", "") for entry in source.entries()] == ["clip-0.mp4", "clip-4.mp4"]


def test_rows_of_a_table_in_a_store(store: Any) -> None:
    for name in ("/x/photos/1.png", "/x/photos/2.png", "/y/3.png"):
        store.pipe_file(name, png(int(name[-5])))
    store.pipe_file("/x/t/a.csv", b"file\n../photos/1.png\n/x/photos/2.png\nmemory://y/3.png\n")
    assert data_of(open_source("memory://x/t/a.csv")) == {
        "x/photos/1.png": png(1),
        "x/photos/2.png": png(2),
        "y/3.png": png(3),
    }
    store.pipe_file("/x/c.csv", b"file\ns3://x/photos/1.png\n")
    with pytest.raises(
        UsageError, match=r"line 2: 's3://x/photos/1\.png' is an address, and the table is on 'memory:///x'"
    ):
        list(open_source("memory://x/c.csv").entries())
    store.pipe_file("/x/b.csv", b"file\nphotos/9.png\n")
    source = open_source("memory://x/b.csv")
    (entry,) = source.entries()  # whether it is there is seen when it is read
    with pytest.raises(ImageError, match=r"cannot read 'memory:///x/photos/9.png': FileNotFoundError"):
        source.read(entry)


def test_a_picture_too_large_is_not_fetched(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store.pipe_file("/x/1.png", png(1))
    source = open_source("memory://x/1.png")
    (entry,) = source.entries()
    monkeypatch.setattr("seewhy.runs.sources.place.MOST_BYTES", 10)
    with pytest.raises(ImageError, match="a picture's file has up to"):
        source.read(entry)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("zip://a.png::file:///tmp/a.zip", "is within another file or store; of archives only .tar files are read"),
        ("simplecache::memory://x", "is within another file or store"),
        ("nothing://x", "cannot open 'nothing://x': ValueError: Protocol not known: nothing"),
        ("memory://nowhere", "cannot take pictures from 'memory://nowhere': there is nothing of that name"),
        ("", "no source; give a folder, a CSV"),
        ("photoz", "there is no such file; nearest: "),
        ("a.zip", "cannot take pictures from 'a.zip'; unpack it first; give a folder, a CSV"),
        ("notes.txt", "cannot take pictures from 'notes.txt'; give a folder, a CSV"),
        ("a.tar.gz", "is compressed"),
    ],
)
def test_what_is_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Any, spec: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("a.png", png(1))
    with pytest.raises(UsageError) as caught:
        open_source(spec)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "words", "said"),
    [
        ("photos", {"frames": 3}, "frames=3 is for a film; 'photos' is a folder"),
        (
            "photos",
            {"columns": {"label": "x"}},
            "is for a table or a folder with its table or shards or a directory of datasets",
        ),
        ("a.csv", {"images": "photos"}, "images='photos' is for a COCO file; 'a.csv' is a table"),
        (
            "a.json",
            {"table": "a.csv"},
            "table='a.csv' is for a folder or a folder with its table; 'a.json' is a COCO file",
        ),
        ("s-0.tar", {"every": 2}, "every=2 is for a film; 's-0.tar' is shards"),
        ("photos/a/0.png", {"every": 2}, "'photos/a/0.png' is a picture"),
        ("photos", {"table": "lost.csv"}, "cannot read the table 'lost.csv': there is no such file"),
        ("photos", {"columns": {"picture": "x"}}, "no column to name 'picture'"),
        ("x.mp4", {"frames": 0}, "frames=0: at least one"),
        ("x.mp4", {"frames": 2, "every": 2}, "two ways to choose frames"),
    ],
)
def test_what_a_source_has_no_use_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, words: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(tmp_path)
    (tmp_path / "x.mp4").write_bytes(b"x")
    with pytest.raises(UsageError) as caught:
        open_source(spec, **words)
    assert said in str(caught.value)


def test_unknown_columns_are_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        open_source(str(tmp_path), columns={"lable": "x"})


@pytest.mark.parametrize(
    ("package", "spec", "said"),
    [
        ("fsspec.core", "memory://x", r"is a URL, which takes fsspec: pip install 'seewhy\[data\]'"),
        ("pyarrow.parquet", "a.parquet", r"is a Parquet file: pip install 'seewhy\[data\]', or save it as CSV"),
        ("datasets", "saved", r"is a directory of datasets: pip install 'seewhy\[datasets\]'"),
    ],
)
def test_a_missing_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, spec: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"x")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    monkeypatch.setitem(sys.modules, package, None)
    if package == "pyarrow.parquet":
        monkeypatch.delattr(sys.modules["pyarrow"], "parquet", raising=False)
    with pytest.raises(UsageError, match=said):
        list(open_source(spec).entries())


def test_a_store_that_fails_is_one_line(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store.pipe_file("/x/1.png", png(1))

    def fail(*args: Any, **words: Any) -> Any:
        raise RuntimeError("no\nconnection")

    source = open_source("memory://x")
    (entry,) = source.entries()
    monkeypatch.setattr(type(store), "cat_file", fail)
    with pytest.raises(ImageError, match=r"cannot read 'memory:///x/1.png': RuntimeError: no connection"):
        source.read(entry)
    monkeypatch.setattr(type(store), "ls", fail)
    with pytest.raises(UsageError, match=r"cannot read 'memory:///x': RuntimeError: no connection"):
        list(open_source("memory://x").entries())


def test_a_directory_of_datasets_in_a_store(store: Any) -> None:
    store.pipe_file("/x/state.json", b"{}")
    with pytest.raises(UsageError, match="which is read in place: copy it to this machine first"):
        open_source("memory://x")


def test_listing_imports_no_library_that_it_does_not_need(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", 1)
    code = (
        "import sys; from seewhy.runs.sources import open_source; list(open_source(sys.argv[1]).entries());"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'pyarrow', 'fsspec', 'datasets', 'av', 'pandas'}))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"fsspec"}  # which torch imports where it is there


@pytest.mark.parametrize("name", ["a.csv", "a.json", "s-0.tar", "a.parquet"])
def test_flipped_bytes_are_listed_or_refused_in_one_line(tmp_path: Path, name: str) -> None:
    filled(tmp_path)
    if name == "a.parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({"image": [png(n) for n in range(4)], "label": [1, 2, 3, 4]}), tmp_path / name)
    path, draw, refused = tmp_path / name, random.Random(0), 0
    whole, said = path.read_bytes(), list[str]()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(draw.choice((1, 2, 8))):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data[: draw.randrange(len(data))] if draw.random() < 0.3 else data)
        try:
            source = open_source(str(path))
            for entry in source.entries():
                assert not entry.name.startswith("/")
                assert ".." not in entry.name.split("/")
                try:
                    source.read(entry)
                except ImageError as error:
                    said.append(str(error))
        except UsageError as error:
            refused += 1
            said.append(str(error))
    assert 0 < refused < 60
    assert not any("\n" in words for words in said)


def test_a_place_that_may_not_be_looked_into_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refused)
    with pytest.raises(UsageError, match=r"cannot read .*: PermissionError"):
        open_source(str(tmp_path))
