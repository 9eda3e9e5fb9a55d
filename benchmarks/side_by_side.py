"""Interleaved timing: takes named callables, gives medians and ratios; checks that their results agree first."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Timing", "interleaved"]


@dataclass(frozen=True)
class Timing:
    """Median seconds by name, and how far any result is from the first one's, relative to its maximum."""

    median: dict[str, float]
    difference: float


def interleaved(contestants: Mapping[str, Callable[[], np.ndarray]], rounds: int) -> Timing:
    """Run every contestant once a round, in turn, after one round of warming up that is not counted."""
    results = {name: np.asarray(run()) for name, run in contestants.items()}
    reference = next(iter(results.values()))
    worst = max(float(np.abs(result - reference).max()) for result in results.values())
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds):
        names = list(contestants)
        # whoever comes first in a round finds other caches than whoever comes last: rotate
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.perf_counter()
            contestants[name]()
            seconds[name].append(time.perf_counter() - began)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    return Timing(median, worst / max(float(np.abs(reference).max()), 1e-12))
