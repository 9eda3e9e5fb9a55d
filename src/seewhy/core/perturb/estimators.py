"""Estimators: take samples chunk by chunk, give a mean with its standard error, and when to stop; draw nothing.

A stream with `rounds` asks its fold after 16, 32, 64... samples which images are settled. An `Estimator` answers: the
root mean square of the map's standard error is under ``tolerance`` of the map's range (maximum minus minimum). The
rounds are fixed numbers of samples, so that neither the memory budget nor the batch changes where an image stops.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.percentages import percent
from seewhy.errors import UsageError

__all__ = ["Estimate", "Estimator", "Means", "Pairs", "Running", "Variances", "relative_error", "rounds", "student"]


def student(freedom: Tensor) -> Tensor:
    """By how much a standard error from ``freedom`` + 1 samples is widened so that two of them cover 95 %.

    Student's 97.5 % quantile over the normal one, by the Cornish-Fisher expansion (within 1 % from 3 degrees on).

    >>> [round(float(student(torch.tensor(float(v)))), 2) for v in (7, 31, 1000)]
    [1.21, 1.04, 1.0]
    """
    v = freedom.clamp(min=1).to(torch.float64)
    z = 1.959964
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return 1 + (terms[0] / v + terms[1] / v**2 + terms[2] / v**3) / z


class Running:
    """Mean and central power sums of one image's samples, merged chunk by chunk (Pébay 2008, SAND2008-6212)."""

    def __init__(self, powers: int) -> None:
        self.count, self._powers = 0, powers
        self.mean = torch.zeros(())
        self._sums: list[Tensor] = [torch.zeros(())] * (powers - 1)

    def add(self, values: Tensor) -> None:
        """Samples [m, ...]."""
        n, m = self.count, values.shape[0]
        mean = values.mean(0)
        away = values - mean
        theirs = [away.pow(p).sum(0) for p in range(2, self._powers + 1)]
        if n == 0:
            self.count, self.mean, self._sums = m, mean, theirs
            return
        delta, total, ours = mean - self.mean, n + m, self._sums
        merged = [ours[0] + theirs[0] + delta**2 * (n * m / total)]
        if self._powers == 4:
            merged.append(
                ours[1] + theirs[1] + delta**3 * (n * m * (n - m) / total**2)
                + 3 * delta * (n * theirs[0] - m * ours[0]) / total
            )  # fmt: skip
            merged.append(
                ours[2] + theirs[2] + delta**4 * (n * m * (n * n - n * m + m * m) / total**3)
                + 6 * delta**2 * (n * n * theirs[0] + m * m * ours[0]) / total**2
                + 4 * delta * (n * theirs[1] - m * ours[1]) / total
            )  # fmt: skip
        self.mean = self.mean + delta * (m / total)
        self.count, self._sums = total, merged

    def variance(self) -> Tensor:
        """Unbiased; 0 for one sample."""
        return self._sums[0] / max(self.count - 1, 1)

    def error(self, *, skewed: bool = False) -> Tensor:
        """Of the mean; infinite for one sample, which says nothing of its spread. ``skewed`` samples are never negative
        and lie mostly near zero, as squares do: see `_reach`."""
        n = self.count
        if n < 2:
            return torch.full_like(self.mean, math.inf)
        error = (self.variance() / n).sqrt() * self._wider
        return error * _reach(self.variance().sqrt(), self.mean, n) if skewed else error

    def error_of_variance(self) -> Tensor:
        """Of the unbiased variance, the mean of skewed squares: sqrt((m4 - (n - 3) / (n - 1) s^4) / n), widened."""
        n = self.count
        if n < 2:
            return torch.full_like(self.mean, math.inf)
        fourth, square = self._sums[2] / n, self.variance() ** 2
        spread = (fourth - square * ((n - 3) / max(n - 1, 1))).clamp(min=0).sqrt()
        return spread / math.sqrt(n) * self._wider * _reach(spread, self.variance(), n)

    @property
    def _wider(self) -> float:
        return float(student(torch.tensor(float(self.count - 1))))


def _reach(spread: Tensor, mean: Tensor, n: int) -> float:
    """By how much an error is widened for samples that are squares: few draws mostly miss the rare large ones, and then
    both the mean and its error come out too small.

    To reach the truth above in 97.5 % of cases, Johnson (1978, Modified t tests and confidence intervals for
    asymmetrical populations) adds skewness (2 z^2 + 1) / (6 sqrt(n)) to the z = 1.96 errors. The skewness is taken as
    that of a gamma distribution, twice the coefficient of variation, which is averaged over all values: a single
    one's is too uncertain.
    """
    varying = mean > 0
    if not bool(varying.any()):
        return 1.0
    skewness = 2 * float((spread[varying] / mean[varying]).detach().square().mean().sqrt()) * n / max(n - 2, 1)
    z = 1.959964
    return 1 + skewness * (2 * z * z + 1) / (6 * math.sqrt(n) * z)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A map [B, ...], its standard error of the same shape, that of the channel sum [B, *positions] where it is known,
    and the samples it is made of [B]."""

    values: Tensor
    error: Tensor
    counts: Tensor
    summed: Tensor | None = None


def rounds(n: int, first: int = 8, growth: float = 2.0) -> tuple[int, ...]:
    """Numbers of samples after which to look: ``first``, ``growth`` times as many, and so on until ``n``; even numbers,
    so that pairs are whole.

    >>> rounds(40), rounds(40, 16, 1.25)
    ((8, 16, 32, 40), (16, 20, 24, 30, 38, 40))
    """
    counts = [min(first, n)]
    while counts[-1] < n:
        counts.append(min(max(2 * round(growth * counts[-1] / 2), counts[-1] + 2), n))
    return tuple(counts)


def relative_error(estimate: Estimate) -> Tensor:
    """Root mean square of the error over the map's range, [B]. A map that is the same everywhere (one piece, one cell)
    has no range: its magnitude stands in, and an error beside a map of zeros is infinitely large. NaN for a map whose
    values are not all finite, or of which nothing is known but that its error is NaN."""
    values, error = estimate.values.detach().flatten(1), estimate.error.detach().flatten(1)
    size, range_, most = error.square().mean(1).sqrt(), values.amax(1) - values.amin(1), values.abs().amax(1)
    range_ = torch.where(range_ > 16 * torch.finfo(values.dtype).eps * most, range_, most)
    share = torch.where(size == 0, torch.zeros_like(size), size / range_)
    return torch.where(values.isfinite().all(1), share, torch.full_like(size, math.nan))


class Estimator(ABC):
    """A fold whose result is an `Estimate`; ``tolerance`` says when an image needs no more samples.

    Raises `UsageError` for a tolerance that is no positive number.
    """

    def __init__(self, batch: int, tolerance: float) -> None:
        if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not tolerance >= 0:
            raise UsageError(
                f"tolerance={tolerance!r}: a share of the map's range, e.g. 0.05; 0 spends the whole budget"
            )
        self.batch, self.tolerance = batch, float(tolerance)

    @abstractmethod
    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Add one chunk."""

    @abstractmethod
    def result(self) -> Estimate:
        """What the samples amount to so far."""

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether every image has samples enough for an estimate."""

    def settled(self) -> Tensor:
        """Which images need no more, [B]: one that holds NaN would hold it after any number of samples."""
        share = relative_error(self.result())
        return (share <= self.tolerance) | share.isnan()

    def attribution(self, budget: int, unit: str, *, finished: bool = True) -> Attribution:
        """The result as a formula returns it, with how it ended in words."""
        estimate = self.result()
        shares, notes = relative_error(estimate), []
        # a tolerance of 0 asks for the whole budget, and gets it
        converged = (shares <= self.tolerance) | (self.tolerance == 0)
        unknown = estimate.error.detach().flatten(1).isinf().any(1)
        rows = zip(*(tensor.tolist() for tensor in (shares, estimate.counts, converged, unknown)), strict=True)
        for share, count, good, few in rows:
            words = f"{count:.0f} of {budget} {unit}, {_in_words(share, few)}"
            if not finished:
                notes.append(f"interrupted after {words}")
            elif math.isnan(share):
                notes.append(f"stopped after {words}, which no further sample changes")
            elif self.tolerance == 0:
                notes.append(f"budget spent: {words}")
            elif good:
                notes.append(f"stopped after {words}: within tolerance={self.tolerance:g}")
            else:
                notes.append(f"budget spent: {words}, above tolerance={self.tolerance:g}; raise n, or the tolerance")
        return Attribution(estimate.values, estimate.error, converged, tuple(notes), estimate.summed, finished)


def _in_words(share: float, unknown: bool) -> str:
    """A standard error of ``share`` of the map's range; ``unknown`` where there were too few samples for one."""
    if math.isnan(share):
        return "the map holds values that are no numbers"
    if unknown:
        return "too few for a standard error"
    if share == math.inf:
        return "a standard error, and a map of zeros"
    return f"standard error {percent(share)} of the map's range"


class Means(Estimator):
    """The mean of ``formula(*answers)`` over independent samples, and its standard error.

    Running mean and squared deviations are merged chunk by chunk (Chan's update: no cancellation); the sum over
    channels has moments of its own, since the channels' errors are not independent. ``skewed`` says that samples are
    squares, of which few draws tell too little.
    """

    def __init__(
        self,
        batch: int,
        tolerance: float,
        formula: Callable[..., Tensor] = lambda answer: answer,
        *,
        skewed: bool = False,
        powers: int = 2,
    ) -> None:
        super().__init__(batch, tolerance)
        self._formula, self._skewed = formula, skewed
        self._whole: list[Running] = [Running(powers) for _ in range(batch)]
        self._channels: list[Running] = [Running(2) for _ in range(batch)]

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Add one chunk."""
        values = self._formula(*answers)
        for sample in sorted(set(samples.tolist())):
            of_sample = values[(samples == sample).to(values.device)]
            self._whole[sample].add(of_sample)
            if of_sample.ndim > 2:
                self._channels[sample].add(of_sample.sum(1))

    @property
    def ready(self) -> bool:
        """Whether every image has two samples or more."""
        return all(running.count >= 2 for running in self._whole)

    def result(self) -> Estimate:
        """Means, standard errors of them, and counts."""
        counts = torch.tensor([float(running.count) for running in self._whole], dtype=torch.float64)
        summed = None
        if self._channels[0].count:
            summed = torch.stack([running.error(skewed=self._skewed) for running in self._channels])
        values = torch.stack([running.mean for running in self._whole])
        return Estimate(
            values, torch.stack([running.error(skewed=self._skewed) for running in self._whole]), counts, summed
        )


class Variances(Means):
    """The unbiased variance over independent samples, and its standard error, from four running moments."""

    def __init__(self, batch: int, tolerance: float, formula: Callable[..., Tensor] = lambda answer: answer) -> None:
        super().__init__(batch, tolerance, formula, powers=4)

    def result(self) -> Estimate:
        """Variances, standard errors of them, and counts."""
        counts = torch.tensor([float(running.count) for running in self._whole], dtype=torch.float64)
        values = torch.stack([running.variance() for running in self._whole])
        return Estimate(values, torch.stack([running.error_of_variance() for running in self._whole]), counts)


class Pairs:
    """A fold of antithetic samples 2k and 2k + 1: hands the mean of each pair's answers to another fold, since only
    pairs are independent of each other."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self._single: dict[tuple[int, int], list[Tensor]] = {}

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Add one chunk; a sample whose partner is in the next one waits for it."""
        pairs: list[tuple[int, int, list[Tensor]]] = []
        for row, (sample, index) in enumerate(zip(samples.tolist(), indices.tolist(), strict=True)):
            single, key = [answer[row] for answer in answers], (sample, index // 2)
            partner = self._single.pop(key, None)
            if partner is None:
                self._single[key] = single
            else:
                pairs.append((*key, [(a + b) / 2 for a, b in zip(partner, single, strict=True)]))
        if pairs:
            whose, which, values = zip(*pairs, strict=True)
            columns = [torch.stack(column) for column in zip(*values, strict=True)]
            self.inner.add(torch.tensor(whose), torch.tensor(which), *columns)

    @property
    def ready(self) -> bool:
        """Whether every image has pairs enough."""
        return bool(self.inner.ready)

    def settled(self) -> Tensor:
        """Which images need no more, [B]."""
        return self.inner.settled()  # type: ignore[no-any-return]

    def result(self) -> Any:
        """The inner fold's result."""
        return self.inner.result()

    def attribution(self, budget: int, unit: str, *, finished: bool = True) -> Attribution:
        """The inner fold's, counted in pairs."""
        return self.inner.attribution(budget // 2, f"pairs of {unit}", finished=finished)  # type: ignore[no-any-return]
