"""Comparing results: takes two arrays of a map each image, gives how far they are apart and whether that is equal; runs
nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import UsageError

__all__ = ["MEASURES", "Measure", "shown"]


@dataclass(frozen=True)
class Measure:
    """How far two results are apart: ``max`` (largest difference over the reference's largest value), ``l2`` (norm of
    the difference over the reference's norm) or ``correlation``; of all images the worst counts. Raises `UsageError`
    for another ``kind``.

    >>> import numpy as np
    >>> measure = Measure("max", 1e-3)
    >>> measure.of(np.array([[1.0, 2.5]]), np.array([[1.0, 2.0]])), measure.agrees(0.25)
    (0.25, False)
    """

    kind: str
    tolerance: float

    def __post_init__(self) -> None:
        if self.kind not in MEASURES:
            raise UsageError(f"no measure {self.kind!r}; one of {', '.join(MEASURES)}")

    def of(self, result: NDArray[Any], expected: NDArray[Any]) -> float:
        """The worst image's; NaN where the shapes differ or a value is not finite."""
        if result.shape != expected.shape:
            return math.nan
        rows = [
            MEASURES[self.kind](np.float64(a).ravel(), np.float64(b).ravel())
            for a, b in zip(result, expected, strict=True)
        ]
        if not all(math.isfinite(row) for row in rows):
            return math.nan
        return min(rows) if self.kind == "correlation" else max(rows)

    def agrees(self, value: float) -> bool:
        """Whether ``value`` is within the tolerance; NaN never is."""
        return value >= self.tolerance if self.kind == "correlation" else value <= self.tolerance

    @property
    def words(self) -> str:
        """What is asked for, in words."""
        return {
            "max": f"largest difference within {self.tolerance:g} of the largest value",
            "l2": f"norm of the difference within {self.tolerance:g} of the norm",
            "correlation": f"correlation of at least {self.tolerance:g}",
        }[self.kind]


def _max(result: NDArray[Any], expected: NDArray[Any]) -> float:
    return float(np.abs(result - expected).max() / max(float(np.abs(expected).max()), 1e-12))


def _l2(result: NDArray[Any], expected: NDArray[Any]) -> float:
    return float(np.linalg.norm(result - expected) / max(float(np.linalg.norm(expected)), 1e-12))


def _correlation(result: NDArray[Any], expected: NDArray[Any]) -> float:
    a, b = result - result.mean(), expected - expected.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    # two constant maps say the same: nothing
    return float(a @ b) / size if size > 0 else float(np.allclose(result, expected))


MEASURES: dict[str, Callable[[NDArray[Any], NDArray[Any]], float]] = {
    "max": _max,
    "l2": _l2,
    "correlation": _correlation,
}


def shown(expected: NDArray[Any], result: NDArray[Any], form: str) -> NDArray[Any]:
    """The reference in the form in which a contestant gives its result; see `seewhy.api.bench.racing.Contestant`.

    >>> import numpy as np
    >>> shown(np.array([[-1.0, 2.0]]), np.array([[0.0, 2.0]]), "relu")
    array([[0., 2.]])
    >>> shown(np.array([[-1.0, 2.0]]), np.array([[2.0, -4.0]]), "factor")
    array([[ 2., -4.]])
    """
    if form == "relu":
        positive: NDArray[Any] = np.maximum(expected, 0)
        return positive
    if form == "factor" and result.shape == expected.shape:
        axes = tuple(range(1, expected.ndim))
        own = (expected * expected).sum(axes, keepdims=True)
        factor = (result * expected).sum(axes, keepdims=True) / np.maximum(own, np.finfo(np.float32).tiny)
        scaled: NDArray[Any] = expected * factor
        return scaled
    return expected
