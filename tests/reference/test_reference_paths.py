"""Paths: nodes and weights, refinement that stops, and what is said about it; against the references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seewhy
from networks import image, make
from reference.gradients import nodes_and_weights
from reference.probing import Probe
from reference.table import REFERENCES
from seewhy.methods._paths import quadrature


def _equal(found: Any, expected: Any, relative: float = 1e-9) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= relative * max(np.abs(expected).max(), 1e-30)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    rule=st.sampled_from(["gauss-legendre", "trapezoid", "riemann-left", "riemann-middle", "riemann-right"]),
    steps=st.integers(1, 40),
)
def test_quadrature(rule: str, steps: int) -> None:
    """Nodes and weights equal the textbook's, whatever the number."""
    nodes, weights = (np.array(v) for v in quadrature(rule, steps))
    expected_nodes, expected_weights = (np.array(v) for v in nodes_and_weights(rule, steps))
    order = np.argsort(expected_nodes)
    np.testing.assert_allclose(nodes, expected_nodes[order], atol=1e-12)
    np.testing.assert_allclose(weights, expected_weights[order], atol=1e-12)
    assert weights.sum() == pytest.approx(1)


def test_integration_says_when_it_stopped_early() -> None:
    """The residual is sum minus difference, per image; the status follows the tolerance, per image."""
    case, x = make("silu", 4), image(4)
    found = seewhy.explain_all(
        case.net, x, method="integrated-gradients", target=1, baseline=0.3, reduce="none", max_steps=2, tolerance=1e-7
    )
    for row, each in enumerate(found):
        probe = Probe(case.net, x[row : row + 1], 1, "", {"baseline": 0.3, "max_steps": 2, "tolerance": 1e-7})
        expected = REFERENCES["integrated-gradients"](probe)
        _equal(each.values, expected)
        rise = probe.score() - probe.score(torch.full_like(probe.x, 0.3))
        assert each.error == pytest.approx(expected.sum() - rise, rel=1e-6)
        assert each.status.code == "not-converged"
    enough = seewhy.explain_all(case.net, x, method="integrated-gradients", target=1, baseline=0.3, tolerance=0.01)
    assert {each.status.code for each in enough} == {"ok"}


def test_not_converged_names_its_own_residual() -> None:
    case, x = make("conv-bn-relu", 3), image(3)
    asked: dict[str, Any] = {"method": "integrated-gradients", "target": 1, "max_steps": 2, "tolerance": 1e-9}
    both = [each.status for each in seewhy.explain_all(case.net, x, **asked)]
    assert both == [seewhy.explain(case.net, row[None], **asked).status for row in x]


def test_adaptive_rows_stop_on_their_own() -> None:
    """An image that is complete early keeps its nodes while the other is refined: same values as alone."""
    case, x = make("conv-bn-relu", 5), image(5, batch=3)
    asked: dict[str, Any] = {"method": "integrated-gradients", "reduce": "none", "target": 2, "tolerance": 0.03}
    for each, row in zip(seewhy.explain_all(case.net, x, **asked), x, strict=True):
        probe = Probe(case.net, row[None], 2, "", {"tolerance": 0.03})
        _equal(each.values, REFERENCES["integrated-gradients"](probe))


def _late(at: float) -> torch.nn.Module:
    """A score that is 0 until the path has come to ``at`` of a white image, then steep for a hundredth of the way, then
    level."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2), torch.nn.ReLU6(), torch.nn.Linear(2, 1))
    with torch.no_grad():
        net[1].weight.fill_(600 / 12)
        net[1].bias.fill_(-600 * at)
        net[3].weight.copy_(torch.tensor([[1.0, 0.5]]))
        net[3].bias.zero_()
    return net.eval().double()


@pytest.mark.parametrize("at", [0.07, 0.31, 0.6])
def test_nodes_go_where_the_score_moves(at: float) -> None:
    """At a sharp rise: at most half the gradients that uniform nodes take, doubled until complete; and the image whose
    path meets none stops at once, though it is in the same batch."""
    net, x = _late(at), torch.ones(1, 3, 2, 2, dtype=torch.float64)
    asked: dict[str, Any] = {"method": "integrated-gradients", "target": 0, "baseline": 0.0, "reduce": "none"}
    flat, rising = seewhy.explain_all(net, torch.cat([0.01 * x, x]), **asked, max_steps=4096, tolerance=0.02)
    assert rising.status.code == "ok"
    np.testing.assert_allclose(rising.values, 0.75, rtol=0.02)
    steps, found = 8, seewhy.explain(net, x, **asked, rule="trapezoid", steps=8)
    while abs(found.values.sum() - 9) > 0.02 * 9:
        steps *= 2
        found = seewhy.explain(net, x, **asked, rule="trapezoid", steps=steps)
    assert 2 * rising.cost.backwards <= steps + 1
    assert flat.cost.backwards == 9 + 1  # one more to see why the map is 0
    assert not flat.values.any()


def test_refinement_ends_where_nothing_can_be_gained() -> None:
    """The same score at both ends, and a residual that never goes: the budget is spent, and no more."""
    net, x = _late(0.3), torch.ones(1, 3, 2, 2, dtype=torch.float64)
    asked: dict[str, Any] = {"method": "integrated-gradients", "target": 0, "max_steps": 50}
    same = seewhy.explain(net, x, baseline=1.0, **asked)
    assert same.cost.backwards == 9 + 1  # one more to see why the map is 0
    assert not same.values.any()
    spent = seewhy.explain(_Jump(), x, baseline=0.0, **asked)
    assert spent.error == pytest.approx(-1, abs=0.3)  # all but the little slope is in the jump
    assert 60 < spent.cost.backwards <= 101  # and once more by even midpoints, which cannot help either


class _Normalised(torch.nn.Module):
    """Patches, each divided by its own spread: from a baseline of zeros the score has risen after a tiny part of the
    way, and the gradient at the baseline itself is as large as 1 / sqrt(eps)."""

    def __init__(self, eps: float, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.patches = torch.nn.Conv2d(3, 8, 4, 4, bias=False)
            self.norm = torch.nn.LayerNorm(8, eps=eps)
            self.between, self.head = torch.nn.Linear(8, 8), torch.nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores [B, 3]."""
        return self.head(self.between(self.norm(self.patches(x).flatten(2).mT)).relu().mean(1))


@pytest.mark.parametrize("eps", [1e-12, 1e-8, 1e-6])
@pytest.mark.parametrize("seed", range(4))
def test_adaptive_is_never_worse_than_uniform(eps: float, seed: int) -> None:
    """Of as many steps: the distance between the values' sum and the rise of the score, taken by hand."""
    net, x = _Normalised(eps, seed).eval().double(), image(seed)[:1]
    asked: dict[str, Any] = {"method": "integrated-gradients", "target": 1, "baseline": 0.0}
    found = seewhy.explain(net, x, **asked)
    steps = int(found.notes[-1].partition(" after ")[2].split()[0])
    even = seewhy.explain(net, x, **asked, rule="riemann-middle", steps=steps)
    with torch.no_grad():
        rise = float((net(x) - net(0 * x))[0, 1])
    missed, bound = abs(found.values.sum() - rise), abs(even.values.sum() - rise)
    assert missed <= max(bound, 0.01 * abs(rise)) * (1 + 1e-9)
    assert found.status.ok == (missed <= 0.01 * abs(rise))


class _Jump(torch.nn.Module):
    """A score that jumps where nothing has a gradient, on top of a slight slope."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores [B, 1]."""
        mean = x.flatten(1).mean(1, keepdim=True)
        return (mean > 0.3).to(x) + 0.1 * mean
