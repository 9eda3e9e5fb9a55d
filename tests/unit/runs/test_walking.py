"""Going through pictures a few at a time: the order, the end that somebody asks for, and what a record of photos keeps
when whoever asked was ended."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seewhy
from seewhy.api.attacking import robustness
from seewhy.errors import StoreError, UsageError
from seewhy.runs.record import Record
from seewhy.runs.sources import Entry
from seewhy.runs.walking import INTERRUPTED, Stop, walk


class _Numbers:
    """A source of numbers, one of which cannot be read."""

    spec, kind = "numbers", "numbers"
    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.read_so_far: list[str] = []

    def entries(self) -> Iterator[Entry]:
        """Ten."""
        return (Entry(str(n)) for n in range(10))

    def read(self, entry: Entry) -> Any:
        """The name as bytes."""
        self.read_so_far.append(entry.name)
        if entry.name == "4":
            raise OSError("gone")
        return entry.name.encode()


def _groups(source: _Numbers, size: int = 3) -> list[tuple[int, list[tuple[int, Entry]]]]:
    numbered = list(enumerate(source.entries()))
    return [(at // size, numbered[at : at + size]) for at in range(0, len(numbered), size)]


def _walked(stop: Stop, after: int | None = None, interrupt: int | None = None) -> tuple[list[Any], _Numbers]:
    source, done = _Numbers(), list[Any]()

    def do(name: int, opened: list[Any], waited: float) -> None:
        done.append((name, [each.input if not each.reason else each.reason for each in opened]))
        if name == after:
            stop.why = "enough"
        if name == interrupt:
            os.kill(os.getpid(), signal.SIGINT)

    walk(_groups(source), source, lambda entry, raw: int(raw), do, stop, threads=2, ahead=2)
    return done, source


def test_groups_come_whole_and_in_order() -> None:
    done, _ = _walked(Stop())
    assert done == [(0, [0, 1, 2]), (1, [3, "cannot read '4': gone", 5]), (2, [6, 7, 8]), (3, [9])]


def test_a_walk_ends_between_two_groups() -> None:
    stop = Stop()
    done, source = _walked(stop, after=1)
    assert [name for name, _ in done] == [0, 1]
    assert len(source.read_so_far) < 10, "what nobody will ask for is not read"
    done, source = _walked(Stop("it has ended"))
    assert (done, source.read_so_far) == ([], [])
    interrupted = Stop()
    done, _ = _walked(interrupted, interrupt=0)
    assert [name for name, _ in done] == [0]
    assert interrupted.why == INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interruption_ends_a_walk_at_once() -> None:
    source, done = _Numbers(), list[int]()

    def do(name: int, opened: list[Any], waited: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        done.append(name)

    with pytest.raises(KeyboardInterrupt):
        walk(_groups(source), source, lambda entry, raw: int(raw), do, Stop(), threads=2, ahead=2)
    assert done == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_record_survives_a_line_that_was_cut_short(tmp_path: Path) -> None:
    first = Record(tmp_path, "q")
    first.begin("lot")
    first.keep(["a", 1, 2], {"said": 1}, ())
    path = tmp_path / ".seewhy" / "record.jsonl"
    path.write_bytes(path.read_bytes() + b'{"stamp": ["b", 1, 2], "quest')
    second = Record(tmp_path, "q")
    second.keep(["c", 1, 2], {"said": 3}, ())
    third = Record(tmp_path, "q")
    assert third.unfinished("lot")
    assert not third.unfinished("another lot")
    assert (third.whole(["a", 1, 2]), third.whole(["c", 1, 2])) == ({"said": 1}, {"said": 3})
    assert third.whole(["b", 1, 2]) is None
    third.end("lot")
    again = Record(tmp_path, "q")
    assert not again.unfinished("lot")
    again.begin("lot")
    assert (again.whole(["a", 1, 2]), again.whole(["a", 1, 2], "lot")) == ({"said": 1}, None)
    again.keep(["a", 1, 2], {"said": 4}, ())
    assert again.whole(["a", 1, 2], "lot") == Record(tmp_path, "q").whole(["a", 1, 2], "lot") == {"said": 4}
    again.end("lot")
    assert Record(tmp_path, "another").whole(["a", 1, 2]) is None


def test_a_record_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        Record(tmp_path / "file", "q").begin("lot")


class _Brightest(nn.Module):
    """Logits are four times the mean red, green and blue; counts what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3,), 4.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x.mean((2, 3))


@pytest.fixture
def model() -> seewhy.Model:
    pixels = seewhy.Preprocess((8, 8), None, "squash", (0.0,) * 3, (1.0,) * 3)
    return seewhy.wrap(_Brightest().eval(), preprocess=pixels, labels=["red", "green", "blue"])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven photos of each of three classes, some in the wrong folder."""
    rng = np.random.default_rng(5)
    for n in range(21):
        path = tmp_path / "photos" / ("red", "green", "blue")[n % 3] / f"{n:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = rng.integers(90, 130, 3).astype(np.uint8)
        shade[(n + (n % 5 == 0)) % 3] += 20
        Image.fromarray(np.broadcast_to(shade, (9, 9, 3)).copy()).save(path)
    return tmp_path / "photos"


class _Ends:
    """Ends whoever looks at photos, by an interruption or an error, at its second group; counts the groups."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
        import seewhy.api.given.truths as truths

        monkeypatch.setattr(truths, "AT_ONCE", 4)
        self.groups, self._how, self._ended = 0, how, False
        known = truths.Known.look
        own = self

        def look(self: Any, look: Any, *, at_once: int = 4, record: Any = None) -> Any:
            def counting(seen: list[Any]) -> Any:
                own.groups += 1
                if own.groups == 2 and not own._ended:
                    own._ended = True
                    if own._how == "interrupted":
                        os.kill(os.getpid(), signal.SIGINT)
                    else:
                        raise MemoryError
                return look(seen)

            return known(self, counting, at_once=4, record=record)

        monkeypatch.setattr(truths.Known, "look", look)


@pytest.mark.parametrize(("how", "kept"), [("interrupted", 8), ("killed", 4)])
@pytest.mark.parametrize("what", ["evaluation", "curve"])
def test_what_was_ended_goes_on_where_it_was(
    model: seewhy.Model, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, kept: int, what: str
) -> None:
    keep = tmp_path / "kept"

    def ask(**given: Any) -> Any:
        if what == "evaluation":
            found = seewhy.evaluate_model(model, photos, **given)
            return found.to_dict()
        return robustness(model, photos, [2, 8, 20], method="fgsm", **given).to_dict()

    whole = ask()
    ends = _Ends(monkeypatch, how)
    with pytest.raises(KeyboardInterrupt if how == "interrupted" else MemoryError):
        ask(keep=keep)
    lines = [json.loads(line) for line in (keep / ".seewhy" / "record.jsonl").read_text().splitlines()]
    assert sum("stamp" in line for line in lines) == kept
    ends.groups = 0
    assert ask(keep=keep) == whole
    assert ends.groups == -(-(21 - kept) // 4)
    ends.groups = 0
    assert ask(keep=keep) == whole
    assert ends.groups == 6, "what has come to its end is made anew"
    ends.groups, ends._ended = 0, False
    with pytest.raises(KeyboardInterrupt if how == "interrupted" else MemoryError):
        ask(keep=keep)
    ends.groups = 0
    assert ask(keep=keep) == whole
    assert ends.groups == -(-(21 - kept) // 4), "what an earlier call came to is no part of the one that was ended"


def test_a_photo_that_changed_is_looked_at_again(
    model: seewhy.Model, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = tmp_path / "kept"
    _Ends(monkeypatch, "interrupted")
    with pytest.raises(KeyboardInterrupt):
        seewhy.evaluate_model(model, photos, keep=keep)
    Image.new("RGB", (9, 9), (0, 0, 250)).save(sorted(photos.rglob("*.png"))[0])
    assert seewhy.evaluate_model(model, photos, keep=keep).to_dict() == seewhy.evaluate_model(model, photos).to_dict()


def _shard(path: Path, seed: int) -> Path:
    """Nine pictures without compression: another seed has other pixels at the same places."""
    rng = np.random.default_rng(seed)
    with tarfile.open(path, "w") as shard:
        for n in range(9):
            picture = io.BytesIO()
            Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).save(picture, "BMP")
            for name, data in ((f"{n}.bmp", picture.getvalue()), (f"{n}.cls", str(n % 3).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))
    return path


def _listed_elsewhere(folder: Path, seed: int) -> Path:
    """A table whose photos lie beside its folder."""
    rng = np.random.default_rng(seed)
    for path in (folder / "lists", folder / "scans"):
        path.mkdir(exist_ok=True)
    for n in range(9):
        Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).save(folder / "scans" / f"{n}.png")
    rows = "".join(f"../scans/{n}.png,{n % 3}\n" for n in range(9)) + "here.png,0\n"
    Image.new("RGB", (9, 9)).save(folder / "lists" / "here.png")
    (folder / "lists" / "all.csv").write_text(f"file,label\n{rows}")
    return folder / "lists" / "all.csv"


def _other_labels(folder: Path, seed: int) -> Path:
    """The same photos of other classes."""
    folder.joinpath("flat").mkdir(exist_ok=True)
    for n in range(9):
        if not (path := folder / "flat" / f"{n}.png").exists():
            Image.new("RGB", (9, 9), (20 * n, 90, 90)).save(path)
    (folder / "flat" / "labels.csv").write_text("".join(f"{n}.png,{(n + seed) % 3}\n" for n in range(9)))
    return folder / "flat"


@pytest.mark.parametrize("kind", ["shard", "table", "labels", "in hand"])
def test_nothing_is_taken_over_of_other_pictures_or_classes(
    model: seewhy.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def ask(seed: int, **given: Any) -> Any:
        if kind == "in hand":
            images = torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
            return seewhy.evaluate_model(model, images, [0, 1, 2] * 3, **given).to_dict()
        make = {"table": _listed_elsewhere, "labels": _other_labels}.get(kind)
        source = _shard(tmp_path / "all.tar", seed) if make is None else make(tmp_path, seed)
        return seewhy.evaluate_model(model, source, **given).to_dict()

    _Ends(monkeypatch, "interrupted")
    with pytest.raises(KeyboardInterrupt):
        ask(0, keep=tmp_path / "kept")
    assert ask(1, keep=tmp_path / "kept") == ask(1)


def test_nothing_is_taken_over_of_another_function_or_of_lines_that_say_nothing(
    model: seewhy.Model, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def always(said: int) -> seewhy.Model:
        def answers(x: torch.Tensor) -> torch.Tensor:
            return torch.eye(3)[said].expand(len(x), 3)

        return seewhy.wrap(answers, preprocess=model.preprocess, labels=["red", "green", "blue"])

    _Ends(monkeypatch, "interrupted")
    with pytest.raises(KeyboardInterrupt):
        seewhy.evaluate_model(always(0), photos, keep=tmp_path)
    right = seewhy.evaluate_model(always(1), photos).to_dict()
    assert seewhy.evaluate_model(always(1), photos, keep=tmp_path).to_dict() == right
    path = tmp_path / ".seewhy" / "record.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [line | {"document": {"name": 1}} if "stamp" in line else line for line in lines if line.get("under way", 1)]
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))
    assert seewhy.evaluate_model(always(1), photos, keep=tmp_path).to_dict() == right


def test_any_source_that_says_classes_is_evaluated(model: seewhy.Model, photos: Path, tmp_path: Path) -> None:
    right = seewhy.evaluate_model(model, photos).numbers
    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    table = tmp_path / "photos" / "list.csv"
    table.write_text("path,kind\n" + "".join(f"{name},{name.split('/')[0]}\n" for name in names))
    listed = seewhy.evaluate_model(model, table, columns={"label": "kind"})
    assert listed.numbers.confusion.tolist() == right.confusion.tolist()
    data = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    pictures = [{"bytes": (photos / name).read_bytes(), "path": name} for name in names]
    data.write_table(
        arrow.table({"image": pictures, "label": [name.split("/")[0] for name in names]}), tmp_path / "all.parquet"
    )
    packed = seewhy.evaluate_model(model, tmp_path / "all.parquet")
    assert packed.numbers.confusion.tolist() == right.confusion.tolist()
    assert packed.numbers.confidence == right.confidence


def test_what_gives_no_classes_is_refused(model: seewhy.Model, photos: Path) -> None:
    (photos / "list.csv").write_text("path\nred/00.png\n")
    with pytest.raises(UsageError, match=r"1 of 1 photos in .* have no class: columns= .--column. names the column"):
        seewhy.evaluate_model(model, photos / "list.csv")
    with pytest.raises(UsageError, match=r"columns=.* is for"):
        seewhy.evaluate_model(model, photos, columns={"label": "kind"})
