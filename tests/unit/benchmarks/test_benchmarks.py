"""``python -m benchmarks`` without its networks: ratios, verdicts, tables, JSON and back, the plot, tiny tasks."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks import __main__ as program
from benchmarks import starting, tasks
from benchmarks.networks import NETWORKS, Subject, photos
from benchmarks.plot import bars, draw
from benchmarks.rows import Demand, Reading, Report, Row, merged, read, write
from benchmarks.table import BEGIN, END, markdown, put, summary, verdict
from PIL import Image
from torch import nn

import seewhy
from seewhy.api.bench.measures import Measure
from seewhy.api.bench.racing import Lap
from seewhy.registry import methods as registry

EXACT = Measure("max", 1e-3)


def _laps(ours: float = 1.0, **theirs: float) -> tuple[Lap, ...]:
    mine = (Lap("seewhy", seconds=(9.0, ours, ours), difference=0.0, agrees=True),)
    return mine + tuple(Lap(name, seconds=(seconds,), difference=1e-5, agrees=True) for name, seconds in theirs.items())


def _row(*laps: Lap, demands: tuple[Demand, ...] = (), **given: Any) -> Row:
    given = {"task": "grad-cam", "network": "resnet50", "batch": 1, "measure": EXACT} | given
    return Row(**given, laps=laps, demands=demands)


def test_a_ratio_is_the_fastest_librarys_time_over_ours() -> None:
    row = _row(*_laps(2.0, captum=3.0, torchcam=5.0))
    assert row.ratio(Demand(1.3)) == 1.5
    assert row.ratio(Demand(1.3, "torchcam")) == 2.5
    assert row.ratio(Demand(1.3, "zennit")) is None
    assert (row.met(Demand(1.5)), row.met(Demand(1.51)), row.met(Demand(1, "zennit"))) == (True, False, None)


def test_ours_is_the_prepared_one_where_there_is_one() -> None:
    prepared = Lap("seewhy", "prepared", seconds=(1.0,), agrees=True)
    row = _row(*_laps(2.0, captum=3.0), prepared, Lap("captum", "prepared", seconds=(1.5,), agrees=True))
    assert row.ratio(Demand(1.3)) == 3
    assert row.ratio(Demand(1.3, ours="eager")) == 1.5
    assert row.ratio(Demand(1.3, on="prepared")) == 1.5


def test_a_price_is_ours_over_the_rivals() -> None:
    hand = Lap("by hand", seconds=(4.0,), agrees=True, counted=False)
    row = _row(*_laps(5.0), hand)
    price = Demand(1.3, "by hand", most=True, ours="eager")
    assert (row.ratio(price), row.met(price)) == (1.25, True)
    assert row.met(Demand(1.2, "by hand", most=True)) is False
    assert row.ratio(Demand(1.3)) is None  # it is no library


def test_verdicts_never_hide_what_falls_short() -> None:
    row = _row(*_laps(2.0, captum=3.0))
    assert verdict(row, Demand(1.3)) == "1.50x captum, at least 1.3x"
    assert verdict(row, Demand(2)) == "**1.50x captum, short of 2x**"
    assert verdict(row, Demand(2, "zennit")) == "no zennit"
    hand = _row(*_laps(4.0), Lap("by hand", seconds=(2.0,), counted=False, agrees=True))
    assert verdict(hand, Demand(1.3, "by hand", most=True)) == "**2.00x by hand, over 1.3x**"
    assert verdict(hand, Demand(3, "by hand", most=True)) == "2.00x by hand, within 3x"
    wrong = _row(*_laps(1.0), Lap("captum", seconds=(2.0,), difference=0.5, agrees=False))
    assert verdict(wrong, Demand(1.3)) == "2.00x captum, whose result differs, at least 1.3x"
    assert summary(row) == "seewhy 2000 ms; 1.50x captum"  # nothing is demanded


def test_the_table_names_who_is_wrong_who_failed_and_who_is_missing() -> None:
    laps = (
        *_laps(0.05, captum=0.1),
        Lap("seewhy", "prepared", seconds=(0.02,), difference=0.2, agrees=False),
        Lap("zennit", seconds=(0.2,), difference=math.nan, agrees=False),
        Lap("torchcam", failure="KeyError: hook"),
        Lap("captum", "prepared", "n=8", seconds=(0.5,), difference=0.0, agrees=True),
    )
    report = Report(
        {"Versions": "torch 9"},
        [_row(*laps, demands=(Demand(1.3),), words="pytorch-grad-cam: not installed"),
         _row(network="vgg16", words="skipped: no such thing")],
        [Reading("peak memory", "RISE", 2000.0, "MiB", 1024.0), Reading("peak memory", "IG", 10.0, "MiB", 1024.0),
         Reading("peak memory", "else", 1.0, "MiB")],
    )  # fmt: skip
    text = markdown(report)
    assert "Versions: torch 9" in text
    assert "| resnet50 | 1 | 50.0 / 20.0&ast; | 100 / 500 | 200&ast; | failed | 5.00x captum, at least 1.3x |" in text
    assert "- resnet50, batch 1: seewhy on the prepared model differs (0.2)" in text
    assert "- resnet50, batch 1: zennit differs: another shape, or not finite" in text
    assert "- resnet50, batch 1: torchcam failed: KeyError: hook" in text
    assert "- pytorch-grad-cam: not installed" in text
    assert "skipped: no such thing" in text
    assert "| RISE | 2000 MiB | 1024 MiB | **over 1024 MiB** |" in text
    assert "| IG | 10 MiB | 1024 MiB | met |" in text
    assert "| else | 1 MiB |  |  |" in text


def test_every_line_of_a_table_has_as_many_cells() -> None:
    report = Report({}, [_row(*_laps(1, captum=2), demands=(Demand(1),)), _row(network="vgg16", words="skipped")])
    rows = [line for line in markdown(report).splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert len({line.count("|") for line in rows}) == 1


def test_json_and_back(tmp_path: Path) -> None:
    rows = [_row(*_laps(1.5, captum=2.5), Lap("x", failure="no"), demands=(Demand(1.3), Demand(4, "y", most=True)))]
    report = Report({"Day": "1"}, rows, [Reading("a", "b", 1.5, "ms", None)])
    write(report, tmp_path / "r.json")
    assert read(tmp_path / "r.json") == report
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
    (tmp_path / "other.json").write_text('{"rows": [{"task": 1}]}')
    with pytest.raises(ValueError, match=r"other.json is no report of python -m benchmarks --json"):
        read(tmp_path / "other.json")


def test_partial_runs_are_put_together_and_the_last_counts() -> None:
    old = Report({"Day": "1", "Machine": "m"}, [_row(*_laps(1)), _row(*_laps(2), batch=8)], [Reading("a", "b", 1, "s")])
    new = Report({"Day": "2", "Machine": "m"}, [_row(*_laps(7)), _row(task="else")], [Reading("a", "b", 3, "s")])
    found = merged([old, new])
    assert found.facts == {"Day": "1; 2", "Machine": "m"}
    assert [(row.task, row.batch) for row in found.rows] == [("grad-cam", 1), ("grad-cam", 8), ("else", 1)]
    assert [row.laps[0].median for row in found.rows[:2]] == [7, 2]
    assert [each.value for each in found.readings] == [3]
    assert merged([found, new]).facts == found.facts


def test_tables_go_between_the_marks_of_a_document(tmp_path: Path) -> None:
    document = tmp_path / "doc.md"
    document.write_text(f"# before\n{BEGIN}\nold\n{END}\nafter\n")
    put("new", document)
    put("newer", document)
    assert document.read_text() == f"# before\n{BEGIN}\n\nnewer\n{END}\nafter\n"
    put("alone", tmp_path / "fresh.md")
    assert (tmp_path / "fresh.md").read_text() == "alone"


def test_the_document_has_the_marks() -> None:
    text = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)


def test_a_table_is_rebuilt_without_running_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "run", lambda *given, **named: pytest.fail("nothing is to be run"))
    write(Report({}, [_row(*_laps(1, captum=2), demands=(Demand(1.3),))]), tmp_path / "a.json")
    write(Report({}, [_row(*_laps(1, captum=9), network="vgg16")]), tmp_path / "b.json")
    program.main([f"--from={tmp_path / 'a.json'}", f"--from={tmp_path / 'b.json'}", f"--json={tmp_path / 'c.json'}"])
    assert "2.00x captum, at least 1.3x" in capsys.readouterr().out
    assert [row.network for row in read(tmp_path / "c.json").rows] == ["resnet50", "vgg16"]


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--seconds", "-1"], ["--from", "no.json"], ["--task", "x"]])
def test_words_that_cannot_be_meant(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        program.main(words)
    assert words[0] in capsys.readouterr().err or words[0] == "--from"


def test_bars_are_of_libraries_on_the_eager_model() -> None:
    laps = (
        *_laps(2.0, captum=3.0),
        Lap("captum", "prepared", seconds=(1.0,), agrees=True),
        Lap("by hand", seconds=(1.0,), agrees=True, counted=False),
        Lap("zennit", seconds=(1.0,), agrees=False, difference=1.0),
        Lap("torchcam", failure="no"),
    )
    assert bars(_row(*laps)) == [("captum", 1.5, True), ("zennit", 0.5, False)]
    assert bars(_row()) == []


def test_the_plot_shows_slower_and_faster_alike(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    row = _row(*_laps(1.0, captum=40.0, zennit=0.6), demands=(Demand(2.0),))
    draw(Report({}, [row]), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as file:
        pixels = np.asarray(file.convert("RGB")).astype(int)
    assert pixels.shape[1] == pytest.approx(8.3 * 150, abs=2)
    right, left = (np.abs(pixels - colour).sum(2) < 12 for colour in ((0xC0, 0x50, 0x4D), (0x80, 0x64, 0xA2)))
    columns = [np.flatnonzero(each[: len(each) * 3 // 4].any(0)) for each in (right, left)]
    assert columns[1].max() <= columns[0].min() + 3  # on either side of the line at 1x
    assert len(columns[0]) > 4 * len(columns[1])


def test_starting_takes_medians_of_what_each_process_says_of_its_import() -> None:
    started = list[str]()

    def start(argv: list[str], folder: Path) -> starting.Started:
        assert (folder / "photo.png").is_file()
        first = argv[-1] not in started  # finds no file in the system's cache
        started.append(argv[-1])
        if first:
            return starting.Started("9\n", 9.0, 1e12)
        said = f"{0.25 if 'explain' in argv[-1] else 0.05}\n"
        return starting.Started(said, 0.7, 7e8) if "explain" in argv else starting.Started(said, 0.4, 4e8)

    found = {each.case: each for each in starting.readings(1, start=start)}
    assert [round(each.value, 3) for each in found.values()] == [1.75, 700, 700, 400, 400, 50, 250, 400, 400, 400]
    assert [each.met for each in found.values()] == [False, None, False, None, None, True, None, False, False, False]


def test_starting_measures_a_process_and_says_what_one_that_fails_said(tmp_path: Path) -> None:
    block = starting._start([sys.executable, "-c", "print(len(b'x' * 200_000_000))"], tmp_path)
    assert block.said == "200000000\n"
    assert block.peak > 200_000_000 > starting._start([sys.executable, "-c", ""], tmp_path).peak
    with pytest.raises(RuntimeError, match="no such thing"):
        starting._start([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path)


def test_photos_are_reproducible_and_no_two_alike() -> None:
    x = photos(3, 32)
    assert x.shape == (3, 3, 32, 32)
    assert torch.equal(x, photos(3, 32))
    assert not torch.equal(x[0], x[2])


def test_every_task_asks_for_what_there_is() -> None:
    for task in tasks.TASKS.values():
        assert set(task.ratios) <= set(NETWORKS)
        assert task.method == "" or task.method in registry
        own = set(task.settings) - {"fill", "baseline"}
        assert not task.method or own <= set(registry[task.method].parameters)
    assert len(tasks.TWELVE) == 12
    assert set(tasks.TWELVE) <= registry.keys()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Subject:
    """A network of milliseconds, photos of a few pixels, and no library."""
    for name in ("captum.attr", "pytorch_grad_cam", "torchcam.methods", "zennit.attribution"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(tasks, "photos", lambda batch: photos(batch, 24))
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        body = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
        net = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7)).eval()
    return Subject("resnet50", seewhy.wrap(net), "0")


@pytest.mark.parametrize("fixture", ["no_step_pays", "steps_pay"])
@pytest.mark.parametrize("name", ["grad-cam", "saliency", "twelve-methods", "ablation-cam"])
def test_tasks_run(name: str, fixture: str, tiny: Subject, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(fixture)
    task = tasks.TASKS[name]
    said: list[str] = []
    rows = list(tasks.run(task, tiny, rounds=1, seconds=None, say=said.append))
    assert [row.batch for row in rows] == list(task.batches)
    assert all(lap.agrees and lap.seconds for row in rows for lap in row.laps)
    assert all(row.demands == task.demanded("resnet50") for row in rows)
    others = {"saliency": [tasks.BY_HAND], "twelve-methods": [tasks.HAND]}
    kinds = ["eager", "prepared"] if fixture == "steps_pay" else ["eager"]
    for row in rows:
        laps = [(lap.name, lap.on) for lap in row.laps]
        assert laps == [(who, on) for who in ("seewhy", *others.get(name, [])) for on in kinds]
        assert ("not prepared" in row.words) is (fixture == "no_step_pays")
        assert name == "twelve-methods" or "not installed" in row.words
    called = ", ".join(who if on == "eager" else f"{who} on {on}" for who, on in laps)
    assert said == [f"{len(laps)} contestants: {called}"] * len(rows)


def test_a_parameter_that_there_is_not_skips_its_task(tiny: Subject) -> None:
    task = tasks.Task("later", "score-cam", {"resnet50": 2.0}, EXACT, own={"no_such_budget": 3})
    (row,) = tasks.run(task, tiny, rounds=1, seconds=None)
    assert row.laps == ()
    assert row.words == "skipped: score-cam has no parameter no_such_budget in this version"
    assert row.met(row.demands[0]) is None
