"""Every method against its slow reference, on networks that differ in activation, head and aliasing, in both
precisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import seewhy
import seewhy.methods
from networks import CLASSES, NETWORKS, TRANSFORMERS, Case, image, make
from reference.probing import Probe
from reference.table import REFERENCES
from seewhy.errors import CapabilityError
from seewhy.registry import methods

_NOISY = {"n": 3, "seed": 5}
#: regions of 8x8 pixels: four of them, of 8 to 24 pixels
_QUARTERS = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]] * 3 + [[0, 0, 0, 2, 1, 1, 3, 3]] * 4 + [[2, 2, 2, 2, 3, 3, 3, 3]])
#: and six of unequal sizes
_PIECES = torch.tensor([[0, 0, 0, 1, 1, 1, 2, 2]] * 4 + [[3, 3, 4, 4, 4, 4, 5, 5]] * 3 + [[3, 3, 3, 3, 4, 4, 4, 5]])
#: parameters to try besides the defaults; the first entry stands in for defaults that are too slow here
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "smooth-grad": [_NOISY, {"n": 2, "sigma": 0.5}],
    "smooth-grad-squared": [_NOISY, {"n": 2, "sigma": 0.5}],
    "var-grad": [_NOISY, {"n": 2, "sigma": 0.5}],
    "smooth-grad-cam-pp": [_NOISY, {"n": 2, "sigma": 0.5}],
    "score-cam": [{}, {"budget": 4}],
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
        {"rule": "gauss-legendre", "steps": 3, "multiply_by_inputs": False},
    ],
    "internal-influence": [{"steps": 6}, {"rule": "trapezoid", "steps": 4}, {"rule": "riemann-right", "steps": 3}],
    "conductance": [{"steps": 6}, {"steps": 1}],
    "layer-integrated-gradients": [{"steps": 6}, {"rule": "trapezoid", "steps": 4, "multiply_by_inputs": False}],
    "layer-expected-gradients": [
        {"n": 6, "seed": 3},
        {"n": 4, "sigma": 0.3, "references": image(99, batch=3)},
        {"n": 4, "references": image(99, batch=3), "multiply_by_inputs": False},
    ],
    "neuron-conductance": [{"steps": 5}, {"steps": 4, "multiply_by_inputs": False}],
    "deep-shap": [{"n": 3}, {"references": image(99, batch=3)}],
    "unit-ablation": [{}, {"units": "positions", "level": 0.3}, {"units": "units"}],
    "ablation-cam": [{}, {"relative": True}],
    "recipro-cam": [{}, {"gaussian": False}],
    "eigen-cam": [{}, {"centred": True}],
    "eigen-grad-cam": [{}, {"centred": True}],
    "finer-cam": [{}, {"gamma": 1.0, "classes": 1}, {"classes": 2}],
    "kpca-cam": [{}, {"kernel": "rbf"}, {"kernel": "linear"}, {"kernel": "sigmoid", "gamma": 0.5}],
    "fem": [{}, {"k": 1.0}, {"k": 0.0}],
    "meaningful-perturbation": [
        {"steps": 3, "cells": 4},
        {"steps": 4, "fill": 0.4, "size": 0.3, "smoothness": 1.0, "beta": 2.0},
    ],
    "extremal-perturbation": [
        {"steps": 2, "sigma": 3.0},
        {"steps": 2, "areas": (0.2, 0.5), "sigma": 6.5, "fill": 0.4, "weight": 9.0},
    ],
    "blur-ig": [{"steps": 6}, {"steps": 3, "max_sigma": 4.0}],
    "guided-ig": [
        {"steps": 5},
        {"steps": 4, "rule": "riemann-left", "max_dist": 0.3, "fraction": 0.1},
        {"steps": 3, "max_dist": 1.0, "fraction": 0.6},
        {"steps": 3, "max_dist": 0.0},
    ],
    "expected-gradients": [{"n": 6, "seed": 3}, {"n": 4, "sigma": 0.3}, {"n": 6, "references": image(99, batch=3)}],
    "xrai": [
        {"steps": 3, "dilation": 1, "min_pixels": 2, "segments": _QUARTERS},
        {"steps": 2, "dilation": 0, "min_pixels": 10, "rule": "trapezoid", "segments": _QUARTERS},
    ],
    "occlusion": [{"window": 3, "stride": 2}, {"window": (4, 3), "stride": (3, 1), "fill": 0.4}, {"window": 8}, {}],
    "feature-ablation": [{"segments": _PIECES}, {"segments": _QUARTERS, "fill": -0.5}],
    "rise": [
        {"n": 24, "cells": 3},
        {"n": 17, "cells": (2, 3), "p": 0.3, "seed": 2},
        {"n": 40, "cells": 2, "fill": 0.4},
    ],
    "d-rise": [{"n": 24, "cells": 3}, {"n": 17, "cells": 2, "p": 0.3, "seed": 2}],
    "shapley-sampling": [{"n": 36, "segments": _PIECES}, {"n": 13, "segments": _QUARTERS, "fill": 0.4, "seed": 3}],
    "lime": [
        {"n": 30, "segments": _PIECES},
        {"n": 12, "segments": _QUARTERS, "kernel_width": 0.5, "alpha": 0.1, "seed": 3},
    ],
    "kernel-shap": [{"n": 31, "segments": _PIECES}, {"n": 40, "segments": _QUARTERS}],
    "sobol": [{"n": 64, "cells": (3, 2)}, {"n": 48, "cells": 2, "fill": 0.4, "seed": 2}],
    "hsic": [{"n": 50, "cells": (2, 3)}, {"n": 19, "cells": 3, "fill": 0.4, "seed": 2}],
    "attention-rollout": [{}, {"heads": "max"}, {"heads": "min"}],
    "lrp": [
        {},
        {"composite": "epsilon", "epsilon": 0.1},
        {"composite": "epsilon-plus"},
        {"composite": "epsilon-plus-flat", "epsilon": 0.01},
        {"composite": "epsilon-alpha2-beta1"},
        {"composite": "epsilon-alpha2-beta1-flat"},
        {"composite": "epsilon-gamma-box", "gamma": 1.0},
        {"composite": "by-depth"},
        {"composite": "attn-lrp", "linear_gamma": 0.05, "gamma": 0.1},
        {"composite": "cp-lrp"},
    ],
}
#: at a layer as well as at the input
ANYWHERE = {method.name for method in methods if method.card.at == "any"}
BASELINES = {
    "guided-ig",
    "integrated-gradients",
    "layer-integrated-gradients",
    "internal-influence",
    "conductance",
    "neuron-conductance",
    "deep-lift",
}


def test_every_method_has_a_reference() -> None:
    assert methods.keys() == REFERENCES.keys()


def _cases() -> list[Any]:
    return [
        pytest.param(name, network, number, id=f"{name}-{network}-{number}")
        for name in sorted(REFERENCES)
        if methods[name].card.family not in ("inside", "adversarial")  # those have their own files, and so have
        if methods[name].card.call == "explain"  # those that other commands run
        for network in (TRANSFORMERS if methods[name].card.family == "attention" else NETWORKS)
        for number in range(len(VARIANTS.get(name, [{}])))
    ]


def _targets(case: Case, x: torch.Tensor, seed: int) -> list[int]:
    return [(seed + row) % CLASSES for row in range(len(x))]


def _ours(case: Case, x: torch.Tensor, name: str, targets: Any, layer: Any, parameters: dict[str, Any]) -> np.ndarray:
    keep = {"reduce": "none"} if methods[name].card.reduce is not None else {}
    found = seewhy.explain_all(case.net, x, method=name, target=targets, layer=layer, **keep, **parameters)
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
    seed = 10 * sorted(NETWORKS | TRANSFORMERS).index(network) + number
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
