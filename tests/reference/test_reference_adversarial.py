"""Attacks against their references, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import seewhy
import seewhy.methods
from networks import image, make
from reference.probing import Probe
from reference.table import REFERENCES
from seewhy.registry import methods

ATTACKS = sorted(method.name for method in methods if method.card.call == "attack")
_ASKED: dict[str, list[dict[str, Any]]] = {
    "fgsm": [{"epsilon": 8.0}, {"epsilon": 40.0}],
    "i-fgsm": [{"epsilon": 4.0, "steps": 6}, {"epsilon": 30.0, "steps": 4, "step": 12.0}],
    "pgd": [
        {"epsilon": 8.0, "steps": 5},
        {"epsilon": 16.0, "steps": 3, "step": 9.0, "seed": 3},
        {"epsilon": 60.0, "steps": 8, "stop": 1.6},
    ],
}


def test_every_attack_is_asked_for() -> None:
    assert set(_ASKED) == set(ATTACKS)


@pytest.mark.parametrize("network", ["conv-bn-relu", "residual", "silu", "tokens"])
@pytest.mark.parametrize(("name", "given"), [(name, given) for name in ATTACKS for given in _ASKED[name]], ids=str)
def test_an_attack_is_its_reference(name: str, given: dict[str, Any], network: str) -> None:
    """Two images with a class of their own each."""
    case, x, leave = make(network, 5), image(5), [2, 0]
    found = seewhy.attack_all(case.net, x, method=name, target=leave, maps=None, **given)
    assert isinstance(found, list)
    for row, each in enumerate(found):
        expected = REFERENCES[name](Probe(case.net, x[row : row + 1], leave[row], parameters=given))
        assert np.abs(each.perturbation - expected).max() < 1e-5 * given["epsilon"]
        assert each.largest <= given["epsilon"] * (1 + 1e-6)


def test_towards_a_class() -> None:
    """The log-probability of the class to reach rises; with only two classes that is leaving the other."""
    case, x = make("silu", 2), image(2, batch=1)
    found = seewhy.attack(case.net, x, method="i-fgsm", towards=3, epsilon=20.0, maps=None)
    with torch.no_grad():
        before = case.net(x).log_softmax(1)[0, 3]
    assert found.score == pytest.approx(float(before), abs=1e-6)
    assert found.attacked_score > found.score
    assert found.success == (found.after.index == 3)
