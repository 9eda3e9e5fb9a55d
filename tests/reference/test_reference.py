"""Every method against its slow reference, on networks that differ in activation, head and aliasing, in both
precisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import seewhy
import seewhy.methods
from networks import CLASSES, NETWORKS, Case, image, make
from reference.probing import Probe
from reference.table import REFERENCES
from seewhy.errors import CapabilityError
from seewhy.registry import methods

_NOISY = {"n": 3, "seed": 5}
#: parameters to try besides the defaults; the first entry stands in for defaults that are too slow here
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "smooth-grad": [_NOISY, {"n": 2, "sigma": 0.5}],
    "smooth-grad-squared": [_NOISY, {"n": 2, "sigma": 0.5}],
    "var-grad": [_NOISY, {"n": 2, "sigma": 0.5}],
    "smooth-grad-cam-pp": [_NOISY, {"n": 2, "sigma": 0.5}],
    "ss-cam": [_NOISY, {"n": 2, "sigma": 0.5}],
    "is-cam": [{"n": 3}, {"n": 4, "cumulative": True}],
    "integrated-gradients": [
        {"rule": "gauss-legendre", "steps": 7},
        {"rule": "trapezoid", "steps": 6},
        {"rule": "riemann-left", "steps": 5},
        {"rule": "riemann-middle", "steps": 5},
        {"rule": "riemann-right", "steps": 5},
        {"rule": "gauss-legendre", "steps": 1},
        {"max_steps": 16, "tolerance": 1e-5},
        {"max_steps": 32, "tolerance": 0.05},
        {"max_steps": 5},
    ],
    "internal-influence": [{"steps": 6}, {"rule": "trapezoid", "steps": 4}, {"rule": "riemann-right", "steps": 3}],
    "conductance": [{"steps": 6}, {"steps": 1}],
    "ablation-cam": [{}, {"relative": True}],
    "recipro-cam": [{}, {"gaussian": False}],
    "eigen-cam": [{}, {"centred": True}],
    "eigen-grad-cam": [{}, {"centred": True}],
    "finer-cam": [{}, {"gamma": 1.0, "classes": 1}, {"classes": 2}],
    "kpca-cam": [{}, {"kernel": "rbf"}, {"kernel": "linear"}, {"kernel": "sigmoid", "gamma": 0.5}],
    "fem": [{}, {"k": 1.0}, {"k": 0.0}],
}
#: at a layer as well as at the input
ANYWHERE = {method.name for method in methods if method.card.at == "any"}
BASELINES = {"integrated-gradients", "internal-influence", "conductance"}


def test_every_method_has_a_reference() -> None:
    assert methods.keys() == REFERENCES.keys()


def _cases() -> list[Any]:
    return [
        pytest.param(name, network, number, id=f"{name}-{network}-{number}")
        for name in sorted(REFERENCES)
        for network in NETWORKS
        for number in range(len(VARIANTS.get(name, [{}])))
    ]


def _targets(case: Case, x: torch.Tensor, seed: int) -> list[int]:
    return [(seed + row) % CLASSES for row in range(len(x))]


def _ours(case: Case, x: torch.Tensor, name: str, targets: Any, layer: Any, parameters: dict[str, Any]) -> np.ndarray:
    keep = {"reduce": "none"} if methods[name].card.reduce is not None else {}
    found = seewhy.explain(case.net, x, method=name, target=targets, layer=layer, **keep, **parameters)
    return np.stack([each.values for each in found])


def _theirs(case: Case, x: torch.Tensor, name: str, targets: list[int], layer: str, parameters: Any) -> np.ndarray:
    return np.stack(
        [REFERENCES[name](Probe(case.net, x[row : row + 1], k, layer, parameters)) for row, k in enumerate(targets)]
    )


def _close(found: np.ndarray, expected: np.ndarray, relative: float) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= relative * max(np.abs(expected).max(), 1e-12)


@pytest.mark.parametrize(("name", "network", "number"), _cases())
def test_method_equals_its_reference(name: str, network: str, number: int) -> None:
    """float64 to 1e-9 of the map's maximum, float32 to 1e-4 of it; two images with a target each."""
    seed = 10 * sorted(NETWORKS).index(network) + number
    case, x = make(network, seed), image(seed)
    parameters = dict(VARIANTS.get(name, [{}])[number])
    targets = _targets(case, x, seed)
    card = methods[name].card
    if name == "cam" and not case.pooled:
        with pytest.raises(CapabilityError, match="average pooling"):
            _ours(case, x, name, targets, case.layer, parameters)
        return
    # anywhere-methods alternate between the input and an early layer
    at_input = card.at == "input" or (name in ANYWHERE and (seed + len(name)) % 2 == 0)
    layer = "" if at_input else case.layer if card.family == "cam" else case.early
    asked: Any = layer or None
    theirs = dict(parameters)
    if card.several_layers:
        asked, theirs = [case.early, case.layer], {**parameters, "layers": (case.early, case.layer)}
    if name in BASELINES:
        parameters["baseline"] = theirs["baseline"] = 0.1 * (number % 3)
    expected = _theirs(case, x, name, targets, layer, theirs)
    assert name == "fem" or np.abs(expected).max() > 1e-6, "nothing to compare: choose another seed"
    _close(_ours(case, x, name, targets, asked, parameters), expected, 1e-9)
    single = make(network, seed, torch.float32)
    found = _ours(single, x.float(), name, targets, asked, parameters)
    assert found.dtype == np.float32
    _close(found, expected, 1e-4)
