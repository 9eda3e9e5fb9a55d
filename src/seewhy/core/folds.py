"""Folds: take a stream of answers chunk by chunk, give sums, moments or all scores; hold no more than they must."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["Collect", "Mean", "Moments", "Squared", "WeightedSum", "per_image"]


class _PerImage:
    """One running sum per image, made when the first answer shows its shape."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.sum: Tensor | None = None

    def add(self, samples: Tensor, values: Tensor) -> None:
        if self.sum is None:
            self.sum = values.new_zeros((self.batch, *values.shape[1:]))
        self.sum = self.sum.index_add(0, samples.to(values.device), values)

    @property
    def total(self) -> Tensor:
        assert self.sum is not None, "a fold was read before any chunk came"
        return self.sum


class WeightedSum:
    """sum_i weight_i answer_i per image, [B, ...]."""

    def __init__(self, batch: int, weights: Sequence[float]) -> None:
        self._sum, self._weights = _PerImage(batch), torch.tensor(weights, dtype=torch.float64)

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Add one chunk."""
        weight = self._weights[indices.cpu()].to(answers[0])
        self._sum.add(samples, answers[0] * weight.reshape(-1, *(1 for _ in answers[0].shape[1:])))

    def result(self) -> Tensor:
        """The sum, [B, ...]."""
        return self._sum.total


class Mean:
    """Mean of ``formula(*answers)`` per image, [B, ...]."""

    def __init__(self, batch: int, formula: Callable[..., Tensor] = lambda answer: answer) -> None:
        self._sum, self._count, self._formula = _PerImage(batch), _PerImage(batch), formula

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Add one chunk."""
        values = self._formula(*answers)
        self._sum.add(samples, values)
        self._count.add(samples, torch.ones_like(samples, dtype=values.dtype))

    def result(self) -> Tensor:
        """The mean, [B, ...]."""
        total = self._sum.total
        return total / self._count.total.to(total).reshape(-1, *(1 for _ in total.shape[1:]))


class Moments:
    """Running mean and sum of squared deviations (Chan's update: no cancellation); result ``(mean, variance, count)``.

    ``variance`` is the unbiased sample variance, 0 for one sample.
    """

    def __init__(self, batch: int) -> None:
        self._batch, self._count = batch, 0
        self._mean: Tensor | None = None
        self._deviation: Tensor | None = None
        self._counts = torch.zeros(batch, dtype=torch.long)

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Add one chunk."""
        values = answers[0]
        if self._mean is None or self._deviation is None:
            self._mean = values.new_zeros((self._batch, *values.shape[1:]))
            self._deviation = torch.zeros_like(self._mean)
        for sample in sorted(set(samples.tolist())):
            mine = values[(samples == sample).to(values.device)]
            n, m = int(self._counts[sample]), mine.shape[0]
            mean = mine.mean(0)
            delta = mean - self._mean[sample]
            self._mean[sample] += delta * (m / (n + m))
            self._deviation[sample] += (mine - mean).square().sum(0) + delta.square() * (n * m / (n + m))
            self._counts[sample] += m

    def result(self) -> tuple[Tensor, Tensor, Tensor]:
        """``(mean, variance, count)``: [B, ...], [B, ...], [B]."""
        assert self._mean is not None, "a fold was read before any chunk came"
        assert self._deviation is not None
        spare = (self._counts - 1).clamp(min=1).to(self._mean).reshape(-1, *(1 for _ in self._mean.shape[1:]))
        return self._mean, self._deviation / spare, self._counts


class Collect:
    """All scores, [B, count]: for answers of one number each. Entries never asked for keep ``missing``."""

    def __init__(self, batch: int, count: int, missing: float = 0.0) -> None:
        self._batch, self._size, self._missing = batch, count, missing
        self._values: Tensor | None = None

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Add one chunk."""
        if self._values is None:
            self._values = answers[0].new_full((self._batch, self._size), self._missing)
        device = self._values.device
        self._values[samples.to(device), indices.to(device)] = answers[0]

    def result(self) -> Tensor:
        """The scores, [B, count]."""
        assert self._values is not None, "a fold was read before any chunk came"
        return self._values


class Squared:
    """Another fold, fed with squared answers."""

    def __init__(self, fold: Moments) -> None:
        self._fold = fold

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Square one chunk and pass it on."""
        self._fold.add(samples, indices, *(answer.square() for answer in answers))

    def result(self) -> tuple[Tensor, Tensor, Tensor]:
        """The inner fold's result."""
        return self._fold.result()


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """One number per image [B], shaped to combine with ``like`` [B, ...]."""
    return values.to(like).reshape(-1, *(1 for _ in like.shape[1:]))
