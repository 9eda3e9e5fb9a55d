"""CSV, TSV and Parquet tables as sources: columns, paths, names, missing files, rows that come twice, memory."""

from __future__ import annotations

import csv
import io
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pytest

from picture_files import colour_of, png, write_png
from seewhy.errors import ImageError, UsageError
from seewhy.models import read_image, read_image_bytes
from seewhy.runs.sources import Entry, listed_files, open_source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for n in range(6):
        write_png(tmp_path / "photos" / f"{n}.png", n)
    return tmp_path


def table(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def listed(spec: str, **words: Any) -> list[Entry]:
    return list(open_source(spec, **words).entries())


def test_columns_are_found_by_their_names_or_named(photos: Path) -> None:
    spec = table(photos / "a.csv", "id,File Name,Class,group,other\n7,photos/1.png,cat,left,x\n8,photos/0.png,,,y\n")
    assert listed(spec) == [
        Entry("photos/1.png", ("cat",), "left", "line 2"), Entry("photos/0.png", (), "", "line 3"),
    ]  # fmt: skip
    again = listed(spec, columns={"label": "other", "group": "Class"})
    assert [(e.labels, e.group) for e in again] == [(("x",), "cat"), (("y",), "")]
    for entry in again:
        assert open_source(spec).read(entry) == photos / entry.name


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "semicolons.csv", "bom.csv"])
def test_cells_are_as_pandas_reads_them(photos: Path, name: str) -> None:
    rows = [
        {"path": f"photos/{n}.png", "label": word, "group": f"g{n}"}
        for n, word in enumerate(['a "quoted"', "b, c; d", "é\n2", "x", "y", "z"])
    ]
    sign = {"a.csv": ",", "a.tsv": "\t", "semicolons.csv": ";", "bom.csv": ","}[name]
    if name == "semicolons.csv":
        rows[2]["label"] = "line"
    frame = pd.DataFrame(rows)
    frame.to_csv(photos / name, index=False, sep=sign, encoding="utf-8-sig" if name == "bom.csv" else "utf-8")
    theirs = pd.read_csv(photos / name, sep=sign)
    ours = listed(str(photos / name))
    assert [(e.name, *e.labels, e.group) for e in ours] == [tuple(row) for row in theirs.itertuples(index=False)]
    if name == "a.csv":  # lines are those of the file: the third row has two
        assert [e.at for e in ours] == ["line 2", "line 3", "line 5", "line 6", "line 7", "line 8"]


def test_lines_without_a_header(photos: Path) -> None:
    assert listed(table(photos / "a.csv", "photos/1.png,cat\n\nphotos/2.png,dog\n")) == [
        Entry("photos/1.png", ("cat",), "", "line 1"), Entry("photos/2.png", ("dog",), "", "line 3"),
    ]  # fmt: skip
    assert [e.name for e in listed(table(photos / "b.csv", "photos/1.png\nphotos/2.png\n"))] == [
        "photos/1.png",
        "photos/2.png",
    ]


def test_a_folder_with_its_table(photos: Path) -> None:
    table(photos / "photos" / "labels.csv", "file,label\n3.png,b\n1.png,a\n9.png,c\n")
    source = open_source(str(photos / "photos"))
    assert [(e.name, e.labels) for e in source.entries()] == [("3.png", ("b",)), ("1.png", ("a",)), ("9.png", ("c",))]
    assert source.notes == (
        "1 of 3 files that labels.csv lists are not there, the first '9.png' (line 4)",
        f"4 of 6 pictures in '{photos / 'photos'}' are not listed in labels.csv",
    )
    other = table(photos / "other" / "x.csv", "file,label\n5.png,z\n")
    assert [(e.name, e.labels) for e in listed(str(photos / "photos"), table=other)] == [("5.png", ("z",))]


def test_names_have_no_absolute_path_and_lead_nowhere_else(photos: Path) -> None:
    inside = table(
        photos / "a.csv", f"file\nphotos/1.png\n{photos}/photos/2.png\n./photos//3.png\nphotos/../photos/4.png\n"
    )
    assert [e.name for e in listed(inside)] == [f"photos/{n}.png" for n in (1, 2, 3, 4)]
    outside = table(photos / "deep" / "er" / "a.csv", f"file\n../../photos/1.png\n{photos}/photos/2.png\n")
    assert [e.name for e in listed(outside)] == ["1.png", "2.png"]
    write_png(photos / "deep" / "7.png", 7)
    both = table(photos / "deep" / "b.csv", "file\n7.png\n../photos/1.png\n")
    assert [e.name for e in listed(both)] == ["deep/7.png", "photos/1.png"]
    for spec in (inside, outside, both):
        source = pickle.loads(pickle.dumps(open_source(spec)))  # one that has listed nothing
        for entry in listed(spec):
            read = source.read(entry)
            assert colour_of(read_image(read).pixels) == int(Path(entry.name).stem)


def test_two_dots_after_a_link_lead_where_the_disk_says(photos: Path) -> None:
    write_png(photos / "far" / "photos" / "1.png", 21)
    (photos / "far" / "index").mkdir()
    (photos / "link").symlink_to(photos / "far" / "index", target_is_directory=True)
    spec = table(photos / "link" / "a.csv", "file\n../photos/1.png\n")  # not photos/1.png beside the link
    through = table(photos / "b.csv", "file\nlink/../photos/1.png\n")
    for source in (open_source(spec), open_source(through)):
        (entry,) = source.entries()
        assert colour_of(read_image(source.read(entry)).pixels) == 21


def test_missing_files_are_told_of_and_all_missing_is_an_error(photos: Path) -> None:
    source = open_source(table(photos / "a.csv", "file\nphotos/1.png\nphotos/x.png\nphotos/7.png\n"))
    entries = list(source.entries())
    assert len(entries) == 3
    assert source.notes == ("2 of 3 files that a.csv lists are not there, the first 'photos/x.png' (line 3)",)
    with pytest.raises(ImageError, match="no such file"):
        read_image(source.read(entries[1]))
    spec = table(photos / "b.csv", "file\n1.png\n2.png\n")
    with pytest.raises(
        UsageError, match=r"none of the files that .*b\.csv' lists is there, the first '1\.png' \(line 2\)"
    ):
        listed(spec)


def test_a_list_that_jumps_between_many_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seewhy.runs.sources.listed_files._HELD", 3)
    looks: list[str] = []
    look = listed_files._There._look
    monkeypatch.setattr(
        listed_files._There, "_look", lambda self, folder: (looks.append(folder), look(self, folder))[1]
    )
    rows = [f"{n % 5}/{n}.png" for n in range(20)]
    for n, name in enumerate(rows):
        if n % 7:
            write_png(tmp_path / name, n)
    source = open_source(table(tmp_path / "a.csv", "\n".join(["file", *rows])))
    assert len(list(source.entries())) == 20
    assert source.notes == ("3 of 20 files that a.csv lists are not there, the first '0/0.png' (line 2)",)
    assert len(looks) == len(set(looks)) == 5  # none is listed again when it has been let go


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("", {}, "lists no pictures"),
        ("file,label\n", {}, "lists no pictures"),
        ("a,b\n1,2\n", {}, r"has no column of pictures: it has 'a', 'b'; name one, image=a"),
        ("file,label\nx.png,1\n", {"columns": {"label": "labl"}}, r"no column 'labl' in .*; nearest: 'label'"),
        (
            "file,label\nphotos/1.png,1\nphotos/2.png\n",
            {},
            "line 3: 'photos/2.png' has 1 cells, and column 2 is needed",
        ),
        ("file\nphotos/1.png\nphotos/2.png\nphotos/./1.png\n", {}, "'photos/./1.png' twice, in line 2 and line 4"),
        ("file\n\xff\n", {}, "none of the files"),
        (
            "file\nphotos/1.png\ns3://x/2.png\n",
            {},
            "line 3: 's3://x/2.png' is an address, and the table is on this machine",
        ),
        ("file\n../\0.png\n", {}, r"line 2: '../.x00.png' has a NUL in it"),
    ],
)
def test_bad_tables_are_one_line(photos: Path, text: str, words: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        listed(table(photos / "a.csv", text), **words)
    assert "\n" not in str(caught.value)


def test_text_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"file\n\xff\xfe.png\n")
    with pytest.raises(UsageError, match=r"cannot read the table .*UnicodeDecodeError"):
        listed(str(tmp_path / "a.csv"))
    (tmp_path / "b.csv").write_text("file\n" + "x" * 200_000)
    with pytest.raises(UsageError, match=r"cannot read the table .*field larger"):
        listed(str(tmp_path / "b.csv"))


def test_rows_without_a_file_are_left_out(photos: Path) -> None:
    source = open_source(table(photos / "a.csv", "file,label\nphotos/1.png,1\n,2\n ,3\n"))
    assert [e.name for e in source.entries()] == ["photos/1.png"]
    assert source.notes == ("lines without a file: 2 left out, the first 'line 3'",)


# Parquet


def parquet(path: Path, columns: dict[str, Any], rows: int = 4, metadata: dict[bytes, bytes] | None = None) -> str:
    made = pa.table(columns)
    pq.write_table(made.replace_schema_metadata(metadata), path, row_group_size=rows)
    return str(path)


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_parquet_of_paths(photos: Path, kind: str) -> None:
    kinds = {
        "string": pa.string(),
        "large_string": pa.large_string(),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
    }
    spec = parquet(
        photos / "a.parquet",
        {
            "image": pa.array([f"photos/{n}.png" for n in range(5)] + [None]).cast(kinds[kind]),
            "label": pa.array([3, 1, None, 0, 2, 9]),
            "group": pa.array(["a", "b", "", None, "c", "d"]),
        },
    )
    source = open_source(spec)
    assert [(e.name, e.labels, e.group, e.at) for e in source.entries()] == [
        ("photos/0.png", ("3",), "a", "row 0"), ("photos/1.png", ("1",), "b", "row 1"), ("photos/2.png", (), "", "row 2"),
        ("photos/3.png", ("0",), "", "row 3"), ("photos/4.png", ("2",), "c", "row 4"),
    ]  # fmt: skip
    assert source.notes == ("rows without a file: 1 left out, the first 'row 5'",)


@pytest.mark.parametrize("struct", [False, True])
def test_parquet_of_pictures_gives_the_bytes_that_pyarrow_gives(
    photos: Path, struct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seewhy.runs.sources.parquet._PICTURES", 3)
    monkeypatch.setattr("seewhy.runs.sources.parquet._KEPT", 2)
    data: list[Any] = [png(n) for n in range(50)]
    image = [{"bytes": each, "path": f"/a/{n % 3}.png"} for n, each in enumerate(data)] if struct else data
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()}) if struct else pa.large_binary()
    named = {
        "info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}}
    }
    spec = parquet(
        photos / "a.parquet", {"x": list(range(50)), "image": pa.array(image, kind), "label": [n % 2 for n in range(50)]},
        rows=20, metadata={b"huggingface": json.dumps(named).encode()},
    )  # fmt: skip
    source = pickle.loads(pickle.dumps(open_source(spec, columns={"group": "x"})))
    entries = list(source.entries())
    theirs = pq.read_table(spec).to_pylist()
    assert [e.labels for e in entries] == [(("cat", "dog")[row["label"]],) for row in theirs]
    assert [e.group for e in entries] == [str(n) for n in range(50)]
    assert [e.name for e in entries] == [f"{n:08}" + (f"-{n % 3}.png" if struct else "") for n in range(50)]
    order = [*range(50), 3, 49, 41, 48, 0, 20, 19, 2, 21]
    for n in order:
        held = theirs[n]["image"]
        assert source.read(entries[n]) == (held["bytes"] if struct else held)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(source.read, entries * 3))
    assert read == data * 3
    with pytest.raises(ImageError, match=r"row 50 of .*there are 50 rows"):
        source.read(Entry("x", at="row 50"))


def test_parquet_of_structs_with_paths_and_nothing(photos: Path) -> None:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = [
        {"bytes": None, "path": "photos/1.png"},
        None,
        {"bytes": png(9), "path": None},
        {"bytes": None, "path": None},
    ]
    source = open_source(
        parquet(photos / "a.parquet", {"picture": pa.array(cells, kind), "label": [[1, 2], [], None, [0]]})
    )
    entries = list(source.entries())  # a column of such cells needs no name that is known
    assert [(e.name, e.labels) for e in entries] == [
        ("00000000-1.png", ("1", "2")),
        ("00000002", ()),
        ("00000003", ("0",)),
    ]
    assert source.notes == ("rows without a picture: 1 left out, the first 'row 1'",)
    assert source.read(entries[0]) == photos / "photos" / "1.png"
    assert colour_of(read_image_bytes(source.read(entries[1]), "x").pixels) == 9  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="there is no picture in it"):
        source.read(entries[2])


def test_bad_parquet_is_one_line(photos: Path) -> None:
    with pytest.raises(UsageError, match=r"has no column of pictures: it has 'a', 'b'"):
        open_source(parquet(photos / "a.parquet", {"a": [1], "b": ["x"]}))
    with pytest.raises(UsageError, match=r"column 'image' of .* holds int64, neither paths nor the bytes"):
        open_source(parquet(photos / "b.parquet", {"image": [1]}))
    (photos / "c.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UsageError, match=r"cannot read the table"):
        open_source(str(photos / "c.parquet"))
    with pytest.raises(UsageError, match=r"'photos/1.png' twice, in row 0 and row 2"):
        listed(parquet(photos / "d.parquet", {"file": ["photos/1.png", "photos/2.png", "photos/1.png"]}))
    with pytest.raises(UsageError, match="lists no pictures"):
        listed(parquet(photos / "e.parquet", {"image": pa.array([], pa.binary())}))


def test_labels_that_are_damaged_words_of_others(photos: Path) -> None:
    for words in (b"no json", b"[]", b'{"info": {"features": {"label": 3}}}', b'{"info": {}}'):
        spec = parquet(photos / "a.parquet", {"file": ["photos/1.png"], "label": [1]}, metadata={b"huggingface": words})
        assert listed(spec)[0].labels == ("1",)


#: the peak is the process's own (VmHWM): what getrusage tells begins with its parent's
_MEASURE = """
import sys
from pathlib import Path
import pyarrow.parquet
from seewhy.runs.sources import open_source

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

before, source = peak(), open_source(sys.argv[1])
print(sum(1 for _ in source.entries()), peak() - before, *source.notes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, kind: str) -> None:
    write_png(tmp_path / "f0" / "0.png", 0)
    rows = 200_000
    paths, labels = [f"f{n // 1000}/{n}.png" for n in range(rows)], [str(n % 10) for n in range(rows)]
    spec = tmp_path / f"a.{kind}"
    if kind == "csv":
        with io.TextIOWrapper(spec.open("wb"), newline="") as file:
            csv.writer(file).writerows([("file", "label"), *zip(paths, labels, strict=True)])
    else:
        parquet(spec, {"file": paths, "label": labels}, rows=50_000)
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(spec)], capture_output=True, text=True, check=True)
    count, grown, *note = done.stdout.split(maxsplit=2)
    assert int(count) == rows
    assert "199999 of 200000 files" in note[0]
    assert int(grown) < {"csv": 25_000, "parquet": 55_000}[kind]  # KiB; with a list of all entries 48,000 and 77,000
