"""Folders as sources: order, classes and groups, what is left out, links, and what is no source."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path

import pytest
import torchvision  # type: ignore[import-untyped]

from picture_files import png, write_png
from seewhy.api.given.folders import photos_in
from seewhy.errors import UsageError
from seewhy.runs.sources import open_source


def names(spec: Path | str, **words: str) -> list[str]:
    return [entry.name for entry in open_source(str(spec), **words).entries()]  # type: ignore[arg-type]


def test_classes_are_as_torchvision_reads_them(tmp_path: Path) -> None:
    draw, files = random.Random(0), []
    for n in range(40):
        files.append(f"{draw.choice('abc')}/{draw.choice(['', 'x/', 'x/y/', 'x.d/'])}{draw.randrange(10**6)}.png")
        write_png(tmp_path / files[-1], n)
    theirs = torchvision.datasets.ImageFolder(str(tmp_path))
    known = {os.path.relpath(path, tmp_path): theirs.classes[label] for path, label in theirs.samples}
    entries = list(open_source(str(tmp_path)).entries())
    assert {entry.name: entry.labels for entry in entries} == {name: (label,) for name, label in known.items()}
    assert [tmp_path / entry.name for entry in entries] == photos_in(tmp_path)
    for entry in entries:
        assert entry.group == "/".join(entry.name.split("/")[1:-1])
        assert entry.size == (tmp_path / entry.name).stat().st_size


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/1.png", "a/scan.dcm", ".hidden.png", ".git/x.png", "__MACOSX/a.png"):
        write_png(tmp_path / name, 1)
    for name in ("notes.txt", "clip.MP4", "data.json"):
        (tmp_path / name).write_text("x")
    source = open_source(str(tmp_path))
    for _ in range(2):  # counts begin anew
        assert [entry.name for entry in source.entries()] == ["a/1.png", "a/scan.dcm", "b.JPG"]
        assert source.notes == (
            "hidden files and folders: 3 left out, the first '.git'",
            "films, each a source of its own: 1 left out, the first 'clip.MP4'",
            "no pictures by their names: 2 left out, the first 'data.json'",
        )


def test_links_are_followed_but_in_no_circle(tmp_path: Path) -> None:
    elsewhere = write_png(tmp_path / "elsewhere" / "1.png", 1).parent
    (root := tmp_path / "photos").mkdir()
    write_png(root / "b" / "2.png", 2)
    (root / "a").symlink_to(elsewhere, target_is_directory=True)
    (root / "b" / "back").symlink_to(root, target_is_directory=True)
    (root / "lost.png").symlink_to(root / "nowhere.png")
    source = open_source(str(root))
    assert [entry.name for entry in source.entries()] == ["a/1.png", "b/2.png", "lost.png"]
    assert source.notes == ("links to a folder that they are in: 1 left out, the first 'b/back'",)


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="everything is open to root")
def test_a_folder_that_may_not_be_listed_is_said(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", 1)
    (tmp_path / "closed").mkdir(mode=0)
    source = open_source(str(tmp_path))
    assert [entry.name for entry in source.entries()] == ["a.png"]
    assert source.notes == ("folders that may not be listed: 1 left out, the first 'closed'",)


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_a_name_that_nothing_could_write_down_is_left_out(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", 1)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(png(2))
    source = open_source(str(tmp_path))
    assert [entry.name for entry in source.entries()] == ["a.png"]
    assert source.notes == ("names that are no UTF-8: 1 left out, the first '\\\\udcff.png'",)


@pytest.mark.parametrize(
    ("file", "hint"), [("x-0.tar", "its shards: '{}/*.tar'"), ("a.csv", "what lists them: '{}/a.csv'"), ("x", "")]
)
def test_an_empty_folder_is_one_line(tmp_path: Path, file: str, hint: str) -> None:
    (tmp_path / file).write_bytes(b"")
    with pytest.raises(UsageError) as caught:
        names(tmp_path)
    assert str(caught.value).startswith(
        f"folder '{tmp_path}': no pictures in it; no pictures by their names: 1 left out"
    )
    assert hint.format(tmp_path) in str(caught.value)


def test_a_single_picture(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a b.png", 3)
    source = pickle.loads(pickle.dumps(open_source(str(path))))
    (entry,) = source.entries()
    assert (entry.name, entry.labels, entry.size) == ("a b.png", (), len(png(3)))
    assert source.read(entry) == path


def test_files_are_given_as_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_png(tmp_path / "photos" / "a" / "1.png", 3)
    monkeypatch.chdir(tmp_path)
    for spec in ("photos", str(tmp_path / "photos"), "photos/", "./photos", f"file://{tmp_path}/photos"):
        source = pickle.loads(pickle.dumps(open_source(spec)))
        (entry,) = source.entries()
        read = source.read(entry)
        assert isinstance(read, Path)
        assert entry.name == "a/1.png"
        assert read.resolve() == path
