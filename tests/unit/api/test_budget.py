"""Score-CAM within a budget of forwards: what it counts, how near it comes, what it says of itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from seewhy.errors import UsageError
from seewhy.methods._surrogates import Surrogate


def _net(channels: int = 96) -> nn.Module:
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(3, channels, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(channels, 24, 3, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(96, 3),
    )  # fmt: skip
    with torch.no_grad():
        net[6].weight *= 40  # scores that differ, so that the softmax prefers some masks
    return net.eval().double()


def _images(count: int) -> torch.Tensor:
    torch.manual_seed(5)
    return nn.functional.interpolate(torch.rand(count, 3, 4, 4, dtype=torch.float64), (20, 20), mode="bilinear")


def _ask(net: nn.Module, x: torch.Tensor, **given: Any) -> Any:
    found = seewhy.explain_all(net, x, method="score-cam", layer="1", target=1, **given)
    return found if len(x) > 1 else found[0]


def test_a_budget_is_kept_and_comes_close() -> None:
    """An eighth of the forwards, nearly the same map; the expected correlation is no boast; each image its own."""
    net, x = _net(), _images(4)
    exact, guessed = _ask(net, x), _ask(net, x, budget=12)
    for whole, part, row in zip(exact, guessed, x, strict=True):
        assert whole.cost.forwards > 80
        assert part.cost.forwards == 14
        assert part.cost.backwards == 0
        correlation = np.corrcoef(whole.values.ravel(), part.values.ravel())[0, 1]
        assert correlation > 0.97
        (note,) = (note for note in part.notes if "masks scored" in note)
        assert note.startswith("12 of ")
        assert float(note.split("expected ")[1].split(";")[0]) <= correlation + 0.02
        np.testing.assert_allclose(_ask(net, row[None], budget=12).values, part.values, rtol=1e-9)


def test_more_budget_is_nearer_and_all_of_it_exact() -> None:
    net, x = _net(), _images(2)
    exact = np.stack([e.values for e in _ask(net, x)])
    away = [np.abs(np.stack([e.values for e in _ask(net, x, budget=budget)]) - exact).max() for budget in (4, 48, 96)]
    assert away[0] > away[1] > away[2] == 0


def test_few_scores_that_say_little_are_owned_up_to() -> None:
    """Scores that have nothing to do with how masks look: the status says so."""
    torch.manual_seed(0)
    activation = torch.rand(60, 5, 5, dtype=torch.float64)
    guess = Surrogate(activation, torch.arange(60), 10)
    while rows := guess.wanted():
        guess.add(rows, 5 * torch.randn(len(rows), dtype=torch.float64))
    assert len(set(guess.measured)) == 10
    assert guess.agreement(activation) < 0.9


@pytest.mark.parametrize("budget", [3, 0, -5, 2.5, True])
def test_impossible_budgets(budget: Any) -> None:
    with pytest.raises(UsageError, match="budget="):
        _ask(_net(8), _images(1), budget=budget)


def test_masks_that_are_all_alike_or_none() -> None:
    """Every channel the same mask, or constant: something finite, within the budget."""
    net = _net(40)
    with torch.no_grad():
        net[0].weight[:] = net[0].weight[:1]
        net[0].bias.fill_(1.0)
    same = _ask(net, _images(1), budget=5)
    assert same.cost.forwards == 7
    assert np.isfinite(same.values).all()
    with torch.no_grad():
        net[0].weight.zero_()
    assert not _ask(net, _images(1), budget=5).values.any()
