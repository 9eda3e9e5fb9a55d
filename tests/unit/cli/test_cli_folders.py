"""Many photos: folders, patterns and films, the contact sheet, and runs that go on where an earlier one ended."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seewhy.cli import console
from seewhy.models.films import Film

QUICK = ("-M", "saliency")


def pixels(seed: int) -> np.ndarray:
    """A photo with another pattern for each seed."""
    y, x = np.mgrid[0:16, 0:20]
    return np.stack([12 * x, 15 * y, 128 + 100 * np.sin((x + 2 * y + seed) / 3)], axis=2).astype(np.uint8)


@pytest.fixture
def photos(work: Path) -> Path:
    """A folder of photos, one of them in a sub-folder, and what nobody means."""
    folder = work / "photos"
    for name in ("b.png", "a.jpg", "in/c.png", ".hidden/x.png", "__MACOSX/y.png", "._a.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(len(name))).save(folder / name)
    (folder / "notes.txt").write_text("no photo")
    return folder


def named(said: Any) -> list[str]:
    return [Path(image["image"]).as_posix() for image in said.document["images"]]


def written(folder: str = "seewhy-out") -> set[str]:
    return {
        name
        for name in (path.name for path in Path(folder).iterdir())
        if not name.startswith(".") and name.endswith(".png")
    }


def test_a_folder_is_all_photos_in_it_but_what_is_hidden(say: Any, photos: Path) -> None:
    said = say("explain", "photos", *QUICK, "--json")
    assert said.code == 0, said.err
    assert named(said) == ["photos/a.jpg", "photos/b.png", "photos/in/c.png"]


def test_patterns_and_photos_named_twice(say: Any, photos: Path) -> None:
    said = say("explain", "photos/b.png", "photos/*.jpg", "photos/b.png", "photos/**/*.png", *QUICK, "--json")
    assert named(said) == ["photos/b.png", "photos/a.jpg", "photos/b.png", "photos/in/c.png"], (
        "a pattern adds what was not there; who names a photo twice gets it twice"
    )
    (photos / "empty").mkdir()
    for word in ("photos/*.webp", "photos/empty"):
        said = say("explain", word, *QUICK, "--quiet")
        assert (said.code, said.complaint) == (4, f"cannot read {word!r}: it names no photo, nor a folder of photos")
    said = say("explain", "photos/empty", "photos", *QUICK, "--json")
    assert (said.code, len(named(said))) == (1, 3)


def test_results_within_a_folder_are_no_photos_of_it(say: Any, photos: Path) -> None:
    names = ["photos/a.jpg", "photos/b.png", "photos/in/c.png"]
    for word in ("photos", "photos", "photos/**/*.*g"):
        assert sorted(named(say("explain", word, *QUICK, "--out", "photos/maps", "--json"))) == names
    assert len(named(say("explain", "photos/maps/a*.png", *QUICK, "--out", "photos/maps", "--json"))) == 1, "if named"


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(say: Any, work: Path) -> None:
    (work / "a[1].png").write_bytes((work / "a.png").read_bytes())
    assert named(say("explain", "a[1].png", "a[1].png", *QUICK, "--json")) == ["a[1].png"] * 2


def test_several_photos_come_with_a_contact_sheet(say: Any, photos: Path) -> None:
    said = say("explain", "photos", *QUICK, "-M", "grad-cam", "--json")
    (sheet,) = said.document["contact"]
    with Image.open(sheet) as page, Image.open(said.document["images"][0]["explanations"][0]["files"][0]) as one:
        assert page.width > page.height / 2 > 0
        assert one.size != page.size
        assert np.asarray(page).std() > 10
    assert "contact sheet: " in say("explain", "photos", *QUICK, "--force").err
    assert say("explain", "a.png", *QUICK, "--json").document["contact"] == []
    assert say("compare", "photos", *QUICK, "-M", "grad-cam", "--json").document["contact"]


def test_a_second_run_replaces_its_own_files_and_no_others(say: Any, photos: Path) -> None:
    say("explain", "photos", *QUICK)
    first = written()
    assert len(first) == 4
    say("explain", "photos", *QUICK)
    assert written() == first, "the same question of the same photos"
    mine = Path("seewhy-out") / next(name for name in first if name.startswith("a_"))
    mine.write_bytes(b"drawn over")
    say("explain", "photos", *QUICK)
    assert mine.read_bytes() == b"drawn over", "what somebody has changed is theirs"
    assert written() > first
    for name in written():
        (Path("seewhy-out") / name).unlink()
    say("explain", "photos", *QUICK)
    assert written() == first
    say("explain", "photos", *QUICK, "--reduce", "sum")
    assert len(written()) == 8, "another question"
    Image.fromarray(pixels(99)).save(photos / "b.png")
    say("explain", "photos", *QUICK)
    assert any(name.startswith("b_") and name.endswith("-3.png") for name in written()), "another photo"


def test_what_is_there_is_kept_if_that_is_asked_for(say: Any, photos: Path) -> None:
    whole = say("explain", "photos", *QUICK, "--json")
    times = {name: Path(f"seewhy-out/{name}").stat().st_mtime_ns for name in written()}
    again = say("explain", "photos", *QUICK, "--skip-existing", "--json")
    assert [image.pop("skipped") for image in again.document["images"]] == [True] * 3
    assert [image["image"] for image in again.document["images"]] == named(whole)
    assert again.document["cost"]["forwards"] == 0
    for image, kept in zip(whole.document["images"], again.document["images"], strict=True):
        assert kept["prediction"] == image["prediction"]
        assert kept["explanations"] == json.loads(json.dumps(image["explanations"]))
    kept_times = {name: Path(f"seewhy-out/{name}").stat().st_mtime_ns for name in written() if "contact" not in name}
    assert kept_times.items() <= times.items()
    victim = whole.document["images"][1]["explanations"][0]["files"][0]
    Path(victim).unlink()
    third = say("explain", "photos", *QUICK, "--skip-existing", "--json")
    assert [image.get("skipped", False) for image in third.document["images"]] == [True, False, True]
    assert Path(victim).is_file()
    assert "photos/a.jpg: done before, kept" in say("explain", "photos", *QUICK, "--skip-existing").out


@pytest.mark.parametrize("changed", ["model", "question", "picture", "photo"])
def test_nothing_is_kept_of_another_question(say: Any, photos: Path, changed: str) -> None:
    say("explain", "photos", *QUICK)
    more: dict[str, tuple[str, ...]] = {"question": ("--target", "hen"), "picture": ("--cmap", "gray")}
    if changed == "photo":
        Image.fromarray(pixels(50)).save(photos / "a.jpg")
    said = say(
        "explain", "photos", *QUICK, *more.get(changed, ()), "--skip-existing", "--json",
        model="nameless" if changed == "model" else "labelled",
    )  # fmt: skip
    kept = [image.get("skipped", False) for image in said.document["images"]]
    assert kept == ([False, True, True] if changed == "photo" else [False] * 3)


def interrupt_the_second(patch: pytest.MonkeyPatch) -> None:
    """Have the second photo that is explained from now on be interrupted."""
    import seewhy.api.explaining as explaining

    run_plan, done = explaining.run_plan, []

    def second_is_interrupted(*given: Any, **named: Any) -> Any:
        done.append(given)
        if len(done) == 2:
            raise KeyboardInterrupt
        return run_plan(*given, **named)

    patch.setattr(explaining, "run_plan", second_is_interrupted)


@pytest.mark.parametrize("again", [(), ("--skip-existing",)])
def test_a_run_that_was_interrupted_goes_on_where_it_ended(
    say: Any, photos: Path, monkeypatch: pytest.MonkeyPatch, again: tuple[str, ...]
) -> None:
    interrupt_the_second(monkeypatch)
    said = say("explain", "photos", *QUICK)
    assert said.code == 130
    assert "contact sheet: " in said.err
    first = written()
    said = say("explain", "photos", *QUICK, *again, "--json")
    assert said.code == 0
    assert "1 of 3 photos were done when an earlier run ended; --force has all anew" in said.err
    assert [image.get("skipped", False) for image in said.document["images"]] == [True, False, False]
    assert written() > first - {"contact.png"}
    assert sum("contact" in name for name in written()) == 1


@pytest.mark.parametrize("kind", ["finished", "other photos", "another question", "forced"])
def test_what_did_not_end_is_another_lot_or_question(
    say: Any, photos: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Only the same words about the same photos go on; what has come to its end is made anew."""
    with monkeypatch.context() as patched:
        interrupt_the_second(patched)
        assert say("explain", "photos", *QUICK).code == 130
    words = {"other photos": ("photos/a.jpg", "photos/b.png"), "another question": ("photos", "--target", "hen")}
    if kind == "finished":
        assert say("explain", "photos", *QUICK).code == 0
    more = ("--force",) if kind == "forced" else ()
    said = say("explain", *words.get(kind, ("photos",)), *QUICK, *more, "--json")
    assert said.code == 0
    assert not any(image.get("skipped") for image in said.document["images"])
    if kind == "other photos":  # the lot that was ended waits on
        assert say("explain", "photos", *QUICK, "--json").document["images"][0]["skipped"]


def test_attacks_go_on_where_they_ended(say: Any, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import seewhy.api.attacking as attacking

    quick = ("--method", "fgsm", "--maps", "saliency")
    whole = say("attack", "photos", *quick, "--out", "whole", "--json")
    assert whole.code == 0, whole.err
    assert [Path(page).name for page in whole.document["contact"]] == ["contact.png"]
    attack_items, done = attacking.attack_items, []

    def second_is_interrupted(*given: Any, **named: Any) -> Any:
        done.append(given)
        if len(done) == 2:
            raise KeyboardInterrupt
        return attack_items(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(attacking, "attack_items", second_is_interrupted)
        assert say("attack", "photos", *quick).code == 130
    said = say("attack", "photos", *quick, "--json")
    assert [image.get("skipped", False) for image in said.document["images"]] == [True, False, False]
    names = {path.name for path in Path("whole").iterdir()} - {".seewhy"}
    assert {path.name for path in Path("seewhy-out").iterdir()} - {".seewhy"} == names
    for name in names - {"contact.png"}:
        assert Path("whole", name).read_bytes() == Path("seewhy-out", name).read_bytes()
    assert "--table tells of a data set" in say("attack", "photos", "--table", "x.csv").complaint


@pytest.mark.parametrize("again", [(), ("--skip-existing",)])
def test_pages_of_a_sheet_keep_their_order_however_often_they_are_written(
    say: Any, photos: Path, monkeypatch: pytest.MonkeyPatch, again: tuple[str, ...]
) -> None:
    from seewhy.reports import contact

    monkeypatch.setattr(contact, "_HIGH", 10)  # a page for each line of strips
    monkeypatch.setattr(contact, "_WIDE", 10)

    def sheets() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in Path("seewhy-out").glob("contact*")}

    said = say("explain", "photos", *QUICK, "--json")
    first = said.document["contact"]
    assert [Path(page).name for page in first] == ["contact.png", "contact-2.png", "contact-3.png"]
    pages = sheets()
    assert len(set(pages.values())) == 3
    assert say("explain", "photos", *QUICK, *again, "--json").document["contact"] == first
    assert sheets() == pages

    with monkeypatch.context() as patched:
        interrupt_the_second(patched)
        assert say("explain", "photos", *QUICK, "--json").code == 130
    assert say("explain", "photos", *QUICK, *again, "--json").document["contact"] == first
    assert sheets() == pages
    say("explain", "photos/a.jpg", *QUICK)
    assert sheets() == pages, "a photo alone has no sheet"
    fewer = say("explain", *named(said)[:2], *QUICK, "--json").document["contact"]
    assert len(sheets()) == len(fewer) == 2, "pages that are left show what is no longer so"


def test_lines_of_a_record_that_mean_nothing_are_passed_over(say: Any, photos: Path) -> None:
    say("explain", "photos", *QUICK)
    record = Path("seewhy-out/.seewhy/record.jsonl")
    lines = record.read_text().splitlines()
    entry = json.loads(lines[0])
    (outside := Path("outside.png")).write_bytes(b"mine")
    status = outside.stat()
    hostile = {**entry, "files": {"../outside.png": [status.st_size, status.st_mtime_ns]}}
    record.write_text("\n".join(["{", "[]", "3", '{"stamp": 1}', *lines, json.dumps(hostile)]) + "\n")
    said = say("explain", "photos", *QUICK, "--json")
    assert said.code == 0
    assert outside.read_bytes() == b"mine"


def test_frames_of_a_film(say: Any, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    av = pytest.importorskip("av")
    with av.open(str(work / "clip.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * n, dtype=np.uint8), format="rgb24")
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    said = say("explain", "clip.mp4", "--frames", "3", *QUICK, "--format", "npz", "--json")
    assert named(said) == ["clip.mp4#2", "clip.mp4#6", "clip.mp4#10"]
    for image, n in zip(said.document["images"], (2, 6, 10), strict=True):
        (file,) = image["explanations"][0]["files"]
        seen = np.load(file)["image"]
        assert abs(float(seen.mean()) - 20 * n) < 6
    closed: list[str] = []
    monkeypatch.setattr(Film, "close", lambda self: closed.append(self.word))
    assert len(named(say("explain", "clip.mp4", "--frames", "99", *QUICK, "--json"))) == 12
    assert closed == ["clip.mp4"]
    assert "--frames 0" in say("explain", "clip.mp4", "--frames", "0", *QUICK).complaint
    (work / "broken.mp4").write_bytes(b"no film")
    assert "cannot read the film 'broken.mp4'" in say("explain", "broken.mp4", *QUICK, "--quiet").complaint


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_frames_of_an_animated_picture(say: Any, work: Path, kind: str) -> None:
    """Those of their numbers where some are asked for; else the first, which is said."""
    frames = [Image.new("RGB", (64, 48), (20 * n, 20 * n, 20 * n)) for n in range(12)]
    frames[0].save(
        work / f"clip.{kind}", save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "webp" else {})
    )
    said = say("explain", f"clip.{kind}", "--frames", "3", *QUICK, "--format", "npz", "--json")
    assert named(said) == [f"clip.{kind}#{n}" for n in (2, 6, 10)]
    for image, n in zip(said.document["images"], (2, 6, 10), strict=True):
        (file,) = image["explanations"][0]["files"]
        assert abs(float(np.load(file)["image"].mean()) - 20 * n) < 6
    alone = say("explain", f"clip.{kind}", *QUICK, "--json")
    assert named(alone) == [f"clip.{kind}"]
    assert "12 frames: the first is explained" in alone.out
    frames[0].save(work / f"still.{kind}")
    assert named(say("explain", f"still.{kind}", "--frames", "3", *QUICK, "--json")) == [f"still.{kind}"]


def test_without_a_terminal_progress_is_plain_lines(say: Any, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "EVERY", 0.0)
    said = say("explain", "photos", *QUICK, "--json")
    assert "seewhy: photos: 1 of 3 after " in said.err
    assert "\r" not in said.err
    assert "\x1b" not in said.err
    assert say("explain", "photos", *QUICK, "--json", "--quiet").err == ""


def test_a_photo_that_was_interrupted_half_way_leaves_no_second_copy(
    say: Any, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import seewhy.api.explaining as explaining

    run_plan, done = explaining.run_plan, []

    def half_way(*given: Any, **named: Any) -> Any:
        done.append(given)
        whole = run_plan(*given, **named)
        return type(whole)(whole[:1], cost=whole.cost, interrupted=True) if len(done) == 2 else whole

    monkeypatch.setattr(explaining, "run_plan", half_way)
    two = ("-M", "saliency", "-M", "grad-cam")
    assert say("explain", "photos", *two).code == 130
    assert say("explain", "photos", *two, "--skip-existing").code == 0
    assert not [name for name in written() if name.endswith("-2.png")]
    assert len(written()) == 7


def test_a_photo_that_was_interrupted_while_its_files_were_written_leaves_no_second_copy(
    say: Any, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import seewhy.explanation.result as result

    write, done = result.write, []

    def stops(*given: Any, **named: Any) -> Any:
        done.append(given)
        if len(done) == 4:  # the second map of the second photo
            raise KeyboardInterrupt
        return write(*given, **named)

    monkeypatch.setattr(result, "write", stops)
    two = ("-M", "saliency", "-M", "grad-cam")
    assert say("explain", "photos", *two).code == 130
    assert len(done) == 4
    assert len([name for name in written() if name.startswith("b_")]) == 1
    assert say("explain", "photos", *two, "--skip-existing").code == 0
    assert not [name for name in written() if name.endswith("-2.png")]
    assert len(written()) == 7


def test_a_name_that_is_no_text_stops_nothing(say: Any, photos: Path) -> None:
    odd = photos / os.fsdecode(b"bad\xff.png")
    try:
        Image.fromarray(pixels(3)).save(odd)
    except OSError:
        pytest.skip("this file system takes no such name")
    said = say("explain", "photos", *QUICK, "--json")
    assert said.code == 0, said.err
    assert len(said.document["images"]) == 4
    again = say("explain", "photos", *QUICK, "--skip-existing", "--json")
    assert [image["skipped"] for image in again.document["images"]] == [True] * 4
