"""WebDataset shards as sources: samples, classes, places in the archive, and archives that are damaged or hostile."""

from __future__ import annotations

import gc
import gzip
import io
import json
import pickle
import tarfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from picture_files import colour_of, png
from seewhy.errors import ImageError, UsageError
from seewhy.models import read_image_bytes
from seewhy.runs.sources import open_source

wds = pytest.importorskip("webdataset")


def shard(path: Path, samples: list[dict[str, Any]]) -> str:
    with wds.TarWriter(str(path)) as writer:
        for sample in samples:
            writer.write(sample)
    return str(path)


def archive(path: Path, members: list[tuple[str, bytes]], form: int = tarfile.GNU_FORMAT, **changed: Any) -> str:
    """A tar of plain members; ``changed`` are attributes of all of them."""
    with tarfile.open(path, "w", format=form) as made:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in changed.items():
                setattr(info, key, value)
            made.addfile(info, io.BytesIO(data))
    return str(path)


def theirs(spec: str) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the collector
        found = list(wds.WebDataset(spec, shardshuffle=False, empty_check=False))
        gc.collect()
    return found


@pytest.mark.parametrize(
    "words", [{"cls": 1}, {"json": {"label": 1}}, {"txt": "1"}, {"json": [1]}, {"cls": 1, "txt": "a cat"}]
)
def test_samples_are_those_of_webdataset(tmp_path: Path, words: dict[str, Any]) -> None:
    spec = shard(tmp_path / "a.tar", [{"__key__": f"x/s{n:03}", "png": png(n), **words} for n in range(30)])
    source = pickle.loads(pickle.dumps(open_source(spec)))
    entries = list(source.entries())
    known = theirs(spec)
    assert [entry.name for entry in entries] == [f"{sample['__key__']}.png" for sample in known]
    assert {entry.labels for entry in entries} == {("1",)}
    assert [source.read(entry) for entry in entries] == [sample["png"] for sample in known]
    assert [entry.size for entry in entries] == [len(sample["png"]) for sample in known]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, entries[::-1])) == [sample["png"] for sample in known[::-1]]
    assert source.notes == ()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names(tmp_path: Path, form: int) -> None:
    long = "f" * 60 + "/" + "n" * 90 + ".png"
    members = [(long, png(1)), ("./é b.png", png(2)), ("é b.cls", "zwölf\n".encode())]
    spec = archive(tmp_path / "a.tar", members, form)
    source = open_source(spec)
    entries = list(source.entries())
    assert [entry.name for entry in entries] == [long, "é b.png"]
    assert [entry.labels for entry in entries] == [(), ("zwölf",)]
    assert [source.read(entry) for entry in entries] == [png(1), png(2)]


def test_several_shards(tmp_path: Path) -> None:
    for n in range(8, 12):
        shard(tmp_path / f"a-{n:02}.tar", [{"__key__": f"s{k}", "png": png(10 * n + k), "cls": k} for k in range(3)])
    braces = f"{tmp_path}/a-{{08..11}}.tar"
    for spec in (braces, f"{tmp_path}/a-*.tar"):
        source = open_source(spec)
        entries = list(source.entries())
        assert [entry.name for entry in entries] == [f"a-{n:02}/s{k}.png" for n in range(8, 12) for k in range(3)]
        assert [source.read(entry) for entry in entries] == [sample["png"] for sample in theirs(braces)]
        assert entries[4].at.startswith("a-09.tar@")
    with pytest.raises(UsageError, match=r"2 of the 6 shards that .* names are not there, the first 'a-12\.tar'"):
        open_source(f"{tmp_path}/a-{{08..13}}.tar")
    with pytest.raises(UsageError, match="names no shard"):
        open_source(f"{tmp_path}/b-*.tar")
    with pytest.raises(UsageError, match=r"names the shard 'a-08\.tar' twice"):
        open_source(f"{tmp_path}/a-{{08,08}}.tar")


def test_shards_of_one_name_in_several_folders(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        shard(tmp_path / folder / "0.tar", [{"__key__": "s", "png": png(ord(folder))}])
    for spec in (f"{tmp_path}/{{a,b}}/0.tar", f"{tmp_path}/*/0.tar"):
        source = open_source(spec)
        assert [(e.name, source.read(e)) for e in source.entries()] == [("a/0/s.png", png(97)), ("b/0/s.png", png(98))]


@pytest.mark.parametrize("pattern", ["a", "a{0..3}b", "a{08..11}", "{a,b}{1..2}", "{3..1}", "{x}", "{-1..2}", "a{,b}"])
def test_braces_are_expanded_as_webdataset_does(pattern: str) -> None:
    braceexpand = pytest.importorskip("braceexpand")
    from seewhy.runs.sources.opening import expanded

    assert list(expanded(pattern)) == list(braceexpand.braceexpand(pattern))


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as made:
        for name, kind in [
            ("l.png", tarfile.SYMTYPE),
            ("h.png", tarfile.LNKTYPE),
            ("d.png", tarfile.CHRTYPE),
            ("f", tarfile.DIRTYPE),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "ok.png"
            made.addfile(info)
        for name in (
            "../up.png",
            "/etc/abs.png",
            "a/../b.png",
            "win\\x.png",
            "ok.png",
            ".hidden.png",
            "__MACOSX/ok.png",
            "README",
            "__meta__/x.png",
            "only.cls",
        ):
            info = tarfile.TarInfo(name)
            info.size = len(png(1))
            made.addfile(info, io.BytesIO(png(1)))
    source = open_source(str(path))
    assert [entry.name for entry in source.entries()] == ["ok.png"]
    assert source.notes == (
        "links: 2 left out, the first 'a.tar: l.png'",
        "devices and their like: 1 left out, the first 'a.tar: d.png'",
        "members whose names lead out of the archive: 4 left out, the first 'a.tar: ../up.png'",
        "hidden files and folders: 2 left out, the first 'a.tar: .hidden.png'",
        "members without an extension: 1 left out, the first 'a.tar: README'",
        "members about the archive (__NAME__): 1 left out, the first 'a.tar: __meta__/x.png'",
        "samples without a picture: 1 left out, the first 'a.tar: only'",
    )


def test_sparse_members_are_left_out(tmp_path: Path) -> None:
    """A sparse member says in its header how large it would be: here 4 GiB of nothing."""
    pax = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.name": "big.png",
        "GNU.sparse.size": str(4 << 30),
        "GNU.sparse.map": f"0,{len(png(1))}",
    }
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as made:
        for name, headers in (("big.png", pax), ("ok.png", {})):
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(png(1)), headers
            made.addfile(info, io.BytesIO(png(1)))
    with tarfile.open(path) as made:
        assert made.getmembers()[0].issparse()
    source = open_source(str(path))
    assert [entry.name for entry in source.entries()] == ["ok.png"]
    assert "sparse files, which are other than they stand there: 1 left out" in source.notes[0]


def test_classes_that_are_none(tmp_path: Path) -> None:
    samples = [
        {"json": b"{", "cls": b"\xff"}, {"txt": "a long caption " * 20}, {"txt": "two\nlines"},
        {"json": {"caption": "x"}}, {"json": {"class": [3, "a"]}}, {"json": b"[" * 10_000},
    ]  # fmt: skip
    spec = shard(
        tmp_path / "a.tar", [{"__key__": f"s{n}", "png": png(n), **sample} for n, sample in enumerate(samples)]
    )
    source = open_source(spec)
    assert [entry.labels for entry in source.entries()] == [(), (), (), (), ("3", "a"), ()]
    assert source.notes == ("classes that cannot be read: 3 left out, the first 'a.tar: s0.cls'",)


def test_members_for_class_and_group_are_named(tmp_path: Path) -> None:
    sample = {"left.png": png(1), "right.png": png(2), "json": {"kind": "k", "site": 4}, "who": b"me"}
    spec = shard(tmp_path / "a.tar", [{"__key__": "s", **sample}])
    source = open_source(spec, columns={"image": "right.png", "label": "json.kind", "group": "json.site"})
    (entry,) = source.entries()
    assert (entry.name, entry.labels, entry.group, source.read(entry)) == ("s.right.png", ("k",), "4", png(2))
    (entry,) = open_source(spec, columns={"image": "left.png", "label": "who"}).entries()
    assert entry.labels == ("me",)
    with pytest.raises(
        UsageError, match=r"sample 's' of a\.tar has 2 pictures, 'left\.png' and 'right\.png': say which, image=left"
    ):
        list(open_source(spec).entries())


def test_names_that_come_twice(tmp_path: Path) -> None:
    apart = archive(tmp_path / "a.tar", [("s.png", png(1)), ("t.png", png(2)), ("s.png", png(3))])
    with pytest.raises(UsageError, match=r"a\.tar holds 's\.png' twice, at byte 512 and byte 2560; rename"):
        list(open_source(apart).entries())
    together = archive(tmp_path / "b.tar", [("s.png", png(1)), ("s.png", png(3))])
    with pytest.raises(UsageError, match=r"b\.tar holds 's\.png' twice"):
        list(open_source(together).entries())


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar"])
def test_compressed_shards_are_refused(tmp_path: Path, suffix: str) -> None:
    plain = Path(archive(tmp_path / "x.tar", [("s.png", png(1))]))
    packed = tmp_path / f"a{suffix}"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(UsageError, match=r"is compressed.*unpack it to a .tar") as caught:
        list(open_source(str(packed)).entries())
    assert "\n" not in str(caught.value)


def test_damaged_shards_are_refused(tmp_path: Path) -> None:
    whole = Path(archive(tmp_path / "x.tar", [(f"s{n}.png", png(n)) for n in range(4)])).read_bytes()
    second = 512 + 512 * -(-len(png(0)) // 512)
    cases = {
        "no header": b"\x07" * 4096,
        "second header": whole[:second] + b"\x07" * 512 + whole[second + 512 :],
        "cut in a picture": whole[: second + 512 + 20],
        "cut in a header": whole[: second + 100],
        "empty": b"",
    }
    for name, data in cases.items():
        (tmp_path / "a.tar").write_bytes(data)
        with pytest.raises(UsageError, match=r"cannot read the shard 'a\.tar': damaged, or no tar archive") as caught:
            list(open_source(str(tmp_path / "a.tar")).entries())
        assert "\n" not in str(caught.value), name


def test_archives_that_end_otherwise_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    whole = Path(archive(path, [("s.png", png(1))])).read_bytes()
    path.write_bytes(whole[:1024])
    source = open_source(str(path))
    assert len(list(source.entries())) == 1
    assert source.notes == ("a.tar has no mark at its end: it may have been cut off between two members",)
    path.write_bytes(whole + whole)
    source = open_source(str(path))
    assert len(list(source.entries())) == 1
    assert source.notes == ("a.tar goes on behind the mark of its end, at byte 1024: what is there is left out",)
    path.write_bytes(whole)
    source = open_source(str(path))
    assert len(list(source.entries())) == 1
    assert source.notes == ()


def test_a_header_that_says_it_is_long_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 2 << 30
    path = tmp_path / "a.tar"
    path.write_bytes(archive_head := info.tobuf(tarfile.USTAR_FORMAT) + bytes(2048))
    assert len(archive_head) == 2560
    with pytest.raises(UsageError, match="a header of 2147483648 bytes"):
        list(open_source(str(path)).entries())


def test_a_shard_that_has_changed_is_noticed(tmp_path: Path) -> None:
    spec = archive(tmp_path / "a.tar", [("s.png", png(1))])
    source = open_source(spec)
    (entry,) = source.entries()
    Path(spec).write_bytes(b"short")
    with pytest.raises(ImageError, match=r"cannot read 's\.png': .*ends before it does"):
        source.read(entry)
    Path(spec).unlink()
    with pytest.raises(ImageError, match=r"cannot read 's\.png'"):
        source.read(entry)


def test_a_member_too_large_to_be_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(archive(tmp_path / "a.tar", [("s.png", png(1))]))
    (entry,) = source.entries()
    monkeypatch.setattr("seewhy.runs.sources.place.MOST_BYTES", 10)
    with pytest.raises(ImageError, match=r"cannot read 's\.png': .*GiB; a picture's file has up to"):
        source.read(entry)


def test_memory_does_not_grow_with_the_members(tmp_path: Path) -> None:
    spec = archive(tmp_path / "a.tar", [(f"{n}.{kind}", b"") for n in range(300) for kind in ("png", "cls")])
    source = open_source(spec)
    with pytest.MonkeyPatch.context() as patch:
        held = []
        after = tarfile.TarFile.next
        patch.setattr(tarfile.TarFile, "next", lambda self: (held.append(len(self.members)), after(self))[1])
        assert len(list(source.entries())) == 300
    assert max(held) <= 1


def test_a_shard_without_pictures(tmp_path: Path) -> None:
    for members in ([], [("a.txt", b"x")]):
        with pytest.raises(UsageError, match="holds no pictures"):
            list(open_source(archive(tmp_path / "a.tar", members)).entries())


def test_pictures_are_read(tmp_path: Path) -> None:
    spec = shard(tmp_path / "a.tar", [{"__key__": "s", "png": png(300), "json": json.dumps({"x": 1}).encode()}])
    source = open_source(spec)
    (entry,) = source.entries()
    data = source.read(entry)
    assert isinstance(data, bytes)
    assert colour_of(read_image_bytes(data, entry.name).pixels) == 300
