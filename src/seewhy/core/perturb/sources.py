"""Sources of variants: take an input, give changed inputs or changed activations, a chunk at a time; never run a
model."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seewhy.core.asks import Source
from seewhy.core.perturb.fills import rows_of
from seewhy.core.perturb.noise import fingerprint, gaussian
from seewhy.errors import UsageError

__all__ = [
    "ChangedInput",
    "EditedLayer",
    "GaussianNoise",
    "MaskedInput",
    "PlacesOnPath",
    "Source",
    "StraightPath",
    "spread_of",
]


@dataclass(frozen=True, eq=False)
class StraightPath(Source):
    """Points baseline + alpha (x - baseline) for each alpha of ``nodes``; without a baseline, zero."""

    nodes: tuple[float, ...] = ()
    baseline: Tensor | None = None

    @property
    def key(self) -> Hashable:
        """What the variants depend on."""
        return "path", self.nodes, None if self.baseline is None else tuple(fingerprint(self.baseline))

    def inputs(self, x: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed inputs of a chunk."""
        alpha = torch.tensor(self.nodes, dtype=torch.float64)[indices.cpu()].to(x)
        alpha = alpha.reshape(-1, *(1 for _ in x.shape[1:]))
        if self.baseline is None:
            return alpha * x[samples]
        start = self.baseline[samples]
        return start + alpha * (x[samples] - start)


@dataclass(frozen=True, eq=False)
class PlacesOnPath(Source):
    """Points baseline + alpha (x - baseline) at places of each image's own: ``alpha`` [B, count], float64."""

    alpha: Tensor = field(default_factory=lambda: torch.zeros(0))
    baseline: Tensor = field(default_factory=lambda: torch.zeros(0))

    @property
    def key(self) -> Hashable:
        """What the variants depend on."""
        return "places", self.alpha.numpy().tobytes(), tuple(fingerprint(self.baseline))

    def inputs(self, x: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed inputs of a chunk."""
        alpha = self.alpha[samples.cpu(), indices.cpu()].to(x).reshape(-1, *(1 for _ in x.shape[1:]))
        start = self.baseline[samples]
        return start + alpha * (x[samples] - start)


@dataclass(frozen=True, eq=False)
class GaussianNoise(Source):
    """The input plus Gaussian noise of standard deviation ``sigma`` x (max - min) of each image, or of ``sigma`` itself
    where that is ``absolute``. ``spread`` [B, 1...] is max - min where several inputs have their own.

    Noise is drawn per image and index from the image's own values, so batching and order never change it.
    """

    sigma: float = 0.15
    seed: int = 0
    absolute: bool = False
    spread: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sigma >= 0 or not isinstance(self.seed, int):
            raise UsageError(f"sigma={self.sigma}, seed={self.seed!r}: sigma is 0 or more, a seed a whole number")

    @property
    def key(self) -> Hashable:
        """What the variants depend on."""
        return "gaussian", self.sigma, self.seed, self.absolute, self.count

    def inputs(self, x: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed inputs of a chunk."""
        keys = {s: fingerprint(x[s : s + 1])[0] for s in set(samples.tolist())}
        pairs = [(keys[s], i) for s, i in zip(samples.tolist(), indices.tolist(), strict=True)]
        noise = gaussian(pairs, tuple(x.shape[1:]), family="input-noise", seed=self.seed).to(x)
        if self.absolute:
            return x[samples] + self.sigma * noise
        spread = spread_of(x) if self.spread is None else self.spread
        return x[samples] + self.sigma * spread[samples] * noise


def spread_of(x: Tensor) -> Tensor:
    """The largest minus the smallest value of each image [B, ...], [B, 1...]."""
    flat = x.flatten(1)
    return (flat.amax(1) - flat.amin(1)).reshape(-1, *(1 for _ in x.shape[1:]))


@dataclass(frozen=True, eq=False)
class ChangedInput(Source):
    """Whatever ``change(samples, indices)`` makes of a chunk: inputs [m, C, *size]; ``name`` says which change it is,
    with all that it depends on, so that several targets share it. Without a name nothing is shared. ``within`` are the
    `boxes` that the change keeps to."""

    change: Callable[[Tensor, Tensor], Tensor] = field(default=lambda samples, indices: torch.zeros(0))
    name: Hashable = None
    within: tuple[Tensor, Tensor] | None = None

    @property
    def boxes(self) -> tuple[Tensor, Tensor] | None:
        """Where the change keeps to."""
        return self.within

    @property
    def key(self) -> Hashable:
        """What the variants depend on."""
        return super().key if self.name is None else ("changed", self.name, self.count)

    def inputs(self, x: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed inputs of a chunk."""
        return self.change(samples, indices)


@dataclass(frozen=True, eq=False)
class MaskedInput(Source):
    """The input times ``masks(samples, indices)`` [m, 1, *size], made from the layer; ``name`` says which masks they
    are."""

    name: Hashable = ""
    masks: Callable[[Tensor, Tensor], Tensor] = field(default=lambda samples, indices: torch.ones(1))
    local = True

    @property
    def key(self) -> Hashable:
        """What the variants depend on."""
        return "masks", self.name, self.count

    def inputs(self, x: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed inputs of a chunk."""
        return rows_of(x, samples) * self.masks(samples, indices)


@dataclass(frozen=True, eq=False)
class EditedLayer(Source):
    """The layer's activation replaced by ``change(activation, samples, indices)``; ``name`` says which change it is."""

    name: Hashable = ""
    change: Callable[[Tensor, Tensor, Tensor], Tensor] = field(default=lambda a, samples, indices: a)
    local = True
    edits = True

    @property
    def key(self) -> Hashable:
        """What the variants depend on."""
        return "edit", self.name, self.count

    def edit(self, activation: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed activation."""
        return self.change(activation, samples, indices)
