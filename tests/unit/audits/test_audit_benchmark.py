"""The benchmark of audits: what it counts, by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.audit import repaired
from benchmarks.audit.command import Case, carried_out
from benchmarks.audit.folders import by_class, read_folder, read_masks
from benchmarks.audit.planted import Design, made
from benchmarks.audit.repairs import repaired_designs
from benchmarks.audit.rows import same
from benchmarks.audit.table import auc, table
from benchmarks.audit.training import fit, inputs, seeded, standing, untrained
from PIL import Image


def _region(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    found = np.zeros((32, 32), dtype=bool)
    found[top:bottom, left:right] = True
    return found


def test_a_region_is_that_of_a_cue_or_not() -> None:
    """Most of the smaller one in the other, and no more than four times as large."""
    planted = _region(0, 0, 5, 5)
    assert same(_region(0, 0, 8, 8), planted)
    assert same(_region(0, 0, 4, 5), planted)
    assert not same(_region(10, 10, 18, 18), planted)
    assert not same(_region(0, 0, 32, 32), planted)
    ring = ~_region(3, 3, 29, 29)
    assert same(ring, ~_region(2, 2, 30, 30))
    assert not same(_region(0, 0, 8, 8), ring)
    assert not same(_region(0, 0, 8, 8), np.zeros((32, 32), dtype=bool))


def test_auc_is_that_of_scikit_learn() -> None:
    """With ties by half."""
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(0)
    one, other = draw.integers(0, 6, 40) / 5, draw.integers(0, 4, 60) / 5
    labels = [1] * 40 + [0] * 60
    assert auc(list(one), list(other)) == pytest.approx(metrics.roc_auc_score(labels, [*one, *other]))
    assert np.isnan(auc([], [1.0]))


def _row(cue: str | None, drop: float, strengths: list[float], said: list[bool], named: bool) -> dict[str, Any]:
    classes = [
        {"class": k, "strength": s, "verdict": v, "said": "corner" if v else None, "named": named if v else None}
        for k, (s, v) in enumerate(zip(strengths, said, strict=True))
    ]
    plain = [{"class": k, "strength": s / 2, "named": False} for k, s in enumerate(strengths)]
    return {
        "data": "cifar", "cue": cue, "share": 0.9, "moving": False, "masks": False, "biased": 1 if cue else -1,
        "drop": drop, "classes": classes, "without tests": {"mean map": plain, "clusters": plain},
    }  # fmt: skip


def test_the_table_counts_what_it_says() -> None:
    """Cues that change accuracy by five points are positives, clean classes negatives; planted ones that do not count
    are in the list alone."""
    rows = [
        _row("patch", 30, [0.0, 0.6], [False, True], True),
        _row("border", 20, [0.0, 0.3], [False, True], False),
        _row("cast", 2, [0.0, 0.0], [False, False], False),
        _row(None, 0, [0.0, 0.4], [False, True], False),
    ]
    lines = table(rows).splitlines()
    assert lines[2].startswith("| audit, no masks | 2 | 2 | 0.750 (")
    assert "| 50 % of 2 (" in lines[2]
    assert "| 100 % of 2 (" in lines[2]
    assert lines[2].rstrip().endswith("| 50 % of 2 (9 to 91 %) |")
    assert lines[3].startswith("| mean map, no tests | 2 | 2 | 0.750 (")
    assert sum(line.startswith(("| patch", "| border", "| cast")) for line in lines) == 3


def test_every_cue_is_repaired_with_every_share() -> None:
    """Once each, half of them of each kind of data."""
    chosen = repaired_designs()
    cells = {(each.cue, each.share) for each in chosen}
    assert len(cells) == len(chosen) == 18
    for share in (0.75, 0.9, 1.0):
        assert sum(each.data == "cifar" for each in chosen if each.share == share) == 3
    assert {each.cue for each in chosen if each.moving} == {"patch", "object"}


def _repair(
    share: float, chosen: str, before: dict[str, float], after: dict[str, float], drop: float
) -> dict[str, Any]:
    best = {"class, cue": 80.0, "class, none": 80.0, "others, cue": 80.0, "others, none": 80.0}
    standings = {"before": before, "unbiased": best} | ({chosen: after} if chosen else {})
    return {
        "design": "d", "data": "cifar", "cue": "patch", "share": share, "found": ["corner"] * bool(chosen),
        "chosen": chosen, "standing": standings, "drop": {"before": 40.0, "unbiased": 0.0, chosen: drop},
        "seconds": {chosen: 12.0, "unbiased": 60.0},
    }  # fmt: skip


def test_the_table_of_repairs_is_of_the_worst_group() -> None:
    """Its gain as a share of what unbiased data gain, what the others lose, what is left of the effect."""
    before = {"class, cue": 90.0, "class, none": 30.0, "others, cue": 50.0, "others, none": 82.0}
    after = {"class, cue": 80.0, "class, none": 70.0, "others, cue": 65.0, "others, none": 81.0}
    rows = [_repair(0.75, "head", before, after, 10.0), _repair(0.9, "", before, after, 0.0)]
    assert repaired.gain(rows[0], "head") == pytest.approx(0.7)
    lines = repaired.table(rows).splitlines()
    assert lines[0] == "75 and 90 %: 2 networks, of which the audit found a shortcut in 1."
    for line in lines[4:6]:  # what was chosen, and the way that it was
        assert [cell.strip() for cell in line.split("|")[2:-1]] == [
            "1", "30 (30 to 30)", "65 (65 to 65)", "70 % (70 to 70)", "-1 (-1 to -1)", "75 % (75 to 75)", "12",
        ]  # fmt: skip
    assert "| patch | cifar | 75% | corner | head | 30 | 70 | 50 | 65 | 80 and 80 |" in lines
    assert "| patch | cifar | 90% | - | - | 30 | - | 50 | - | 80 and 80 |" in lines


def test_pictures_and_masks_come_back_from_folders(tmp_path: Path) -> None:
    """In one order, each mask with its picture."""
    split = made(Design("scenes", "patch", 0.9, False, 3), sizes=(24, 12, 12)).train
    train = by_class(split, tmp_path / "train")
    number = int(np.flatnonzero(split.labels == split.labels[0])[0])
    name = f"c{split.labels[number]}/train-{number}.png"
    (tmp_path / "out").mkdir()
    Image.fromarray(np.full(split.images.shape[1:3], 255, np.uint8)).save(tmp_path / "out" / "m.png")
    (tmp_path / "out" / "masks.csv").write_text(f"file,class,mask\n{name},x,m.png\n")
    x, y, masks = read_masks(train, tmp_path / "out")
    again, labels = read_folder(train)
    assert torch.equal(x, again) and torch.equal(y, labels)  # noqa: PT018
    (row,) = masks.flatten(1).any(1).nonzero().flatten().tolist()
    assert torch.equal(x[row], inputs(split.images[number : number + 1])[0])
    assert masks[row].min() == 1


def test_drawing_by_shares_and_a_penalty_change_what_is_learnt() -> None:
    """And nothing of the caller's random state."""
    planted = made(Design("scenes", "patch", 0.9, False, 3), sizes=(128, 12, 60))
    x, y = inputs(planted.train.images), torch.from_numpy(planted.train.labels)
    known, found = torch.get_rng_state(), []
    shares = torch.zeros(len(x))
    shares[:64] = 1
    for more in ({}, {"shares": shares}, {"masks": torch.ones(len(x), *x.shape[2:]), "penalty": 1.0}):
        with seeded(planted.design):
            network = untrained(planted)
            fit(network, planted.design, x, y, steps=2, **more)
        found.append(network.head.weight.detach())
    assert torch.equal(torch.get_rng_state(), known)
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert set(standing(network, planted)) == {"class, cue", "class, none", "others, cue", "others, none"}


def test_what_is_there_is_not_measured_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor what is not asked for; the table goes where the marks are."""
    some, asked = [Design("scenes", None, 0.0, False, seed) for seed in range(3)], list[str]()

    def cases(_: Any) -> list[Case]:
        return [Case(each, partial(known, each), partial(measured, each), lambda row: ": done") for each in some]

    def known(design: Design, row: Any) -> bool:
        return bool(row["design"] == design.name)

    def measured(design: Design) -> dict[str, Any]:
        asked.append(design.name)
        return {"design": design.name}

    def run(*words: str) -> None:
        given = ["data", "--out", str(tmp_path / "o.jsonl"), "--work", str(tmp_path / "w"), *words]
        carried_out("it", given, cases, lambda rows: f"{len(rows)} rows\n", ("<a>", "<b>"), out="x")

    run("--only", "*-1")
    assert asked == ["scenes-clean-1"]
    run()
    assert asked == ["scenes-clean-1", "scenes-clean-0", "scenes-clean-2"]
    page = tmp_path / "page.md"
    page.write_text("before\n<a>\nold\n<b>\nafter\n")
    run("--write", str(page))
    run("--show")
    assert page.read_text() == "before\n<a>\n3 rows\n<b>\nafter\n"
    assert capsys.readouterr().out.splitlines() == [f"{name}: done" for name in asked] + ["3 rows", ""]
