"""Where evidence lies, and clusters of it: against counts by hand and against clouds that are known."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seewhy.audits.clusters import STABLE, Cluster, clustered, clusters_of, cues_of
from seewhy.audits.evidence import whereabouts
from seewhy.audits.patches import Patch
from seewhy.audits.subject import Half, Subject
from seewhy.errors import CapabilityError

COUNT, SIDE = 60, 20


def _half(evidence: Tensor | None, **more: Any) -> Half:
    count = COUNT if evidence is None else len(evidence)
    inputs = torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    return Half(inputs, torch.zeros(count, dtype=torch.long), torch.zeros(count, dtype=torch.long), evidence, **more)


def test_shares_are_those_counted_by_hand() -> None:
    """Of three units of evidence one is in the corner, which is on the border, too; what is against a class is in the
    mean alone."""
    evidence = torch.zeros(8, SIDE, SIDE)
    evidence[:, 0, 0], evidence[:, 10, 10], evidence[:, 10, 0] = 1, 2, -3
    objects = torch.zeros(8, SIDE, SIDE, dtype=torch.bool)
    objects[:, 8:12, 8:12] = True
    where = whereabouts(_half(evidence, objects=objects))
    assert where is not None
    shares = {name: each.share for name, each in where.shares.items()}
    assert shares == pytest.approx({"border": 1 / 3, "corners": 1 / 3, "object": 2 / 3})
    assert where.shares["corners"].area == pytest.approx(4 * 5 * 5 / 400)
    assert where.shares["object"].area == pytest.approx(16 / 400)
    assert where.mean.shape == (14, 14)
    assert where.mean[7, 0] < 0 < where.mean[0, 0]
    # magnitudes of each map add up to 1: 1/6 + 2/6 for, 3/6 against
    assert where.mean.sum() == pytest.approx(0, abs=1e-9)
    assert where.told()["shares"]["border"]["interval"] == pytest.approx([1 / 3, 1 / 3])


def test_a_bump_in_the_middle_has_the_share_of_a_bump() -> None:
    """Evidence that is the control has the control's share."""
    axis = torch.exp(-0.5 * ((torch.arange(SIDE) - (SIDE - 1) / 2) / (SIDE / 4)).square())
    where = whereabouts(_half((axis[:, None] * axis).expand(6, -1, -1)))
    assert where is not None
    for each in where.shares.values():
        assert each.share == pytest.approx(each.bump, rel=1e-5)


def test_maps_of_nothing_are_no_evidence() -> None:
    """Zero maps are left out, and nothing is told where all are."""
    evidence = torch.zeros(4, SIDE, SIDE)
    assert whereabouts(_half(evidence)) is None
    assert whereabouts(_half(None)) is None
    evidence[1, 3, 3] = 1
    where = whereabouts(_half(evidence))
    assert where is not None
    assert where.count == 1


def _clouds(centres: Tensor, spread: float, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    each = COUNT // len(centres)
    return torch.cat([c + spread * torch.randn(each, centres.shape[1], generator=draw) for c in centres]).double()


def test_clouds_are_clusters_and_one_cloud_is_none() -> None:
    """Three clouds far apart come back whole, each with those of the other half; one cloud, however often it is drawn,
    has no parts."""
    points = _clouds(10 * torch.eye(3, 12), 0.3)
    found = clustered(points, "features", 0, _clouds(10 * torch.eye(3, 12), 0.3, seed=1))
    assert sorted(sorted(each.rows) for each in found) == [list(range(20 * n, 20 * n + 20)) for n in range(3)]
    for each in found:
        assert each.stability > 0.95
        assert set(each.second) <= set(each.rows)
        assert len(each.second) > 12
    told = [len(clustered(_clouds(torch.zeros(1, 12), 1.0, seed), "features", seed)) for seed in range(12)]
    assert sum(told) <= 1


def test_what_does_not_come_again_is_told_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A split that draws do not find again is left out: stability is what keeps it."""
    from seewhy.audits import clusters

    points = _clouds(torch.zeros(1, 6), 1.0)
    draws = np.random.default_rng(0)

    def halves(points: Any, least: int) -> Any:
        return draws.integers(0, 2, len(points))

    monkeypatch.setattr(clusters, "_labels", halves)
    assert clustered(points, "maps") == []
    monkeypatch.setattr(clusters, "STABLE", 0.0)
    assert len(clustered(points, "maps")) == 2
    assert STABLE == 0.75


def _subject(*, traits: Tensor | None = None) -> Subject:
    """A class whose evidence is in the upper left of a half of its pictures, a red square there, and in the lower right
    of the others."""
    own = []
    for seed in (0, 1):
        draw = torch.Generator().manual_seed(seed)
        inputs = 0.2 * torch.rand(COUNT, 3, SIDE, SIDE, generator=draw)
        evidence = 0.02 * torch.rand(COUNT, SIDE, SIDE, generator=draw)
        for n in range(COUNT):
            rows = slice(2, 7) if n % 2 else slice(13, 18)
            inputs[n, n % 2, rows, rows] += torch.eye(5)
            evidence[n, rows, rows] = 1
        truth = torch.full((COUNT,), 3)
        own.append(Half(inputs, truth, truth, evidence, None, traits))
    others = Half(
        0.2 * torch.rand(40, 3, SIDE, SIDE), torch.arange(40) % 2, torch.arange(40) % 2
    )  # fmt: skip
    score: Callable[[Tensor], Tensor] = lambda x: torch.zeros(len(x), 4)  # noqa: E731
    return Subject(3, (own[0], own[1]), (others, others), score)


def test_a_class_of_two_kinds_of_evidence_is_told_in_two() -> None:
    """Both kinds, with the window of each picture; no other class holds either; a cue of each unless a patch has it."""
    found = clusters_of(_subject())
    assert sorted(tuple(sorted({row % 2 for row in each.rows})) for each in found) == [(0,), (1,)]
    for each in found:
        assert each.by == "maps"
        assert len(each.rows) == len(each.boxes) == COUNT // 2
        left, top, right, bottom = each.boxes[0]
        assert (right - left, bottom - top) == (5, 5)
        middle = 2 if each.rows[0] % 2 else 13
        assert (abs(left - middle) <= 1, abs(top - middle) <= 1) == (True, True)
        assert max(each.elsewhere.values()) == 0
        assert set(each.told(lambda k: f"class {k}")["elsewhere"]) == {"class 0", "class 1"}
    cues = cues_of(found, [])
    assert [cue.told()["tag"] for cue in cues] == ["cluster 1", "cluster 2"]
    held = Patch(torch.zeros(1, 3, 5, 5), float("nan"), found[0].rows)
    assert [cue.told()["tag"] for cue in cues_of(found, [held])] == ["cluster 2"]


def test_features_come_before_maps() -> None:
    """What both see is told once, by features."""
    traits = torch.zeros(COUNT, 4)
    traits[torch.arange(COUNT), torch.arange(COUNT) % 2] = 1
    found = clusters_of(_subject(traits=traits + 0.01 * torch.rand(COUNT, 4)))
    assert [each.by for each in found] == ["features", "features"]


def test_evidence_of_one_kind_has_no_clusters() -> None:
    """And a class without maps has none either."""
    subject = _subject()
    own = [Half(half.inputs, half.said, half.truth) for half in subject.own]
    assert clusters_of(Subject(3, (own[0], own[1]), subject.others, subject.score)) == []
    assert cues_of([Cluster("maps", (0, 1), 1.0)], []) == []


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line."""
    real = builtins.__import__

    def none(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", none)
    with pytest.raises(CapabilityError, match=r"seewhy\[audit\]"):
        clusters_of(_subject())
