"""What masks would score, from the scores of a few: takes activations and a budget of forwards, chooses which channels
to look through, guesses the others, and says how far the guess can be trusted."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Score, Stream
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.sources import MaskedInput, StraightPath
from seewhy.errors import UsageError
from seewhy.methods._masks import channel_mask, varying_channels

__all__ = ["Surrogate", "guessed_increase"]

#: the share of a budget that goes to masks unlike each other, and the rounds in which the rest is spent
_SPREAD, _ROUNDS = 0.3, 4
#: the part of the scores' variance that no mask explains
_NOISE = 0.05
#: parts of the measured channels that are left out in turn
_FOLDS = 5
#: two masks unlike each other, two that follow
LEAST = 4


class Surrogate:
    """One image's increases, [N] for the masks of its varying channels, of which ``budget`` are measured.

    Masks that look alike score alike: the score is a smooth function of the mask, fitted by a Gaussian process, so a
    near-duplicate shares its neighbour's forward. Its kernel is half linear, for the trend, half Gaussian, as wide as
    the median distance of two measured masks. Three tenths of the budget go to masks as unlike each other as can be,
    the rest in four rounds to those that may score highest, guess plus doubt: in the softmax only they count.
    """

    def __init__(self, activation: Tensor, channels: Tensor, budget: int) -> None:
        self.channels, self.budget = channels, budget
        flat = activation.detach()[channels.to(activation.device)].flatten(1).to("cpu", torch.float64)
        if len(flat):
            low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
            flat = (flat - low) / (high - low)
        self._masks = flat
        self.measured: list[int] = []
        self._values: list[Tensor] = []

    @property
    def _first(self) -> int:
        return max(2, round(_SPREAD * self.budget))

    @property
    def exact(self) -> bool:
        """Whether the budget covers every channel."""
        return len(self.channels) <= self.budget

    def wanted(self) -> list[int]:
        """The rows to measure next; none once the budget is spent."""
        count = len(self.channels)
        if self.exact:
            return [] if self.measured else list(range(count))
        if not self.measured:
            return self._spread(self._first)
        size = -(-(self.budget - self._first) // _ROUNDS)
        values, doubt = self.fit(self.measured)
        hope = (values + doubt).detach()
        hope[self.measured] = -torch.inf
        left = min(size, self.budget - len(self.measured))
        return hope.argsort(descending=True, stable=True)[:left].tolist()

    def add(self, rows: Sequence[int], values: Tensor) -> None:
        """The increases [n] of ``rows``."""
        self.measured += rows
        self._values += values.to("cpu", torch.float64).unbind()

    def values(self, known: Sequence[int] | None = None) -> Tensor:
        """Every row's increase [N], as measured where it is one of ``known`` (all that were measured), else as guessed
        from those."""
        known = self.measured if known is None else known
        guessed, _ = self.fit(known)
        place = {row: at for at, row in enumerate(self.measured)}
        return guessed.index_put((torch.tensor(known),), torch.stack([self._values[place[row]] for row in known]))

    def fit(self, known: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Guesses and their standard deviations, [N] each, from the rows ``known``."""
        place = {row: at for at, row in enumerate(self.measured)}
        values = torch.stack([self._values[place[row]] for row in known])
        mean, scale = values.mean(), values.detach().std(correction=0)
        masks = self._masks[torch.tensor(known)]
        apart = torch.cdist(masks, masks)
        if not bool(scale > 0) or not bool((apart > 0).any()):
            return mean.expand(len(self._masks)).clone(), torch.zeros(len(self._masks), dtype=torch.float64)
        width, centre = apart[apart > 0].median(), masks.mean(0)
        size = (masks - centre).square().sum(1).mean()

        def alike(some: Tensor, others: Tensor) -> Tensor:
            smooth = (-0.5 * (torch.cdist(some, others) / width) ** 2).exp()
            return (smooth + (some - centre) @ (others - centre).T / size) / 2

        inverse = torch.linalg.inv(alike(masks, masks) + _NOISE * torch.eye(len(known), dtype=torch.float64))
        near = alike(self._masks, masks)
        before = (1 + (self._masks - centre).square().sum(1) / size) / 2
        doubt = (before - ((near @ inverse) * near).sum(1)).clamp(min=0).sqrt()
        return mean + near @ (inverse @ (values - mean)), scale * doubt

    def agreement(self, activation: Tensor) -> float:
        """The correlation with the exact map that is to be expected: the mean of five with the map made of all
        measurements, each by a guess without a fifth of them."""
        if self.exact:
            return 1.0
        whole, correlations = self._map(self.values(), activation), []
        for fold in range(_FOLDS):
            kept = [row for at, row in enumerate(self.measured) if at % _FOLDS != fold]
            correlations.append(_correlation(self._map(self.values(kept), activation), whole))
        return sum(correlations) / _FOLDS

    def _map(self, values: Tensor, activation: Tensor) -> Tensor:
        flat = activation.detach()[self.channels.to(activation.device)].flatten(1).to("cpu", torch.float64)
        return values.detach().softmax(0) @ flat

    def _spread(self, count: int) -> list[int]:
        """The mask nearest to their mean, then again and again the one furthest from all chosen."""
        chosen = [int((self._masks - self._masks.mean(0)).norm(dim=1).argmin())]
        far = (self._masks - self._masks[chosen[0]]).norm(dim=1)
        while len(chosen) < count:
            far[chosen] = -1  # duplicates of a chosen one are 0 away
            chosen.append(int(far.argmax()))
            far = torch.minimum(far, (self._masks - self._masks[chosen[-1]]).norm(dim=1))
        return chosen


def _correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's, of two maps; 1 where both are constant, 0 where one is."""
    a, b = a - a.mean(), b - b.mean()
    sizes = float(a.norm() * b.norm())
    return float(a @ b) / sizes if sizes > 0 else float(not bool(a.any() or b.any()))


def guessed_increase(
    input: Tensor, activation: Tensor, name: Hashable, budget: int
) -> Generator[Any, Any, tuple[Tensor, list[Surrogate]]]:
    """As `masked_increase`, [B, C], with no more than ``budget`` masked forwards an image, and its `Surrogate`.

    Raises `UsageError` for a budget that is no whole number from 4 on.
    """
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < LEAST:
        raise UsageError(f"budget={budget!r}: the masked forwards to spend, a whole number from {LEAST} on, or None")
    batch, channels = activation.shape[:2]
    seen = MaskedInput(channels, name, channel_mask(activation, tuple(input.shape[2:])))
    origin = yield Stream(StraightPath(1, (0.0,)), (Score(),), Collect(batch, 1))
    varying = varying_channels(activation)
    guesses = [Surrogate(activation[b], varying[varying[:, 0] == b, 1], budget) for b in range(batch)]
    while any(wanted := [guess.wanted() for guess in guesses]):
        columns = [guess.channels[rows] for guess, rows in zip(guesses, wanted, strict=True)]
        items = torch.cat([torch.stack([torch.full_like(column, b), column], 1) for b, column in enumerate(columns)])
        scores = yield Stream(seen, (Score(),), Collect(batch, channels), items)
        for b, (guess, rows, column) in enumerate(zip(guesses, wanted, columns, strict=True)):
            guess.add(rows, (scores - origin)[b, column.to(scores.device)])
    increase = torch.zeros_like(origin).expand(-1, channels).clone()
    for b, guess in enumerate(guesses):
        if len(guess.channels):
            increase[b, guess.channels.to(increase.device)] = guess.values().to(increase)
    return increase, guesses
