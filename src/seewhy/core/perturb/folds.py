"""Folds: take a stream of answers chunk by chunk, give sums or all answers; hold no more than they must."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Collect", "Gather", "WeightedSum", "per_image"]


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


class Gather:
    """Every answer of every variant: a tuple of [B, count, ...], one for each thing wanted. For short streams, such as
    one step of an optimisation."""

    def __init__(self, batch: int, count: int) -> None:
        self._batch, self._count = batch, count
        self._values: list[Tensor] = []

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Add one chunk."""
        if not self._values:
            self._values = [answer.new_zeros((self._batch, self._count, *answer.shape[1:])) for answer in answers]
        for values, answer in zip(self._values, answers, strict=True):
            values[samples.to(values.device), indices.to(values.device)] = answer

    def result(self) -> tuple[Tensor, ...]:
        """The answers."""
        return tuple(self._values)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """One number per image [B], shaped to combine with ``like`` [B, ...]."""
    return values.to(like).reshape(-1, *(1 for _ in like.shape[1:]))
