"""Running moments: takes samples chunk by chunk, gives means, variances and their standard errors; keeps no sample."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["Running", "student"]


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
