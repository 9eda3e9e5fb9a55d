"""Runs over data sets: what is written, that it counts only when it is whole, and that whoever goes on gets the same."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seewhy
from seewhy.errors import StoreError, UsageError
from seewhy.models import Model
from seewhy.runs.opened import Run
from seewhy.runs.results import index_bytes, map_bytes, schema
from seewhy.runs.store import LocalStore, store_at
from seewhy.runs.units import Units
from seewhy.runs.walking import Stop

pq = pytest.importorskip("pyarrow.parquet")

_UNIT = 4


@pytest.fixture
def model() -> Model:
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, 2), nn.ReLU(),
            nn.Flatten(), nn.Linear(8 * 7 * 7, 3),
        )  # fmt: skip
    sized = seewhy.Preprocess((16, 16), None, "squash", (0.5,) * 3, (0.5,) * 3)
    return seewhy.wrap(net.eval(), preprocess=sized, labels=["cat", "dog", "owl"])


def _photos(folder: Path, count: int = 11) -> Path:
    rng = np.random.default_rng(3)
    for n in range(count):
        path = folder / ("cat", "dog", "owl")[n % 3] / f"{n:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20 + n, 24, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return _photos(tmp_path / "photos")


def _content(place: Path) -> dict[str, str]:
    """What decides a run's results: maps and index, by name."""
    files = sorted([*(place / "maps").glob("*"), *(place / "index").glob("*")])
    return {f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("prepare", [False, True])
def test_maps_are_those_of_explain(model: Model, photos: Path, tmp_path: Path, prepare: bool) -> None:
    methods = ["saliency", "grad-cam", "rise"]
    run = seewhy.run(model, photos, tmp_path / "out", methods, unit=_UNIT, prepare=prepare, n=16)
    assert run.complete
    assert len(run) == 33
    assert run.failed == 0
    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    right = [
        each for name in names for each in seewhy.explain_all(model, str(photos / name), methods, prepare=False, n=16)
    ]
    for found, own in zip(run, right, strict=True):
        np.testing.assert_allclose(found.values, own.values, rtol=1e-4, atol=1e-5 * np.abs(own.values).max())
        assert (found.method, found.target, found.layer, found.unit) == (own.method, own.target, own.layer, own.unit)
        assert (found.size, str(found.status), found.map_unit) == (own.size, str(own.status), own.map_unit)
        assert found.score == pytest.approx(own.score, rel=1e-5)
        assert (found.cost.forwards, found.cost.backwards) == (own.cost.forwards, own.cost.backwards)
    table = run.table().to_pylist()
    assert [row["path"] for row in table[::3]] == names
    assert [row["truth"] for row in table[::3]] == [("cat", "dog", "owl").index(name[:3]) for name in names]
    files = [photos / name for name in names]
    assert [row["digest"] for row in table[::3]] == [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def _dark(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (picture[..., 0] > 40).astype(np.int64) + 2 * (picture[..., 1] > 70)


@pytest.mark.parametrize("channels", [1, 3])
def test_pieces_are_cut_by_what_the_network_sees(tmp_path: Path, channels: int) -> None:
    """A run forgets no picture that pieces are cut by: those of its own range are others."""
    rng = np.random.default_rng(1)
    net = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 3)).eval()
    numbers = (0.5,) * channels
    sized = seewhy.Preprocess((16, 16), None, "squash", numbers, numbers, channels=channels)
    model = seewhy.wrap(net, preprocess=sized)
    for n in range(3):
        Image.fromarray(rng.integers(0, 80, (20, 24, 3), dtype=np.uint8)).save(tmp_path / f"{n}.png")
    run = seewhy.run(model, tmp_path, tmp_path / "out", "feature-ablation", segments=_dark, prepare=False)
    for found in run:
        own = seewhy.explain(model, str(tmp_path / found.name), "feature-ablation", segments=_dark)
        np.testing.assert_allclose(found.values, own.values, rtol=1e-4, atol=1e-5 * np.abs(own.values).max())


def test_targets_may_be_each_ones_own_class(model: Model, photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(photos / "stray.png")
    run = seewhy.run(model, photos, tmp_path / "out", "grad-cam", "truth", unit=_UNIT, prepare=False)
    rows = run.table().to_pylist()
    assert [row["target_index"] for row in rows] == [*(row["truth"] for row in rows[:-1]), None]
    assert run.failed == 1
    assert "'stray.png' has no class" in rows[-1]["reason"]


@pytest.mark.parametrize("prepare", [False, True])
def test_whoever_goes_on_gets_the_same_bytes(model: Model, photos: Path, tmp_path: Path, prepare: bool) -> None:
    asked: dict[str, Any] = {"method": ["grad-cam", "saliency"], "unit": _UNIT, "prepare": prepare}
    whole = seewhy.run(model, photos, tmp_path / "whole", **asked)
    again = seewhy.wrap(model.module, preprocess=model.preprocess, labels=list(model.labels or ()))
    part = seewhy.run(again, photos, tmp_path / "part", units=range(2, 3), **asked)
    assert len(part.markers) == 1
    assert not part.complete
    assert "1 of 3 units" in repr(part)
    stop = Stop("enough")
    assert len(seewhy.run(again, photos, tmp_path / "part", stop=stop, **asked).markers) == 1
    # what one process has measured, the others take over
    (tmp_path / "part" / "manifest.json").write_bytes((tmp_path / "whole" / "manifest.json").read_bytes())
    Units(LocalStore(tmp_path / "part")).undo(2)
    assert seewhy.run(again, photos, tmp_path / "part", **asked).complete
    assert _content(tmp_path / "whole") == _content(tmp_path / "part")
    assert len(whole) == 22


def test_what_is_not_whole_does_not_count(model: Model, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked: dict[str, Any] = {"unit": _UNIT, "prepare": False}
    seewhy.run(model, photos, out, **asked)
    right = _content(out)
    unit = Units(LocalStore(out))
    (out / "done" / "000001.json").unlink()  # killed between the index and the marker
    assert unit.done() == {0, 2}
    assert len(seewhy.open_run(out)) == 7
    assert seewhy.run(model, photos, out, **asked).complete
    assert _content(out) == right
    assert all(map(unit.sound, unit.markers()))
    (out / unit.marker(1).maps).write_bytes(b"half")
    assert [unit.sound(marker) for marker in unit.markers()] == [True, False, True]
    with pytest.raises(StoreError, match=r"maps/000001-.*damaged"):
        seewhy.open_run(out).map(5)
    assert not (out / "tmp").exists()


def _harm(path: Path, how: str) -> None:
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.unlink()
    if how != "gone":
        path.write_bytes(whole[:middle] if how == "short" else whole[:middle] + b"\xff\x00" + whole[middle + 2 :])


@pytest.mark.parametrize("how", ["gone", "short", "other"])
@pytest.mark.parametrize("part", ["maps", "index", "listing"])
def test_files_that_are_gone_or_damaged(model: Model, photos: Path, tmp_path: Path, part: str, how: str) -> None:
    out, asked = tmp_path / "out", {"unit": _UNIT, "prepare": False}
    run = seewhy.run(model, photos, out, "saliency", **asked)
    right = _content(out)
    path = next(out.glob("listing-*")) if part == "listing" else out / getattr(run.markers[1], part)
    _harm(path, how)
    if part == "index":
        for ask in (Run.table, lambda opened: opened.row(5), lambda opened: opened[5]):
            with pytest.raises(StoreError, match=r"index/000001-" if how == "gone" else r"damaged .*done/000001.json"):
                ask(seewhy.open_run(out))
    if part == "maps":
        said = r"no file 'maps/000001-" if how == "gone" else r"damaged .*: delete done/000001.json there"
        with pytest.raises(StoreError, match=said):
            seewhy.open_run(out).map(5)
    asked["retry_failed"] = how != "gone"
    assert seewhy.run(model, photos, out, "saliency", **asked).complete
    assert _content(out) == right


def test_units_without_a_manifest_are_nobodys(model: Model, photos: Path, tmp_path: Path) -> None:
    seewhy.run(model, photos, tmp_path, "saliency", unit=_UNIT, prepare=False)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"holds units of a run without its manifest.json"):
        seewhy.run(model, photos, tmp_path, "grad-cam", unit=_UNIT, prepare=False)


def test_two_that_do_one_unit_leave_one(model: Model, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = seewhy.run(model, photos, out, unit=_UNIT, prepare=False)
    right, units = _content(out), Units(LocalStore(out))
    first = units.marker(0)
    from seewhy.runs.results import EntryDone
    from seewhy.runs.sources import Entry

    late = units.publish(0, [EntryDone(0, Entry("other.png"), reason="another machine")], "float32")
    assert late == first
    assert _content(out) == right
    assert len(seewhy.open_run(out)) == len(run)


def test_pictures_that_cannot_be_read_are_rows(model: Model, photos: Path, tmp_path: Path) -> None:
    broken, out = photos / "cat" / "00.png", tmp_path / "out"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    run = seewhy.run(model, photos, out, unit=_UNIT, prepare=False)
    assert run.failed == 1
    assert len(run) == 11
    assert len(list(run)) == 10
    row = run.row(0)
    assert (row["status"], row["method"], row["shard"]) == ("failed", None, None)
    assert "00.png" in row["reason"]
    with pytest.raises(UsageError, match=r"row 0 has no map: cannot read"):
        run.map(0)
    broken.write_bytes(whole)
    with pytest.raises(UsageError, match=r"holds another run: pictures was"):
        seewhy.run(model, photos, out, unit=_UNIT, prepare=False)


def test_failed_ones_are_tried_again(
    model: Model, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seewhy.api.data_sets.asker import Asker
    from seewhy.errors import ImageError

    read, out = Asker.read, tmp_path / "out"

    def flaky(self: Asker, entry: Any, raw: Any) -> Any:
        if entry.name == "dog/01.png":
            raise ImageError("the store did not answer")
        return read(self, entry, raw)

    monkeypatch.setattr(Asker, "read", flaky)
    run = seewhy.run(model, photos, out, unit=_UNIT, prepare=False)
    assert run.failed == 1
    monkeypatch.setattr(Asker, "read", read)
    assert seewhy.run(model, photos, out, unit=_UNIT, prepare=False).failed == 1
    assert seewhy.run(model, photos, out, unit=_UNIT, prepare=False, retry_failed=True).failed == 0
    right = seewhy.run(model, photos, tmp_path / "right", unit=_UNIT, prepare=False)
    assert right.complete
    assert _content(out) == _content(tmp_path / "right")


def test_another_question_is_refused_with_what_differs(model: Model, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    seewhy.run(model, photos, out, "rise", unit=_UNIT, prepare=False, n=8)
    for asked, words in (
        ({"n": 9}, r"asked.parameters.n was 8, is 9"),
        ({"n": 8, "dtype": "float16"}, r"dtype was float32, is float16"),
        ({"n": 8, "unit": 5}, r"unit was 4, is 5"),
        ({"n": 8, "target": "dog"}, r"asked.target was None, is dog"),
    ):
        with pytest.raises(UsageError, match=words):
            seewhy.run(model, photos, out, **{"method": "rise", "unit": _UNIT, "prepare": False, **asked})
    with torch.no_grad():
        model.module[0].weight[0, 0, 0, 0] += 1
    with pytest.raises(UsageError, match=r"model.fingerprint was \w{16}, is \w{16}"):
        seewhy.run(model, photos, out, "rise", unit=_UNIT, prepare=False, n=8)
    Image.new("RGB", (9, 9)).save(photos / "new.png")
    with pytest.raises(UsageError, match=r"count was 11, is 12"):
        seewhy.run(model, photos, out, "rise", unit=_UNIT, prepare=False, n=8)


class _Of:
    """A class's score."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, scores: torch.Tensor) -> torch.Tensor:
        return scores[:, self._number]

    def score(self, scores: torch.Tensor) -> torch.Tensor:
        return self(scores)


def _pick(scores: torch.Tensor, number: int = 0) -> torch.Tensor:
    return scores[:, number]


_PICKED: dict[str, Callable[[int], Any]] = {
    "closure": lambda number: lambda scores: scores[:, number],
    "default": lambda number: lambda scores, of=number: scores[:, of],
    "partial": lambda number: partial(_pick, number=number),
    "object": _Of,
    "method": lambda number: _Of(number).score,
    "within": lambda number: {"a": [lambda scores: _pick(scores, number)]},
    "many": lambda number: [torch.arange(2000).eq(1000 + number)] * 65,
}


@pytest.mark.parametrize("kind", _PICKED)
def test_code_is_told_with_what_it_was_made_with(kind: str) -> None:
    from seewhy.api.given.told import told

    first, same, other = (told(_PICKED[kind](number), nn.Identity()) for number in (0, 0, 1))
    assert first == same != other


def test_another_target_of_the_same_code_is_another_question(model: Model, photos: Path, tmp_path: Path) -> None:
    def ask(number: int) -> Run:
        picked = _PICKED["closure"](number)
        return seewhy.run(model, photos, tmp_path / "out", "saliency", target=picked, unit=_UNIT, prepare=False)

    assert ask(0).complete
    assert ask(0).complete
    with pytest.raises(UsageError, match=r"asked.target"):
        ask(1)

    def itself(scores: torch.Tensor, depth: int = 0) -> torch.Tensor:
        return scores if depth else itself(scores, 1)

    from seewhy.api.given.told import told

    assert told(itself, None) == told(itself, None)


def test_half_precision_says_how_far_it_is_off(model: Model, photos: Path, tmp_path: Path) -> None:
    full = seewhy.run(model, photos, tmp_path / "full", "saliency", unit=_UNIT, prepare=False)
    half = seewhy.run(model, photos, tmp_path / "half", "saliency", unit=_UNIT, prepare=False, dtype="float16")
    for n in range(len(full)):
        gap = np.abs(full.map(n).astype(np.float64) - half.map(n)).max()
        assert 0 < gap <= half.row(n)["rounding"] * (1 + 1e-6)
        assert gap <= np.abs(full.map(n)).max() * 2**-11
        assert full.row(n)["rounding"] == 0


def test_strided_and_tiny_maps_are_kept() -> None:
    from safetensors.numpy import load

    from seewhy.runs.results import EntryDone, Result
    from seewhy.runs.sources import Entry

    values = np.arange(24, dtype=np.float32).reshape(4, 6).T[::2] * np.float32(1e-30)
    done = [EntryDone(7, Entry("a.png"), results=[Result(values, {"method": "m", "status": "ok"})])]
    for dtype, off in (("float32", 0.0), ("float16", 24e-30 * 2**-11)):
        data, columns = map_bytes(done, dtype)
        kept = load(data)["7/0"].astype(np.float64) * columns[0]["scale"]
        assert np.abs(kept - values).max() <= off
    assert pq.read_table(__import__("io").BytesIO(index_bytes(done, columns, "s"))).schema.equals(schema())


_CHILD = """
import sys, torch, seewhy
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 14 * 14, 3)).eval()
model = seewhy.wrap(net, preprocess=seewhy.Preprocess((16, 16), None, "squash", (0.5,) * 3, (0.5,) * 3))
seewhy.run(model, sys.argv[1], sys.argv[2], ["saliency", "grad-cam"], layer=None, unit=2, prepare=False, target=1)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    photos = _photos(tmp_path / "photos", 40)

    def start(out: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", _CHILD, str(photos), str(out)], env=os.environ)

    whole = start(tmp_path / "whole")
    assert whole.wait() == 0
    out, killed = tmp_path / "out", 0
    for after in (0, 1, 3, 8):  # units that are done when it dies
        child = start(out)
        while child.poll() is None and len(list((out / "done").glob("*.json"))) <= after:
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
    assert killed == 4
    assert start(out).wait() == 0
    assert _content(out) == _content(tmp_path / "whole")
    assert [row["row"] for row in seewhy.open_run(out).table(["row"]).to_pylist()] == [n // 2 for n in range(80)]


def test_no_room_left_is_one_line_and_loses_nothing(
    model: Model, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    out, right = tmp_path / "out", seewhy.run(model, photos, tmp_path / "right", unit=_UNIT, prepare=False)
    flush, room = os.fsync, [10]

    def full(handle: int) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot write '.*' in .*out: there is no room left"):
        seewhy.run(model, photos, out, unit=_UNIT, prepare=False)
    assert 0 < len(seewhy.open_run(out)) < len(right)
    assert not list((out / "tmp").iterdir())
    room[0] = 1000
    assert seewhy.run(model, photos, out, unit=_UNIT, prepare=False).complete
    assert _content(out) == _content(tmp_path / "right")


@pytest.mark.parametrize("place", ["memory://runs/{}", "{}"])
def test_a_store_gives_files_that_are_whole(place: str, tmp_path: Path) -> None:
    store = store_at(place.format(tmp_path.name if "://" in place else tmp_path / "s"))
    assert store.names("a") == []
    assert store.size("a/x") == -1
    store.write("a/x", b"12")
    assert store.create("a/y", b"1")
    assert not store.create("a/y", b"2")
    assert (store.read("a/x"), store.read("a/y"), store.names("a"), store.size("a/x")) == (b"12", b"1", ["x", "y"], 2)
    store.remove("a/x")
    store.remove("a/x")
    with pytest.raises(StoreError, match=r"no file 'a/x' in"):
        store.read("a/x")


def test_runs_may_lie_elsewhere(model: Model, photos: Path, tmp_path: Path) -> None:
    place = f"memory://{tmp_path.name}/run"
    run = seewhy.run(model, photos, place, unit=_UNIT, prepare=False)
    own = seewhy.run(model, photos, tmp_path / "own", unit=_UNIT, prepare=False)
    assert run.table().equals(own.table())
    for n in range(len(own)):
        np.testing.assert_array_equal(run.map(n), own.map(n))


def test_what_is_no_number_is_refused_before_anything_is_written(model: Model, photos: Path, tmp_path: Path) -> None:
    for asked in ({"readers": 0}, {"max_hours": float("nan")}, {"max_hours": -1}):
        with pytest.raises(UsageError, match=f"{next(iter(asked))}="):
            seewhy.run(model, photos, tmp_path / "out", "saliency", **asked)
    assert not (tmp_path / "out").exists()


def test_rows_and_columns_that_there_are_not(model: Model, photos: Path, tmp_path: Path) -> None:
    run = seewhy.run(model, photos, tmp_path / "out", "saliency", unit=_UNIT, prepare=False)
    assert run.row(np.int64(2)) == run.row(2)
    for number, words in ((11, "no row 11: this run has 11, 0 to 10"), (slice(2), r"no row slice.*one by one")):
        with pytest.raises(UsageError, match=words):
            run.row(number)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no column 'scores'; nearest: 'score'"):
        run.table(["scores"])


def test_what_became_of_the_pictures_is_said(model: Model, photos: Path, tmp_path: Path) -> None:
    def ask() -> Run:
        return seewhy.run(model, photos, tmp_path / "out", "saliency", unit=_UNIT, prepare=False)

    ask()
    (first, second, *_) = sorted(photos.rglob("*.png"))
    whole, name = first.read_bytes(), first.relative_to(photos).as_posix()
    first.write_bytes(whole + b"x")
    with pytest.raises(UsageError, match=rf"pictures was .*'{name}': size was {len(whole)}, is {len(whole) + 1}"):
        ask()
    first.unlink()
    with pytest.raises(UsageError, match=rf"number 0 was '{name}', is '{second.relative_to(photos).as_posix()}'"):
        ask()
    first.write_bytes(whole)
    Image.new("RGB", (9, 9)).save(photos / "zz.png")
    with pytest.raises(UsageError, match=r"number 11 was not there, is 'zz.png'"):
        ask()


def test_a_file_is_no_place_for_a_run(model: Model, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"is a file; results go into a folder"):
        seewhy.run(model, photos, tmp_path / "file")
    with pytest.raises(StoreError, match=r"no run in .*nothing: there is no manifest.json"):
        seewhy.open_run(tmp_path / "nothing")


def _large(folder: Path) -> Path:
    """JPEGs that are many times the input's size."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    for n in range(5):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize((240, 200))
        coarse.save(folder / f"{n}.jpg", quality=95, exif=_turned() if n == 4 else b"")
    return folder


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_large_jpegs_are_decoded_small(model: Model, tmp_path: Path) -> None:
    from seewhy.models import read_image

    photos = _large(tmp_path / "photos")
    ours = model.preprocess
    assert isinstance(ours, seewhy.Preprocess)
    for path in photos.iterdir():
        whole, small = read_image(path), read_image(path, ours.coarsest)
        turned = path.name == "4.jpg"
        assert whole.pixels.size == ((200, 240) if turned else (240, 200))
        assert small.pixels.size == ((50, 60) if turned else (60, 50))  # a quarter: an eighth would be less than 32
        apart = ours(whole.pixels) - ours(small.pixels)
        assert float(apart.square().mean().sqrt() / ours(whole.pixels).std()) < 0.05
    run = seewhy.run(model, photos, tmp_path / "draft", "saliency", 1, unit=_UNIT, prepare=False)
    fine = seewhy.run(model, photos, tmp_path / "fine", "saliency", 1, unit=_UNIT, prepare=False, draft=False)
    assert run.manifest.taken["draft"]
    assert 0 < run.manifest.taken["draft_moves"] < 0.05
    assert not fine.manifest.taken["draft"]
    for n in range(5):
        own = seewhy.explain(model, str(photos / f"{n}.jpg"), "saliency", 1, prepare=False)
        np.testing.assert_allclose(fine.map(n), own.values, rtol=1e-5, atol=1e-7)
        assert 0 < abs(run[n].score - own.score) < 0.02


def test_what_changes_an_answer_is_not_decoded_small(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seewhy.api.data_sets.asker import Asker

    counted = iter(range(2))
    monkeypatch.setattr(Asker, "_answers", lambda self, items: [next(counted)] * len(items))
    run = seewhy.run(model, _large(tmp_path / "photos"), tmp_path / "out", unit=_UNIT, prepare=False)
    assert not run.manifest.taken["draft"]
    assert run.manifest.taken["draft_moves"] > 0


def test_small_pictures_prove_nothing_of_large_ones(model: Model, photos: Path, tmp_path: Path) -> None:
    run = seewhy.run(model, photos, tmp_path / "out", unit=_UNIT, prepare=False)
    assert not run.manifest.taken["draft"]
    assert run.manifest.taken["draft_moves"] == 0


def test_results_open_elsewhere(model: Model, photos: Path, tmp_path: Path) -> None:
    (photos / "dog" / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    run = seewhy.run(model, photos, out, ["grad-cam", "saliency"], unit=_UNIT, prepare=False)
    rows = run.table().to_pylist()
    frame = pytest.importorskip("pandas") and run.to_pandas()
    assert frame.groupby("method")["score"].count().to_dict() == {"grad-cam": 11, "saliency": 11}
    duckdb = pytest.importorskip("duckdb")
    read = f"SELECT status, count(*) FROM read_parquet('{out}/index/*.parquet') GROUP BY status ORDER BY status"
    assert duckdb.sql(read).fetchall() == [("failed", 1), ("ok", 22)]
    pytest.importorskip("datasets")
    data = run.to_datasets()
    assert len(data) == len(rows) == 23
    for n, each in enumerate(data):
        if each["status"] == "failed":
            assert each["map"] is None
        else:
            np.testing.assert_array_equal(np.float32(each["map"]).reshape(each["shape"]), run.map(n))


@pytest.mark.slow
def test_two_at_once_do_no_harm(tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "photos", 40), tmp_path / "out"
    children = [
        subprocess.Popen([sys.executable, "-c", _CHILD, str(photos), str(place)])
        for place in (tmp_path / "alone", out, out)
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert _content(out) == _content(tmp_path / "alone")
    assert len(seewhy.open_run(out)) == 80


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="a small disk is made by root alone")
def test_a_full_disk(model: Model, photos: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        with pytest.raises(StoreError, match=r"cannot write '.*' in .*small/run: there is no room left"):
            seewhy.run(model, photos, small / "run", "saliency", unit=2, prepare=False, reduce="none")
        done = Units(LocalStore(small / "run"))
        assert all(map(done.sound, done.markers()))
        subprocess.run(["mount", "-o", "remount,size=4m", str(small)], check=True)
        run = seewhy.run(model, photos, small / "run", "saliency", unit=2, prepare=False, reduce="none")
        assert run.complete
        right = seewhy.run(model, photos, tmp_path / "right", "saliency", unit=2, prepare=False, reduce="none")
        assert len(right) == len(run)
        assert _content(small / "run") == _content(tmp_path / "right")
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_every_size_is_looked_at_in_each_unit(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first picture of a size says of a layer would else depend on which units a process has done before."""
    from seewhy.core.layers import choice

    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
        ).eval()
    model = seewhy.wrap(net, preprocess=seewhy.Preprocess((9, 9), None, "squash", (0.5,) * 3, (0.5,) * 3).as_is())
    proved, keep = list[tuple[int, ...]](), choice.Chooser.keep

    def counted(self: Any, size: tuple[int, ...], proofs: Any) -> None:
        proved.append(size)
        keep(self, size, proofs)

    monkeypatch.setattr(choice.Chooser, "keep", counted)
    whole = seewhy.run(model, photos, tmp_path / "whole", unit=_UNIT)
    assert whole.manifest.asked["prepare"] == "False"
    assert [row["size"] for row in whole.table(["size"]).to_pylist()] == [
        [20 + n, 24] for n in (0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8)
    ]
    at_first = len(proved)
    assert seewhy.run(model, photos, tmp_path / "part", unit=_UNIT, units=range(1, 2)).failed == 0
    assert len(proved) - at_first > 4  # those of the first pictures, and all of this unit
    assert set(_content(tmp_path / "part").items()) < set(_content(tmp_path / "whole").items())
    with pytest.raises(UsageError, match=r"pictures of many sizes go into this model"):
        seewhy.run(model, photos, tmp_path / "other", unit=_UNIT, prepare=True)


def test_pictures_that_come_meanwhile_change_no_run(
    model: Model, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two begin at once, and a picture comes between: whoever was first goes on with the pictures that it has listed."""
    from seewhy.runs.manifest import Manifest

    out, begin, late = tmp_path / "out", Manifest.begin, list[str]()

    def begun(self: Manifest, store: Any) -> Manifest:
        first = begin(self, store)
        if not late:
            late.append("00-new.png")
            Image.new("RGB", (9, 9)).save(photos / late[0])
            from seewhy.runs.listing import write_listing
            from seewhy.runs.sources import open_source

            write_listing(open_source(str(photos)), store)
        return first

    monkeypatch.setattr(Manifest, "begin", begun)
    run = seewhy.run(model, photos, out, unit=_UNIT, prepare=False)
    assert late
    assert "00-new.png" not in run.table(["path"]).column("path").to_pylist()
    assert len(run) == 11


def test_a_wrong_question_lists_nothing(model: Model, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no method 'gradcam'; nearest: 'grad-cam'"):
        seewhy.run(model, photos, tmp_path / "out", "gradcam")
    assert not (tmp_path / "out").exists()


def test_a_listing_that_is_gone_is_made_again(model: Model, photos: Path, tmp_path: Path) -> None:
    whole = seewhy.run(model, photos, tmp_path / "out", "saliency", unit=_UNIT, prepare=False)
    kept = _content(tmp_path / "out")
    (listing,) = (tmp_path / "out").glob("listing-*.parquet")
    listing.unlink()
    Units(whole.store).undo(1)
    assert seewhy.run(model, photos, tmp_path / "out", "saliency", unit=_UNIT, prepare=False).complete
    assert _content(tmp_path / "out") == kept
    assert listing.is_file()


def test_very_large_pictures_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    import seewhy.runs.reading as reading
    from seewhy.runs.sources import open_source

    monkeypatch.setattr(reading, "_LARGE", 1000)
    for n in range(8):
        Image.new("RGB", (50, 50) if n < 6 else (5, 5)).save(tmp_path / f"{n}.png")
    large, most, lock = 0, 0, threading.Lock()

    def opens(entry: Any, raw: Any) -> str:
        nonlocal large, most
        is_large = entry.name < "6"
        with lock:
            large += is_large
            most = max(most, large)
        time.sleep(0.01)
        with lock:
            large -= is_large
        return str(entry.name)

    source = open_source(tmp_path)
    read = list(reading.read_ahead(enumerate(source.entries()), source, opens, threads=4, ahead=8))
    assert [each.input for each in read] == [f"{n}.png" for n in range(8)]
    assert most == 1


def test_maps_that_are_not_what_was_written_are_no_maps(model: Model, photos: Path, tmp_path: Path) -> None:
    """A bit that has flipped makes another number, which looks like any other."""
    seewhy.run(model, photos, tmp_path / "out", "saliency", unit=_UNIT, prepare=False)
    file = sorted((tmp_path / "out" / "maps").iterdir())[1]
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    run = seewhy.open_run(tmp_path / "out")
    assert run[0].values.shape == (16, 16)
    with pytest.raises(StoreError, match=r"maps/000001-.* is damaged \(it is not what was written\)"):
        run.map(_UNIT)


def test_cards_are_kept_where_they_were_asked_for(model: Model, photos: Path, tmp_path: Path) -> None:
    made = seewhy.run(model, photos, tmp_path / "run", "grad-cam", trust=True, cache=False)
    levels = made.table(["trust", "trust_says"]).to_pylist()
    first = sorted(photos.rglob("*.png"))[0]
    own = seewhy.explain(model, first, "grad-cam", trust=True, cache=False).trust
    assert own is not None
    row = next(n for n in range(len(made)) if made.row(n)["path"] == first.relative_to(photos).as_posix())
    assert levels[row] == {"trust": own.level, "trust_says": own.sentence}
    assert {each["trust"] for each in levels} <= {"green", "amber", "red"}
    plain = seewhy.run(model, photos, tmp_path / "plain", "grad-cam")
    assert {each["trust"] for each in plain.table(["trust"]).to_pylist()} == {None}
    assert [plain.row(n)["score"] for n in range(3)] == [made.row(n)["score"] for n in range(3)]
