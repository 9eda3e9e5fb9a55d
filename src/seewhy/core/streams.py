"""Sources of variants: take an input, give changed inputs or changed activations, a chunk at a time; never run a
model."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seewhy.core.noise import fingerprint, gaussian

__all__ = ["EditedLayer", "GaussianNoise", "MaskedInput", "Source", "StraightPath"]


@dataclass(frozen=True, eq=False)
class Source:
    """``count`` variants of each image.

    `inputs` builds the changed inputs of a chunk; a source that changes a layer instead gives its name in ``place``
    and does so in `edit`. Sources with equal `key` yield the same variants, and share passes.
    """

    count: int

    @property
    def key(self) -> Hashable:
        """What the variants depend on."""
        return id(self)

    @property
    def place(self) -> str | None:
        """The layer that is changed, or None when the input is."""
        return None

    def inputs(self, x: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The inputs [m, ...] for variant ``indices[i]`` of image ``samples[i]``."""
        return x[samples]

    def edit(self, activation: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed activation, canonical [m, C, *positions]."""
        return activation


@dataclass(frozen=True, eq=False)
class StraightPath(Source):
    """Points baseline + alpha (x - baseline) for each alpha of ``nodes``."""

    nodes: tuple[float, ...] = ()
    baseline: Tensor = field(default_factory=lambda: torch.zeros(0))

    @property
    def key(self) -> Hashable:
        """What the variants depend on."""
        return "path", self.nodes, id(self.baseline)

    def inputs(self, x: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed inputs of a chunk."""
        alpha = torch.tensor(self.nodes, dtype=torch.float64)[indices.cpu()].to(x)
        start = self.baseline[samples]
        return start + alpha.reshape(-1, *(1 for _ in x.shape[1:])) * (x[samples] - start)


@dataclass(frozen=True, eq=False)
class GaussianNoise(Source):
    """The input plus Gaussian noise of standard deviation ``sigma`` x (max - min) of each image.

    Noise is drawn per image and index from the image's own values, so batching and order never change it.
    """

    sigma: float = 0.15
    seed: int = 0

    @property
    def key(self) -> Hashable:
        """What the variants depend on."""
        return "gaussian", self.sigma, self.seed, self.count

    def inputs(self, x: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed inputs of a chunk."""
        keys = fingerprint(x)
        pairs = [(keys[s], i) for s, i in zip(samples.tolist(), indices.tolist(), strict=True)]
        noise = gaussian(pairs, tuple(x.shape[1:]), family="input-noise", seed=self.seed).to(x)
        spread = self.sigma * (x.flatten(1).amax(1) - x.flatten(1).amin(1))
        return x[samples] + spread[samples].reshape(-1, *(1 for _ in x.shape[1:])) * noise


@dataclass(frozen=True, eq=False)
class MaskedInput(Source):
    """The input times ``masks(samples, indices)`` [m, 1, *size]."""

    masks: Callable[[Tensor, Tensor], Tensor] = field(default=lambda samples, indices: torch.ones(1))

    def inputs(self, x: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed inputs of a chunk."""
        return x[samples] * self.masks(samples, indices)


@dataclass(frozen=True, eq=False)
class EditedLayer(Source):
    """The activation at ``layer`` (None: the method's own) replaced by ``change(activation, samples, indices)``."""

    change: Callable[[Tensor, Tensor, Tensor], Tensor] = field(default=lambda a, samples, indices: a)
    layer: str = ""

    @property
    def place(self) -> str | None:
        """The layer that is changed."""
        return self.layer

    def edit(self, activation: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed activation."""
        return self.change(activation, samples, indices)
