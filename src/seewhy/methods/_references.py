"""Ways from references to inputs at random places: takes draws by their names, gives points in pairs and the shares of
their gradients, and references by chance; runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seewhy.core.perturb.estimators import Means
from seewhy.core.perturb.noise import fingerprint, gaussian
from seewhy.errors import UsageError

__all__ = ["Draws", "Shares", "check_pairs", "noise_references", "point_between", "uniform"]

_FAMILY = "expected-gradients"

#: (samples [m], numbers of pairs [m]) to ends [m, ...], starts [m, ...] and the first place on the way [m]
Draws = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def check_pairs(n: int, sigma: float) -> None:
    """Raise `UsageError` for draws that make no pairs, or noise of no size."""
    if n < 1 or n % 2 or not sigma >= 0:
        raise UsageError(f"n={n}, sigma={sigma}: draws come in pairs, so n is even, and sigma is 0 or more")


def uniform(keys: Sequence[tuple[bytes, int]], shape: tuple[int, ...], seed: int, what: str = "") -> Tensor:
    """Numbers from 0 to 1 for each of ``keys``, [m, *shape], float64; ``what`` tells apart what is drawn of a key."""
    # by way of the normal distribution function: one kind of draw serves all
    shares: Tensor = torch.special.ndtr(gaussian(keys, shape, family=f"{_FAMILY}{what}", seed=seed).double())
    return shares


def noise_references(x: Tensor, bounds: tuple[Tensor, Tensor], count: int, seed: int) -> Tensor:
    """``count`` draws of each image [B, count, C, *size], uniform between ``bounds``, two of [B, C, 1...], from the
    image, ``seed`` and the number of the draw alone."""
    low, high = (bound.to(x) for bound in bounds)
    keys, shape = fingerprint(x), tuple(x.shape[1:])
    shares = (uniform([(key, index) for key in keys], shape, seed, "-reference").to(x) for index in range(count))
    return torch.stack([low + (high - low) * share for share in shares], 1)


def point_between(draws: Draws, samples: Tensor, indices: Tensor) -> Tensor:
    """Points [m, ...]: of a pair the first at its place on the way, the second at the mirrored one."""
    ends, starts, places = draws(samples, indices // 2)
    mirrored = torch.where(indices.cpu() % 2 == 1, 1 - places, places).to(ends)
    return starts + mirrored.reshape(-1, *(1 for _ in ends.shape[1:])) * (ends - starts)


class Shares(Means):
    """Means of gradients, ``multiplied`` by the difference that their pair has in common."""

    def __init__(self, batch: int, tolerance: float, draws: Draws, *, multiplied: bool) -> None:
        super().__init__(batch, tolerance)
        self._draws, self._multiplied = draws, multiplied

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Add one chunk; the estimator of pairs gives their numbers."""
        if not self._multiplied:
            return super().add(samples, indices, answers[0])
        ends, starts, _ = self._draws(samples, indices)
        return super().add(samples, indices, answers[0] * (ends - starts))
