"""What a method may ask of the engine: plain values, answered with tensors; nothing here computes.

A generator method yields one ask, or a tuple of asks, and receives the answer, or a tuple of answers::

    gradient, mean = yield Gradient(), Stream(noise, (Gradient(),), WeightedSum(...))

Every answer is batched: [B, ...] with B the images being explained. ``place=None`` is the method's own place, the
layer (or the input) that it explains; ``rule=None`` its own backward rule; ``targets=None`` the targets asked for.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor

from seewhy.core.relevance.composites import Composite
from seewhy.core.targets import Target
from seewhy.errors import UsageError

__all__ = [
    "Activation",
    "Ask",
    "Attention",
    "AttentionAt",
    "Attribution",
    "BiasMaps",
    "Fold",
    "Gradient",
    "HeadWeights",
    "Here",
    "HessianProduct",
    "Input",
    "Interrupted",
    "Logits",
    "Multipliers",
    "Progress",
    "Relevance",
    "Score",
    "Source",
    "Stream",
    "Supplied",
    "Targets",
]


@dataclass(frozen=True)
class Input:
    """The preprocessed input, [B, C, *size]."""


@dataclass(frozen=True)
class Supplied:
    """What the caller prepared for the method under ``name``.

    ``baseline``: the reference input of path methods, [B, C, *size]. ``fill``: a
    `seewhy.core.perturb.fills.Fill`, what takes the place of what is hidden. ``segments``: the regions that are hidden
    together, integers from 0, [B, *size]. ``bounds``: the smallest and the largest input there can be, two of
    [B, C, 1...]. ``references``: other inputs to compare with, [N, C, *size], or None.
    """

    name: str


class Interrupted(KeyboardInterrupt):
    """Thrown into a generator that waits when the user interrupts: it may return what it has, and ask no more."""


@dataclass(frozen=True)
class Here:
    """The name of the method's own place, for targets that read it."""


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
class Attention:
    """Every block's attention weights and the score's gradients at them: `seewhy.core.forward.attention.AttentionMaps`,
    with where the tokens are in the picture, which pictures have proved.

    With ``lens`` each block's gradient is that of the score the model's head gives to *its* tokens.
    """

    lens: bool = False


@dataclass(frozen=True)
class AttentionAt:
    """One layer's attention weights: `seewhy.core.forward.attention.LayerAttention`, with the tokens that the score is
    read from, and where tokens are in the picture, which pictures have proved.

    ``layer`` is its number among the attentions that the picture reaches, from 0 or, negative, from the end; or the
    name of a layer within which one of them runs.
    """

    layer: int | str = -1


@dataclass(frozen=True)
class Score:
    """The target's value, [B]; that of other ``targets``, one for each image, where they are given."""

    targets: tuple[Target, ...] | None = None


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
class Relevance:
    """Relevance at a place under a composite: `seewhy.core.forward.propagation.Flow`.

    It sets out from the scores: with ``start="score"`` as the target's gradient there times the scores, so that a
    class's relevance sums to its score; with ``"one"`` as the gradient alone, which is 1 at the class.
    """

    composite: Composite
    start: Literal["score", "one"] = "score"
    place: str | None = None
    targets: tuple[Target, ...] | None = None


@dataclass(frozen=True, eq=False)
class Multipliers:
    """DeepLIFT's multipliers between the baseline and the input: `seewhy.core.forward.propagation.Lift`. ``baseline``
    [B, C, *size] is another one than what the caller supplied."""

    place: str | None = None
    baseline: Tensor | None = None


@dataclass(frozen=True)
class BiasMaps:
    """gradient x implicit bias of every layer that has one: a list of [B, *positions] ([B] where there are none)."""


@dataclass(frozen=True, eq=False)
class Source:
    """``count`` variants of each image.

    `inputs` builds the changed inputs of a chunk; a source that changes a layer instead does so in `edit`. Sources with
    equal `key` yield the same variants, and share passes; ``local`` ones depend on the layer explained besides. Raises
    `UsageError` for a count that is no positive whole number.
    """

    count: int

    #: whether the variants depend on the layer that is explained
    local = False
    #: whether a layer is changed, not the input
    edits = False

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise UsageError(f"{self.count!r} variants of an image: a whole number from 1 on is needed, e.g. n=32")

    @property
    def key(self) -> Hashable:
        """What the variants depend on."""
        return id(self)

    @property
    def boxes(self) -> tuple[Tensor, Tensor] | None:
        """Where each variant differs from its image at most: from pixel [count, axes] to pixel, inclusive; None for
        anywhere. The same for every image."""
        return None

    def inputs(self, x: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The inputs [m, ...] for variant ``indices[i]`` of image ``samples[i]``."""
        return x[samples]

    def edit(self, activation: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        """The changed activation, canonical [m, C, *positions]."""
        return activation


class Fold(Protocol):
    """Reduces a stream: receives chunks in order, holds a running result, never all samples at once."""

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Take one chunk: which image [m], which variant of it [m], and the answers [m, ...]."""

    def result(self) -> object:
        """What the chunks amount to."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Many variants of each image, each answered with ``wants`` and reduced by ``fold``.

    Streams over equal sources share their passes. ``items`` [N, 2] are the pairs of image and variant that are run,
    where that is not all of them. ``rounds`` are the numbers of variants after which the fold's ``settled()`` [B] is
    asked which images need no more; without, every variant is run. ``quiet`` streams are one step of many, and tell
    no progress.
    """

    source: Source
    wants: tuple[Activation | Gradient | Score, ...]
    fold: Fold
    items: Tensor | None = None
    rounds: tuple[int, ...] = ()
    quiet: bool = False


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a run of many short streams is, with what it has made so far [B, ...] if there is something to look at:
    told to whoever watches, answered with None."""

    step: int
    steps: int
    values: Tensor | None = None


Ask = (
    Input
    | Here
    | Supplied
    | Progress
    | Targets
    | Activation
    | Gradient
    | HessianProduct
    | Attention
    | AttentionAt
    | Score
    | Logits
    | HeadWeights
    | Relevance
    | Multipliers
    | BiasMaps
    | Stream
)


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a formula may return instead of a bare tensor: the values and what is known about their error.

    ``error`` is a standard error shaped like ``values``, or a residual per image [B]; ``summed`` [B, *positions] is the
    standard error of the sum over channels, where it is known. ``converged`` [B] is False where a tolerance was not
    met, and ``notes`` (one for each image) say in words how it ended. ``finished`` is False for what an interruption
    cut short. ``total`` [B] is what the values are to sum to, where a card promises that. ``moves`` and ``holds`` [B]
    are for maps that are 0 everywhere: whether the score changes with the place, and whether anything there is not 0;
    of an attack ``moves`` says whether there ever was a way up.
    ``evidence`` [B, C] is what each channel of the values says about the target, in score units. ``arrays`` are further
    numbers by name, a row for each image, for whoever made the job. ``taken`` are parameters as they were taken where
    they depend on the input.
    """

    values: Tensor
    error: Tensor | None = None
    converged: Tensor | None = None
    notes: tuple[str, ...] = ()
    summed: Tensor | None = None
    finished: bool = True
    evidence: Tensor | None = None
    total: Tensor | None = None
    moves: Tensor | None = None
    holds: Tensor | None = None
    arrays: Mapping[str, Tensor] = field(default_factory=dict)
    taken: Mapping[str, Any] = field(default_factory=dict)
