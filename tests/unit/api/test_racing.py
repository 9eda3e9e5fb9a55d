"""Races with a clock that stands still but for what the contestants take: order, budget, verdicts, settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seewhy.api.bench.measures import Measure, shown
from seewhy.api.bench.racing import Contestant, Lap, chosen, fastest, race
from seewhy.errors import UsageError

EXACT = Measure("max", 1e-6)


class Clock:
    """Time passes only where `taking` says so; who ran when is kept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def taking(self, name: str, *seconds: float, gives: Any = 1.0) -> Callable[[], np.ndarray]:
        """A run; the last of ``seconds`` goes on for ever."""
        left = list(seconds)

        def run() -> np.ndarray:
            self.log.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]
            return np.full((1, 2), gives)

        return run


def _of(clock: Clock, **taken: float) -> list[Contestant]:
    return [Contestant(name, clock.taking(name, seconds)) for name, seconds in taken.items()]


def test_medians_leave_the_first_run_out() -> None:
    clock = Clock()
    runs = [Contestant("a", clock.taking("a", 100, 1, 5, 3)), Contestant("b", clock.taking("b", 2))]
    a, b = race(runs, EXACT, rounds=3, clock=clock)
    assert a.seconds == (1, 5, 3)
    assert (a.median, b.median) == (3, 2)


def test_everybody_begins_in_turn_and_has_two_neighbours() -> None:
    clock = Clock()
    race(_of(clock, a=1, b=1, c=1), EXACT, rounds=6, clock=clock)
    rounds = ["".join(clock.log[n : n + 3]) for n in range(3, 21, 3)]
    assert rounds == ["abc", "cba", "bca", "acb", "cab", "bac"]


@pytest.mark.parametrize(("least", "rounds"), [(3, 3), (1, 2)])
def test_out_of_time_no_round_begins_but_the_least(least: int, rounds: int) -> None:
    clock = Clock()
    laps = race(_of(clock, a=2, b=2), EXACT, rounds=9, seconds=6, least=least, clock=clock)
    assert [len(lap.seconds) for lap in laps] == [rounds, rounds]


def test_who_raises_is_told_in_one_line_and_the_others_run_on() -> None:
    clock = Clock()

    def broken() -> np.ndarray:
        raise RuntimeError("no such\nlayer")

    runs = [Contestant("a", clock.taking("a", 1)), Contestant("b", broken), Contestant("c", clock.taking("c", 2))]
    a, b, c = race(runs, EXACT, rounds=2, clock=clock)
    assert b == Lap("b", failure="RuntimeError: no such layer")
    assert math.isnan(b.median)
    assert (a.median, c.median, c.agrees) == (1, 2, True)


def test_without_a_reference_nothing_is_compared() -> None:
    def broken() -> np.ndarray:
        raise RuntimeError("no")

    clock = Clock()
    _, b = race([Contestant("a", broken), Contestant("b", clock.taking("b", 1))], EXACT, rounds=1, clock=clock)
    assert (b.agrees, b.difference, b.seconds) == (None, None, (1,))


def test_results_are_compared_with_the_first() -> None:
    clock = Clock()
    runs = [
        Contestant("a", clock.taking("a", 1, gives=2.0)),
        Contestant("near", clock.taking("near", 1, gives=2.1)),
        Contestant("bare", clock.taking("bare", 1, gives=9.0), form=None),
    ]
    a, near, bare = race(runs, EXACT, rounds=1, clock=clock)
    assert (a.difference, a.agrees) == (0, True)
    assert (near.difference, near.agrees) == (pytest.approx(0.05), False)
    assert (bare.difference, bare.agrees) == (None, None)


def test_another_shape_or_nan_never_agrees() -> None:
    measure = Measure("max", math.inf)
    assert math.isnan(measure.of(np.ones((1, 3)), np.ones((1, 2))))
    assert math.isnan(measure.of(np.array([[1.0, math.nan]]), np.ones((1, 2))))
    assert not measure.agrees(math.nan)
    assert not Measure("correlation", -1).agrees(math.nan)


def test_of_all_images_the_worst_counts() -> None:
    expected = np.array([[3.0, 4.0], [1.0, -2.0]])
    found = np.array([[3.0, 4.0], [1.0, -1.0]])
    assert Measure("max", 1).of(found, expected) == 0.5
    assert Measure("l2", 1).of(found, expected) == pytest.approx(1 / math.sqrt(5))
    turned = np.array([[3.0, 4.0], [-1.0, 2.0]])
    assert Measure("correlation", 0.9).of(turned, expected) == pytest.approx(-1)
    assert Measure("correlation", 0.9).agrees(0.95)
    assert not Measure("correlation", 0.9).agrees(0.85)


def test_maps_that_are_constant_correlate_only_if_equal() -> None:
    measure = Measure("correlation", 0.9)
    assert measure.of(np.full((1, 4), 2.0), np.full((1, 4), 2.0)) == 1
    assert measure.of(np.full((1, 4), 3.0), np.full((1, 4), 2.0)) == 0


def test_forms_are_taken_by_the_reference() -> None:
    expected = np.array([[-1.0, 2.0], [4.0, -8.0]])
    np.testing.assert_array_equal(shown(expected, expected, "relu"), [[0, 2], [4, 0]])
    other = expected * np.array([[-3.0], [0.5]])
    np.testing.assert_allclose(shown(expected, other, "factor"), other)
    assert shown(expected, other, "") is expected


def test_of_several_settings_the_fastest_probe_is_chosen() -> None:
    clock = Clock()
    seconds = {"8": 3.0, "16": 1.0, "32": 2.0}
    runs = [
        Contestant("a", clock.taking("run", 50), setting=size, probe=clock.taking(size, spent))
        for size, spent in seconds.items()
    ]
    alone = Contestant("b", clock.taking("b", 1))
    found = chosen([*runs, alone], clock=clock)
    assert [(each.name, each.setting) for each in found] == [("a", "16"), ("b", "")]
    assert clock.log == ["8", "8", "16", "32"]  # the first once more, uncounted; nobody's whole run


def test_a_setting_that_fails_is_out_and_a_library_that_always_does_stays() -> None:
    def broken() -> object:
        raise MemoryError

    clock = Clock()
    good = Contestant("a", clock.taking("a", 9), setting="good")
    bad = Contestant("a", clock.taking("a", 1), setting="bad", probe=broken)
    assert chosen([bad, good], clock=clock)[0].setting == "good"
    worse = Contestant("a", clock.taking("a", 1), setting="worse", probe=broken)
    assert chosen([worse, bad], clock=clock)[0].setting == "worse"


def test_the_fastest_is_the_fastest_that_agrees() -> None:
    laps = [
        Lap("seewhy", seconds=(1.0,), agrees=True),
        Lap("wrong", seconds=(2.0,), agrees=False),
        Lap("slow", seconds=(9.0,), agrees=True),
        Lap("right", seconds=(4.0,), agrees=True),
        Lap("right", "prepared", seconds=(3.0,), agrees=True),
        Lap("by hand", seconds=(0.5,), agrees=True, counted=False),
        Lap("failed", failure="no"),
    ]

    def name(**given: Any) -> tuple[str, float] | None:
        found = fastest(laps, **given)
        return None if found is None else (found.name, found.median)

    assert name() == ("right", 4)
    assert name(on="prepared") == ("right", 3)
    assert name(name="wrong") == ("wrong", 2)
    assert name(name="by hand") == ("by hand", 0.5)
    assert name(name="failed") is None
    assert fastest([laps[1], laps[0]]) is laps[1]


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(UsageError, match="no measure 'l3'; one of max, l2, correlation"):
        Measure("l3", 1)
    with pytest.raises(UsageError, match="rounds=0"):
        race([], EXACT, rounds=0)
