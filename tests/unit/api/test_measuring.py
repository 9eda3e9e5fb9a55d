"""Metrics through the engine: the numbers that a function gives them, with every pass shared, whatever else is in the
batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from seewhy import metrics as m
from seewhy.api.given.images import read_items
from seewhy.api.measuring import measured
from seewhy.core.forward.settings import Settings
from seewhy.core.targets import Logit, Probability
from seewhy.errors import UsageError

STREAMED = [metric for metric in m.metrics if metric.streams]


@pytest.fixture
def net() -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        layers = [
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
            nn.Linear(54, 4),
        ]  # fmt: skip
        return nn.Sequential(*layers).eval().double()


def _given(count: int = 3) -> tuple[Any, list[torch.Tensor], list[Logit]]:
    draw = torch.Generator().manual_seed(4)
    x = torch.rand(count, 3, 9, 8, generator=draw, dtype=torch.float64)
    maps = list(torch.rand(count, 9, 8, generator=draw, dtype=torch.float64))
    return x, maps, [Logit(n % 4) for n in range(count)]


@pytest.mark.parametrize("metric", STREAMED, ids=lambda metric: metric.name)
@pytest.mark.parametrize("prepare", [False, True])
def test_a_metric_says_of_a_model_what_it_says_of_a_function(net: nn.Module, metric: m.Metric, prepare: bool) -> None:
    x, maps, targets = _given()
    model = seewhy.wrap(net)
    items, _ = read_items(model, x)
    asked = [Probability(each.index) for each in targets] if metric.card.of_probabilities else targets
    found, cost = measured(model, items, maps, asked, [(metric, {})], fill="mean", settings=Settings(prepare=prepare))

    def predict(x: torch.Tensor, k: int) -> torch.Tensor:
        scores = net(x).detach()
        return scores.softmax(1)[:, k] if metric.card.of_probabilities else scores[:, k]

    for n, ((own,), target) in enumerate(zip(found, targets, strict=True)):
        given = {"fill": "mean"} if "fill" in metric.requires else {}
        (right,) = metric.measures(lambda x, k=target.index: predict(x, k), x[n], maps[n], **given)
        assert own.value == pytest.approx(right.value, rel=1e-6, abs=1e-9)
        for name, rows in right.arrays.items():
            np.testing.assert_allclose(own.arrays[name], rows, rtol=1e-6, atol=1e-9)
    assert cost.forwards > 3


def test_equal_curves_share_their_passes(net: nn.Module) -> None:
    x, maps, targets = _given(2)
    model = seewhy.wrap(net)
    items, _ = read_items(model, x)
    _, alone = measured(model, items, maps, targets, [(m.srg, {"steps": 10})], fill="mean")
    both = [(m.srg, {"steps": 10}), (m.deletion, {"steps": 10}), (m.insertion, {"steps": 10})]
    found, cost = measured(model, items, maps, targets, both, fill="mean")
    assert cost.forwards == alone.forwards == 2 * (1 + 2 * 10)
    for srg, deletion, insertion in found:
        assert srg.value == pytest.approx(insertion.value - deletion.value)


def test_an_image_may_come_with_many_maps(net: nn.Module) -> None:
    """As many as a control group has, and one that says nothing: each has the number that it has alone."""
    x, maps, targets = _given(1)
    model = seewhy.wrap(net)
    (item,), _ = read_items(model, x)
    several = [maps[0], -maps[0], torch.full_like(maps[0], torch.nan), torch.zeros_like(maps[0]), maps[0].roll(3, 0)]
    found, _ = measured(
        model, [item] * 5, several, targets * 5, [(m.srg, {"steps": 6})], settings=Settings(memory=10_000)
    )
    assert found[0][0].value == pytest.approx(-found[1][0].value)
    assert all(
        math.isnan(each.value) and each.reason for ((each,), n) in zip(found, range(5), strict=True) if n in (2, 3)
    )
    for n in (0, 4):
        ((own,),), _ = measured(model, [item], [several[n]], targets, [(m.srg, {"steps": 6})])
        assert found[n][0].value == pytest.approx(own.value)
    with pytest.raises(UsageError, match=r"a map of \(4, 8\) and an image of \(9, 8\)"):
        measured(model, [item], [maps[0][:4]], targets, [(m.srg, {})])
