"""The references by method name: what every registered method must have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reference import (
    adversarial,
    attention,
    cams,
    gradients,
    inside,
    lifting,
    optimised,
    paths,
    perturbation,
    propagation,
    scoring,
)
from reference.probing import Probe

__all__ = ["REFERENCES"]

_ALL = [
    *(
        getattr(module, name)
        for module in (
            adversarial,
            attention,
            cams,
            gradients,
            inside,
            lifting,
            optimised,
            paths,
            perturbation,
            propagation,
            scoring,
        )
        for name in module.__all__
    ),
]
_HELPERS = {"evidence", "factorise", "grad_cam_pp_map", "jacobi", "nodes_and_weights", "noise_reference"}

REFERENCES: dict[str, Callable[[Probe], np.ndarray]] = {
    formula.__name__.replace("_", "-"): formula for formula in _ALL if formula.__name__ not in _HELPERS
}
