"""Intervals, paired tests, corrections and letters: by loops, by hand, and by scipy and statsmodels' published rules."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

from seewhy.errors import UsageError
from seewhy.metrics.standing import holm, interval, letters, needed, sign_flips


def _phi(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def _inverse(p: float) -> float:
    low, high = -40.0, 40.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _phi(middle) < p else (low, middle)
    return low


def _bca(values: list[float], means: list[float]) -> list[float]:
    """Efron's formulas, spelt out, on resampled means."""
    n, mean = len(values), sum(values) / len(values)
    below = sum(1.0 if m < mean else 0.5 if m == mean else 0.0 for m in means) / len(means)
    z0 = _inverse(below)
    without = [(sum(values) - value) / (n - 1) for value in values]
    centre = sum(without) / n
    a = sum((centre - w) ** 3 for w in without) / (6 * sum((centre - w) ** 2 for w in without) ** 1.5)
    ordered, ends = sorted(means), []
    for tail in (0.025, 0.975):
        z = z0 + _inverse(tail)
        place = _phi(z0 + z / (1 - a * z)) * (len(means) - 1)
        at, rest = int(place), place - int(place)
        ends.append(ordered[at] * (1 - rest) + ordered[at + 1] * rest)
    return ends


def test_an_interval_is_efron_s_on_draws_of_its_own() -> None:
    """Skewed numbers, resampled by Python's own generator: ends agree as far as 40,000 draws let them."""
    values = [math.exp(k / 4) for k in range(14)]
    draw = random.Random(5)
    means = [sum(draw.choices(values, k=14)) / 14 for _ in range(40_000)]
    found, right = interval(np.array(values)), _bca(values, means)
    spread = float(np.std(means))
    assert found == pytest.approx(right, abs=0.06 * spread)
    # skewed to the right: an interval that did not lean would be off by far more
    plain = np.percentile(means, [2.5, 97.5])
    assert right[0] - plain[0] > 0.2 * spread
    assert right[1] - plain[1] > 0.2 * spread


def test_an_interval_is_scipy_s() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(3).gamma(0.8, size=40)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=40_000, rng=np.random.default_rng(1)).confidence_interval
    spread = values.std() / math.sqrt(40)
    assert interval(values) == pytest.approx((theirs.low, theirs.high), abs=0.08 * spread)
    assert interval(values) == interval(values)
    assert interval(values) != interval(values, seed=1)
    wide, narrow = interval(values, level=0.99), interval(values, level=0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_chunks_of_draws_are_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(30)
    whole = interval(values)
    flips = sign_flips(values[:, None] - 0.4)
    monkeypatch.setattr("seewhy.metrics.standing._AT_ONCE", 3000)
    assert interval(values) == whole
    assert sign_flips(values[:, None] - 0.4) == flips


def test_few_images_have_no_interval_and_equal_ones_no_width() -> None:
    assert all(map(math.isnan, interval(np.arange(4.0))))
    assert interval(np.full(9, 0.25)) == (0.25, 0.25)
    with pytest.raises(UsageError, match="row of finite numbers"):
        interval(np.array([1.0, math.nan, 2, 3, 4]))
    with pytest.raises(UsageError, match="level=95"):
        interval(np.arange(9.0), level=95)


def test_intervals_hold_what_they_promise() -> None:
    """95 of 100 intervals hold the mean that numbers are drawn around; few images make it a little less."""
    draws = np.random.default_rng(11)
    held = [low <= 0 <= high for low, high in (interval(draws.normal(size=25)) for _ in range(300))]
    assert 0.88 < np.mean(held) < 0.98


def test_signs_are_all_tried_for_few_images() -> None:
    draws = np.random.default_rng(1)
    given = draws.normal(0.4, 1, (9, 3))
    given[2, 1] = math.nan
    found = sign_flips(given)
    for column in range(3):
        known = [value for value in given[:, column] if not math.isnan(value)]
        sums = [abs(sum(s * v for s, v in zip(signs, known, strict=True)))
                for signs in itertools.product((1, -1), repeat=len(known))]  # fmt: skip
        assert found[column] == pytest.approx(np.mean([each >= abs(sum(known)) - 1e-12 for each in sums]))


def test_signs_are_scipy_s() -> None:
    stats = pytest.importorskip("scipy.stats")
    few, many = np.random.default_rng(2).normal(0.3, 1, (2, 60))[0][:11], np.random.default_rng(4).normal(0.2, 1, 60)
    exact = stats.permutation_test((few,), np.mean, permutation_type="samples", n_resamples=math.inf).pvalue
    assert sign_flips(few[:, None])[0] == pytest.approx(exact)
    drawn = stats.permutation_test(
        (many,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(0)
    )
    assert sign_flips(many[:, None])[0] == pytest.approx(drawn.pvalue, abs=0.015)


def test_nothing_is_no_difference_and_many_tests_draw_more() -> None:
    assert sign_flips(np.zeros((20, 2))).tolist() == [1, 1]
    sure = np.ones((40, 1))
    assert sign_flips(sure)[0] == pytest.approx(1 / 10_001)
    assert sign_flips(sure, least=50_000)[0] == pytest.approx(1 / 50_001)
    with pytest.raises(UsageError, match="paired differences"):
        sign_flips(np.ones(4))


@pytest.mark.parametrize("comparisons", [1, 3, 6, 30])
def test_fewer_images_than_are_needed_tell_nothing(comparisons: int) -> None:
    """All images agree, as far as can be: one image fewer is never enough."""
    least = needed(comparisons)
    for count in (least - 1, least):
        chances = sign_flips(np.ones((count, comparisons))).tolist()
        assert (min(holm(chances)) <= 0.05) == (count == least)


def test_holm_by_hand() -> None:
    """Smallest times four, next times three, and never below one that came before."""
    assert holm([0.02, 0.001, 0.3, 0.015]) == pytest.approx([0.045, 0.004, 0.3, 0.045])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def _shared(words: list[str], one: int, other: int) -> bool:
    split = [set(each.split()) if " " in each else set(each) for each in words]
    return bool(split[one] & split[other])


@pytest.mark.parametrize("seed", range(20))
def test_letters_are_shared_by_exactly_those_that_are_not_apart(seed: int) -> None:
    draw = random.Random(seed)
    count = draw.randint(2, 9)
    pairs = list(itertools.combinations(range(count), 2))
    apart = {pair for pair in pairs if draw.random() < 0.5}
    words = letters(count, apart)
    for pair in pairs:
        assert _shared(words, *pair) == (pair not in apart)
    # no letter is another one's part: each is a largest set
    named = sorted({letter for each in words for letter in each})
    sets = [{at for at, each in enumerate(words) if letter in each} for letter in named]
    assert not any(a < b for a in sets for b in sets)


def test_letters_of_everybody_apart_and_of_nobody() -> None:
    assert letters(3, set()) == ["a", "a", "a"]
    assert letters(4, set(itertools.combinations(range(4), 2))) == list("abcd")
    assert letters(1, set()) == ["a"]
    many = letters(30, set(itertools.combinations(range(30), 2)))
    assert many[25:28] == ["z", "aa", "ab"]
