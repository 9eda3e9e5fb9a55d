"""The benchmark of audits: what it counts, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from benchmarks.audit.rows import same
from benchmarks.audit.table import auc, table


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
