"""Racing: takes named callables that claim to compute the same thing, gives everybody's interleaved times and how far
their results are apart; drops nobody."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.api.bench.measures import Measure, shown
from seewhy.errors import UsageError

__all__ = ["LEAST", "Contestant", "Lap", "Progress", "chosen", "fastest", "race"]

#: rounds that even a race out of time runs: a median of fewer is one number with luck
LEAST = 3
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Contestant:
    """One way to compute a result: ``run`` gives it as an array [B, ...].

    ``on`` says what it runs on (``eager`` or ``prepared``). Contestants of one name and one ``on`` differ in their
    ``setting``, and `chosen` keeps the fastest by its ``probe``, a shorter run. ``form`` is what is done to the
    reference before the two are compared: '' nothing, ``relu``, ``factor`` (times the best common factor of each
    image, for those who divide by something); None for a result that is not compared. ``counted`` is False for what is
    no library.
    """

    name: str
    run: Callable[[], NDArray[Any]]
    on: str = "eager"
    setting: str = ""
    form: str | None = ""
    probe: Callable[[], object] | None = None
    counted: bool = True


@dataclass(frozen=True)
class Lap:
    """What became of a contestant: ``seconds`` of every counted round, ``difference`` from the reference and whether
    that ``agrees`` (None where nothing was compared), ``failure`` in words."""

    name: str
    on: str = "eager"
    setting: str = ""
    seconds: tuple[float, ...] = ()
    difference: float | None = None
    agrees: bool | None = None
    failure: str = ""
    counted: bool = True

    @property
    def median(self) -> float:
        """Of the counted rounds, seconds; NaN where there are none."""
        return statistics.median(self.seconds) if self.seconds else math.nan


def chosen(
    contestants: Sequence[Contestant],
    *,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress | None = None,
) -> list[Contestant]:
    """One contestant for each name and ``on``: of several settings the one whose probe is fastest, after one run that
    is not counted. A setting that fails is out, unless all of them fail; then the first stays and fails in the race.
    """
    groups: dict[tuple[str, str], list[Contestant]] = {}
    for contestant in contestants:
        groups.setdefault((contestant.name, contestant.on), []).append(contestant)
    several = sum(len(group) for group in groups.values() if len(group) > 1)
    done, winners = 0, []
    for group in groups.values():
        best, least = group[0], math.inf
        for n, contestant in enumerate(group if len(group) > 1 else ()):
            probe = contestant.probe or contestant.run
            try:
                if n == 0:
                    probe()
                began = clock()
                probe()
                spent = clock() - began
            except Exception:  # whatever a library raises with this setting, another may do
                spent = math.inf
            best, least = (contestant, spent) if spent < least else (best, least)
            done += 1
            if progress is not None:
                progress("settings", done, several)
        winners.append(best)
    if several:
        gc.collect()  # the graphs that probes may leave in cycles
    return winners


def race(
    contestants: Sequence[Contestant],
    measure: Measure,
    *,
    rounds: int = 15,
    seconds: float | None = None,
    least: int = LEAST,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress | None = None,
) -> list[Lap]:
    """Everybody's times and results, in the order of ``contestants``, whose first is the reference.

    A first run of each is not counted: its result is what is compared. Then come up to ``rounds`` rounds, each of one
    run of everybody, begun by another in turn and every second time backwards, because whoever runs finds the caches
    that the one before left. After ``seconds`` no further round begins, once there were ``least``. A contestant that
    raises anything is told with its words and left out of the rounds. Raises `UsageError` for no rounds.

    >>> import numpy as np
    >>> runs = [Contestant("one", lambda: np.ones((1, 2))), Contestant("two", lambda: 2 * np.ones((1, 2)))]
    >>> [(lap.name, lap.difference, lap.agrees) for lap in race(runs, Measure("max", 0.1), rounds=1)]
    [('one', 0.0, True), ('two', 1.0, False)]
    """
    if rounds < 1:
        raise UsageError(f"rounds={rounds}: a median takes at least one round, e.g. rounds=5")
    with _swept():
        laps = _first(contestants, measure, progress)
        spent = _rounds(contestants, laps, rounds, seconds, least, clock, progress)
    return [replace(lap, seconds=tuple(times)) for lap, times in zip(laps, spent, strict=True)]


def _rounds(
    contestants: Sequence[Contestant],
    laps: Sequence[Lap],
    rounds: int,
    seconds: float | None,
    least: int,
    clock: Callable[[], float],
    progress: Progress | None,
) -> list[list[float]]:
    """The seconds of everybody who has not failed, round by round."""
    spent: list[list[float]] = [[] for _ in contestants]
    running = [n for n, lap in enumerate(laps) if not lap.failure]
    began = clock()
    for turn in range(rounds if running else 0):
        if seconds is not None and turn >= least and clock() - began >= seconds:
            break
        for n in _order(running, turn):
            before = clock()
            contestants[n].run()
            spent[n].append(clock() - before)
            gc.collect()  # what somebody leaves behind in cycles would be cleared away in the time of the next
        if progress is not None:
            progress("rounds", turn + 1, rounds)
    return spent


@contextmanager
def _swept() -> Iterator[None]:
    """While the context lasts collecting garbage looks at what was made in it alone: a walk through everything that
    large libraries hold takes longer than most runs."""
    frozen = gc.get_freeze_count()
    if not frozen:  # a caller's own frozen objects could not be told from these afterwards
        gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()


def _order(running: Sequence[int], turn: int) -> list[int]:
    """Who runs when in a round: everybody begins in turn, and has other neighbours in every second round."""
    start = turn // 2 % len(running)
    order = [*running[start:], *running[:start]]
    return order[::-1] if turn % 2 else order


def _first(contestants: Sequence[Contestant], measure: Measure, progress: Progress | None) -> list[Lap]:
    """A lap without times for everybody: what the result is compared with, or why there is none."""
    expected: NDArray[Any] | None = None
    laps = []
    for n, contestant in enumerate(contestants):
        if progress is not None:
            progress("results", n, len(contestants))
        lap = Lap(contestant.name, contestant.on, contestant.setting, counted=contestant.counted)
        try:
            result = np.asarray(contestant.run())
        except Exception as error:  # a library may raise anything; that it does is part of what is asked
            laps.append(replace(lap, failure=_one_line(error)))
            continue
        expected = result if n == 0 else expected
        if contestant.form is not None and expected is not None:
            value = measure.of(result, shown(expected, result, contestant.form))
            lap = replace(lap, difference=value, agrees=measure.agrees(value))
        laps.append(lap)
        gc.collect()
    if progress is not None:
        progress("results", len(contestants), len(contestants))
    return laps


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def fastest(laps: Sequence[Lap], *, on: str = "eager", name: str = "", besides: str = "seewhy") -> Lap | None:
    """The quickest library on ``on`` whose result agrees, called ``name`` if one is named, never ``besides``; where no
    result agrees, the quickest of all; None where nothing ran.

    >>> laps = [Lap("a", seconds=(1.0,), agrees=False), Lap("b", seconds=(2.0,), agrees=True)]
    >>> fastest(laps).name
    'b'
    """
    timed = [lap for lap in laps if lap.on == on and lap.seconds and lap.name != besides]
    timed = [lap for lap in timed if lap.name == name] if name else [lap for lap in timed if lap.counted]
    return min((lap for lap in timed if lap.agrees), default=min(timed, default=None, key=_median), key=_median)


def _median(lap: Lap) -> float:
    return lap.median
