"""What a method may ask of the engine: plain values, answered with tensors; nothing here computes.

A generator method yields one ask, or a tuple of asks, and receives the answer, or a tuple of answers::

    gradient, mean = yield Gradient(), Stream(noise, Gradient(), Mean())

Every answer is batched: [B, ...] with B the images being explained. ``place=None`` is the method's own place, the
layer (or the input) that it explains; ``rule=None`` its own backward rule; ``targets=None`` the targets asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from seewhy.core.targets import Target

if TYPE_CHECKING:
    from seewhy.core.streams import Source

__all__ = [
    "Activation",
    "Ask",
    "Attribution",
    "Baseline",
    "BiasMaps",
    "Fold",
    "Gradient",
    "HeadWeights",
    "HessianProduct",
    "Input",
    "Logits",
    "Score",
    "Stream",
    "Targets",
]


@dataclass(frozen=True)
class Input:
    """The preprocessed input, [B, C, *size]."""


@dataclass(frozen=True)
class Baseline:
    """The reference input of path methods, [B, C, *size]."""


@dataclass(frozen=True)
class Targets:
    """The targets themselves, a tuple of B."""


@dataclass(frozen=True)
class Activation:
    """The activation at a place, canonical [B, C, *positions]."""

    place: str | None = None


@dataclass(frozen=True)
class Gradient:
    """d score / d activation at a place under a backward rule, canonical [B, C, *positions].

    Zero where the score does not depend on the place.
    """

    place: str | None = None
    targets: tuple[Target, ...] | None = None
    rule: str | None = None


@dataclass(frozen=True)
class HessianProduct:
    """H v with H the Hessian of the score with respect to the activation, v the activation itself; canonical."""

    place: str | None = None


@dataclass(frozen=True)
class Score:
    """The target's value, [B]."""


@dataclass(frozen=True)
class Logits:
    """The scores before a final softmax, [B, K]."""


@dataclass(frozen=True)
class HeadWeights:
    """[B, C]: the weight of every channel's mean in the score, if the head is global average pooling, then linear.

    ``required=False`` answers None for other heads instead of raising `CapabilityError`.
    """

    required: bool = True


@dataclass(frozen=True)
class BiasMaps:
    """gradient x implicit bias of every layer that has one: a list of [B, *positions] ([B] where there are none)."""


class Fold(Protocol):
    """Reduces a stream: receives chunks in order, holds a running result, never all samples at once."""

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Take one chunk: which image [m], which variant of it [m], and the answers [m, ...]."""

    def result(self) -> object:
        """What the chunks amount to."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Many variants of each image, each answered with ``wants`` and reduced by ``fold``.

    Streams over equal sources share their passes. ``samples`` restricts the stream to some of the B images.
    ``targets`` as in `Gradient`.
    """

    source: Source
    wants: tuple[Activation | Gradient | Score, ...]
    fold: Fold
    items: Tensor | None = None


Ask = (
    Input
    | Baseline
    | Targets
    | Activation
    | Gradient
    | HessianProduct
    | Score
    | Logits
    | HeadWeights
    | BiasMaps
    | Stream
)


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a formula may return instead of a bare tensor: the values and what is known about their error.

    ``error`` is a standard error shaped like ``values``, or a residual per image [B]; ``converged`` [B] is False
    where a tolerance was not met, and ``notes`` (one for each image) say so in words.
    """

    values: Tensor
    error: Tensor | None = None
    converged: Tensor | None = None
    notes: tuple[str, ...] = ()
