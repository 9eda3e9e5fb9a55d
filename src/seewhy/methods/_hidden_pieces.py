"""Hiding parts of an image: takes pieces or cells and which of them show, gives masks, and paints numbers back onto
pixels; what perturbation methods share; never runs a model."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.perturb.estimators import Estimate, Estimator
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.noise import fingerprint, state, uniform
from seewhy.core.perturb.resampling import upsample
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError

__all__ = [
    "Draws",
    "KeptScores",
    "Rows",
    "all_hidden",
    "cell_map",
    "cell_masks",
    "grid_of",
    "paint",
    "piece_counts",
    "piece_masks",
    "told",
    "unknown",
]


class Draws:
    """Random numbers that depend on an image's values, the method (``family``), the seed and an index only.

    Raises `UsageError` for a seed that is no whole number.
    """

    def __init__(self, x: Tensor, family: str, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise UsageError(f"seed={seed!r}: a whole number, e.g. seed=0")
        self._keys, self._family, self._seed = fingerprint(x), family, seed

    def uniform(self, sample: int, index: int, *shape: int) -> Tensor:
        """Numbers in [0, 1) [*shape], float64, on the CPU."""
        return uniform([(self._keys[sample], index)], shape, family=self._family, seed=self._seed)[0]

    def state(self, sample: int, index: int) -> int:
        """A seed for a generator of another kind."""
        return state(self._keys[sample], index, family=self._family, seed=self._seed)


class KeptScores(Estimator):
    """An estimator that keeps every score: one number a sample, which regressions and replicates need together.

    What is kept is the drop, score of the whole image minus score of the variant, in float64 on the CPU: a score that
    nothing changes is 0 exactly. Variants of an image come in the order of their indices.
    """

    def __init__(self, score: Tensor, size: Sequence[int], tolerance: float) -> None:
        super().__init__(score.shape[0], tolerance)
        self._score, self.size = score, tuple(size)
        self._drops: list[list[Tensor]] = [[] for _ in range(self.batch)]
        self._known: dict[int, tuple[int, tuple[Tensor, Tensor]]] = {}

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Add one chunk."""
        drops = (self._score[samples.to(self._score.device)] - answers[0]).to("cpu", torch.float64)
        for sample in sorted(set(samples.tolist())):
            self._drops[sample].append(drops[samples == sample])

    def count(self, sample: int) -> int:
        """How many variants of an image have come that `estimate` can use."""
        return sum(len(chunk) for chunk in self._drops[sample])

    @abstractmethod
    def least(self, sample: int) -> int:
        """How many variants of an image an estimate takes."""

    @abstractmethod
    def estimate(self, sample: int, drops: Tensor) -> tuple[Tensor, Tensor]:
        """The map and its standard error, both [*size], from the first variants' drops [count]."""

    @property
    def ready(self) -> bool:
        """Whether every image has enough for an estimate."""
        return all(self.count(sample) >= self.least(sample) for sample in range(self.batch))

    def result(self) -> Estimate:
        """Maps, their standard errors, and counts."""
        estimates = [self._of(sample) for sample in range(self.batch)]
        values, errors = (torch.stack(column).to(self._score) for column in zip(*estimates, strict=True))
        counts = torch.tensor([float(self.count(sample)) for sample in range(self.batch)], dtype=torch.float64)
        return Estimate(values, errors, counts)

    def _of(self, sample: int) -> tuple[Tensor, Tensor]:
        """`estimate` of what there is, once for every count: images that have stopped are not computed again."""
        count = self.count(sample)
        if count < self.least(sample):
            nothing = torch.zeros(self.size, dtype=torch.float64)
            return nothing, unknown(nothing)
        if sample not in self._known or self._known[sample][0] != count:
            drops = torch.cat([*self._drops[sample], torch.zeros(0, dtype=torch.float64)])[:count]
            self._known[sample] = count, self.estimate(sample, drops)
        return self._known[sample][1]


class Rows:
    """What an estimate of an image's first variants is fitted on, a row each, made once: estimates of ever more
    variants begin with the same ones. ``make`` gives rows ``start`` to ``stop`` of one image [stop - start, k]."""

    def __init__(self, make: Callable[[int, int, int], Tensor]) -> None:
        self._make = make
        self._known: dict[int, Tensor] = {}

    def first(self, sample: int, count: int) -> Tensor:
        """The first ``count`` rows of an image [count, k]."""
        known = [self._known[sample]] if sample in self._known else []
        made = sum(map(len, known))
        if made < count:
            self._known[sample] = torch.cat([*known, self._make(sample, made, count)])
        return self._known[sample][:count]


def all_hidden(input: Tensor, fill: Fill) -> ChangedInput:
    """The one variant of each image of which nothing is visible."""

    def hidden(samples: Tensor, indices: Tensor) -> Tensor:
        return fill(input, samples, torch.zeros(len(samples), 1, *input.shape[2:]))

    return ChangedInput(1, hidden, ("all hidden", fill.key))


def piece_counts(segments: Tensor) -> list[int]:
    """How many pieces each image has; ``segments`` [B, *size] are numbered from 0 without gaps."""
    return [int(most) + 1 for most in segments.flatten(1).amax(1)]


def piece_masks(segments: Tensor, samples: Tensor, shown: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """What is visible, [m, 1, *size]: for each row the pieces of image ``samples[row]`` that ``shown`` [P] has."""
    masks = torch.empty(len(samples), *segments.shape[1:], dtype=dtype)
    for row, s, shows in zip(masks.flatten(1), samples.tolist(), shown, strict=True):
        torch.index_select(shows.to(dtype), 0, segments[s].flatten(), out=row)
    return masks[:, None]


def paint(values: Tensor, labels: Tensor) -> Tensor:
    """One number a piece [P] on every pixel of it, [*size]."""
    return values[labels.to(values.device)]


def grid_of(cells: int | Sequence[int] | None, usual: int, size: Sequence[int]) -> tuple[int, ...]:
    """How many cells each axis of an image of ``size`` is cut into: one number for all or one for each; left out, the
    ``usual`` number, or as many as a shorter axis has. Raises `UsageError` for numbers that do not fit.

    >>> grid_of(None, 7, (4, 32, 32)), grid_of(3, 7, (4, 32, 32))
    ((4, 7, 7), (3, 3, 3))
    """
    if cells is None:
        return tuple(min(usual, n) for n in size)
    given: tuple[Any, ...] = tuple(cells) if isinstance(cells, list | tuple) else (cells,) * len(size)
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in given)
    if len(given) != len(size) or not whole or not all(1 <= n <= most for n, most in zip(given, size, strict=True)):
        each = f", or one for each axis, cells={tuple(min(usual, n) for n in size)}" if len(set(size)) > 1 else ""
        raise UsageError(
            f"cells={cells!r}: a whole number from 1 to {min(size)} for an input of size {tuple(size)}{each}"
        )
    return given


def told(grid: tuple[int, ...]) -> dict[str, int | tuple[int, ...]]:
    """A grid as the parameter that asks for it."""
    return {"cells": grid[0] if len(set(grid)) == 1 else grid}


def cell_masks(cells: Tensor, size: Sequence[int]) -> Tensor:
    """Visibilities [m, *cells] as masks [m, 1, *size]: every pixel has its cell's, with hard borders."""
    for axis in range(len(size), 0, -1):  # the last one first: the others then copy whole rows
        n = size[axis - 1]
        cells = cells.index_select(axis, torch.arange(n, device="cpu") * cells.shape[axis] // n)
    return cells[:, None]


def cell_map(cells: Tensor, grid: Sequence[int], size: Sequence[int]) -> Tensor:
    """One number a cell [N, cells of the ``grid``], between the cells' centres linear, [N, *size]."""
    return upsample(cells.reshape(-1, 1, *grid), tuple(size))[:, 0]


def unknown(like: Tensor) -> Tensor:
    """The standard error of what has too few samples for one."""
    return torch.full_like(like, math.inf)
