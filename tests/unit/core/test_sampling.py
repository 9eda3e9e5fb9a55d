"""Sampling: running means, variances and pairs against numpy however the stream is cut; errors, rounds, words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seewhy.core.perturb.estimators import Estimate, Means, Pairs, Variances, relative_error, rounds, student
from seewhy.errors import UsageError


def _stream(cuts: list[int], seed: int, offset: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values [N, 3, 2] of two images in turn, the image each belongs to, and its index there."""
    draw = torch.Generator().manual_seed(seed)
    values = torch.randn(sum(cuts), 3, 2, dtype=torch.float64, generator=draw) + offset
    rows = torch.arange(len(values))
    return values, rows % 2, rows // 2


def _wider(n: int) -> float:
    return float(student(torch.tensor(float(n - 1))))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(1, 7), min_size=2, max_size=6), seed=st.integers(0, 100))
def test_means_are_numpys_however_the_stream_is_cut(cuts: list[int], seed: int) -> None:
    """Far from 0, so that cancellation would show; the sum over channels has an error of its own."""
    cuts = [4, *cuts]
    values, owner, index = _stream(cuts, seed, 1e4)
    fold = Means(2, 0.05)
    for chunk, whose, which in zip(values.split(cuts), owner.split(cuts), index.split(cuts), strict=True):
        fold.add(whose, which, chunk)
    found = fold.result()
    assert found.summed is not None
    for image in (0, 1):
        own = values[owner == image].numpy()
        n = len(own)
        assert int(found.counts[image]) == n
        np.testing.assert_allclose(found.values[image], own.mean(0), rtol=1e-12)
        expected = own.std(0, ddof=1) / n**0.5 * _wider(n)
        np.testing.assert_allclose(found.error[image], expected, rtol=1e-6)
        expected = own.sum(1).std(0, ddof=1) / n**0.5 * _wider(n)
        np.testing.assert_allclose(found.summed[image], expected, rtol=1e-6)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(1, 7), min_size=2, max_size=6), seed=st.integers(0, 100))
def test_variances_are_numpys_however_the_stream_is_cut(cuts: list[int], seed: int) -> None:
    cuts = [4, *cuts]
    values, owner, index = _stream(cuts, seed, 3.0)
    fold = Variances(2, 0.05)
    for chunk, whose, which in zip(values.split(cuts), owner.split(cuts), index.split(cuts), strict=True):
        fold.add(whose, which, chunk)
    found = fold.result()
    for image in (0, 1):
        own = values[owner == image].numpy()
        n, away = len(own), own - own.mean(0)
        variance = own.var(0, ddof=1)
        np.testing.assert_allclose(found.values[image], variance, rtol=1e-9)
        spread = np.sqrt(np.maximum((away**4).mean(0) - variance**2 * (n - 3) / (n - 1), 0))
        expected = spread / np.sqrt(n) * _wider(n) * _reach(spread, variance, n)
        np.testing.assert_allclose(found.error[image], expected, rtol=1e-4, atol=1e-9)


def _reach(spread: np.ndarray, mean: np.ndarray, n: int) -> float:
    varying = mean > 0
    if not varying.any():
        return 1.0
    skewness = 2 * np.sqrt(((spread[varying] / mean[varying]) ** 2).mean()) * n / max(n - 2, 1)
    return 1 + skewness * (2 * 1.959964**2 + 1) / (6 * np.sqrt(n) * 1.959964)


def test_squares_are_reached_more_often() -> None:
    """Means of 32 squares of normal numbers, 4000 times: two plain errors reach the truth too seldom."""
    draw = torch.Generator().manual_seed(0)
    squares = torch.randn(32, 4000, dtype=torch.float64, generator=draw) ** 2
    whose, which = torch.zeros(32, dtype=torch.long), torch.arange(32)
    shares = []
    for skewed in (False, True):
        fold = Means(1, 0.1, skewed=skewed)
        fold.add(whose, which, squares)
        found = fold.result()
        shares.append(float(((found.values - 1).abs() <= 2 * found.error).double().mean()))
    assert shares[0] < 0.935
    assert 0.95 < shares[1] < 0.99


def test_the_formula_is_applied_to_every_sample() -> None:
    fold = Means(1, 0.1, lambda a, b: a * b)
    fold.add(
        torch.zeros(2, dtype=torch.long), torch.arange(2), torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [4.0]])
    )
    assert fold.result().values.tolist() == [[7.0]]


def test_one_sample_has_no_known_error() -> None:
    """Not 0: nothing is known of its spread, so no run settles on it."""
    for kind in (Means, Variances):
        fold = kind(1, 1e9)
        fold.add(torch.zeros(1, dtype=torch.long), torch.arange(1), torch.rand(1, 3))
        assert not fold.ready
        assert torch.isinf(fold.result().error).all()
        assert fold.settled().tolist() == [False]
        (note,) = fold.attribution(8, "samples").notes
        assert "too few for a standard error" in note


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(1, 5), min_size=1, max_size=8), seed=st.integers(0, 50))
def test_pairs_wait_for_each_other(cuts: list[int], seed: int) -> None:
    """Whatever the chunks, the mean of each pair is one sample; one without its partner does not count."""
    cuts = [8, *cuts]
    values, owner, index = _stream(cuts, seed)
    pairs = Pairs(Means(2, 0.05))
    for chunk, whose, which in zip(values.split(cuts), owner.split(cuts), index.split(cuts), strict=True):
        pairs.add(whose, which, chunk)
    found = pairs.result()
    assert pairs.ready
    for image in (0, 1):
        own = values[owner == image].numpy()
        whole = own[: len(own) // 2 * 2].reshape(-1, 2, 3, 2).mean(1)
        assert int(found.counts[image]) == len(whole)
        np.testing.assert_allclose(found.values[image], whole.mean(0), rtol=1e-9)
        expected = whole.std(0, ddof=1) / len(whole) ** 0.5 * _wider(len(whole))
        np.testing.assert_allclose(found.error[image], expected, rtol=1e-9)
    words = pairs.attribution(40, "samples").notes[0]
    assert f"{int(found.counts[0])} of 20 pairs of samples" in words


def test_rounds_double_to_the_budget() -> None:
    assert rounds(40) == (8, 16, 32, 40)
    assert rounds(8) == (8,)
    assert rounds(3) == (3,)
    assert rounds(65, 64) == (64, 65)
    for n in range(1, 200):
        found = rounds(n, 5)
        assert found[-1] == n
        assert all(b <= 2 * a for a, b in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(3, 3.182446), (5, 2.570582), (10, 2.228139), (30, 2.042272), (1000, 1.962339)]
)
def test_student_is_the_tables_quantile(freedom: int, quantile: float) -> None:
    """Of 97.5 % over the normal one, to 1 % from three degrees on."""
    assert float(student(torch.tensor(float(freedom)))) == pytest.approx(quantile / 1.959964, rel=0.01)


def _estimate(values: list[list[float]], error: list[list[float]]) -> Estimate:
    return Estimate(torch.tensor(values), torch.tensor(error), torch.ones(len(values)))


def test_relative_error_is_the_root_mean_square_over_the_range() -> None:
    found = relative_error(_estimate([[0, 4.0], [1, 1], [1, 1], [0, 1]], [[0.3, 0.4], [0, 0], [0.1, 0], [np.inf, 0]]))
    assert float(found[0]) == pytest.approx((0.125**0.5) / 4)
    assert float(found[1]) == 0  # constant, and known
    assert float(found[2]) == pytest.approx(0.005**0.5)  # constant: its magnitude is what there is to compare with
    assert float(found[3]) == np.inf
    assert float(relative_error(_estimate([[0, 0.0]], [[0.1, 0]]))) == np.inf


def test_attribution_says_how_it_ended() -> None:
    fold = Means(2, 0.05)
    steady, wild = torch.tensor([[0.0, 1.0]] * 4), torch.tensor([[0.0, 1.0], [9.0, -5.0], [3.0, 0.0], [-4.0, 2.0]])
    for image, values in enumerate((steady, wild)):
        fold.add(torch.full((4,), image), torch.arange(4), values)
    assert fold.settled().tolist() == [True, False]
    done = fold.attribution(4, "samples")
    assert done.converged is not None
    assert done.converged.tolist() == [True, False]
    assert done.finished
    assert done.notes[0].startswith("stopped after 4 of 4 samples")
    assert "within tolerance=0.05" in done.notes[0]
    assert done.notes[1].startswith("budget spent: 4 of 4 samples")
    assert "raise n" in done.notes[1]
    cut = fold.attribution(9, "samples", finished=False)
    assert not cut.finished
    assert all(note.startswith("interrupted after 4 of 9 samples") for note in cut.notes)


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), "0.1", None, True])
def test_a_tolerance_that_is_none(tolerance: object) -> None:
    with pytest.raises(UsageError, match=r"tolerance=.*share of the map's range"):
        Means(1, tolerance)  # type: ignore[arg-type]
