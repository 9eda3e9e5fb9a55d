"""Targets: take what a model put out, give the one number per sample that is explained; never run a model.

A target is a value: two equal targets share their backward pass. They add, subtract and scale::

    Logit(281) - Logit(282)          # why a tabby and not a tiger cat
    0.5 * Logit(1) + 0.5 * Logit(2)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from seewhy.errors import TargetError

if TYPE_CHECKING:
    from seewhy.core.outputs import Forward

__all__ = [
    "Centred",
    "Combination",
    "Custom",
    "Label",
    "LayerMean",
    "Logit",
    "Margin",
    "Neuron",
    "Output",
    "Probability",
    "Region",
    "Similarity",
    "Target",
    "scores",
]

#: gives a class index its name, or None
Label = Callable[[int], "str | None"]


def _unnamed(index: int) -> str | None:
    return None


class Target(ABC):
    """The scalar that is explained, as a function of one forward's output."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers whose activations the target reads."""
        return ()

    @property
    def index(self) -> int | None:
        """The class that the target is about, if it is about one."""
        return None

    @abstractmethod
    def __call__(self, output: Forward) -> Tensor:
        """The score of every sample, shape [B]."""

    @abstractmethod
    def describe(self, label: Label = _unnamed) -> str:
        """The target in words, for titles."""

    def __add__(self, other: Target) -> Target:
        return Combination((*_terms(self), *_terms(other)))

    def __radd__(self, other: Target | int) -> Target:
        # sum() starts from 0
        return self if other == 0 else NotImplemented

    def __truediv__(self, divisor: float) -> Target:
        return self * (1 / divisor)

    def __sub__(self, other: Target) -> Target:
        return self + (-1.0) * other

    def __mul__(self, factor: object) -> Target:
        if not isinstance(factor, int | float):
            raise TargetError(f"a target can be scaled by a number, not by {type(factor).__name__}; use a callable")
        return Combination(tuple((factor * weight, target) for weight, target in _terms(self)))

    __rmul__ = __mul__

    def __neg__(self) -> Target:
        return self * -1.0


def _terms(target: Target) -> tuple[tuple[float, Target], ...]:
    return target.terms if isinstance(target, Combination) else ((1.0, target),)


def _column(values: Tensor, k: int, what: str) -> Tensor:
    if values.ndim != 2:
        raise TargetError(
            f"{what} {k} asked of an output of shape {tuple(values.shape)}; classes need [B, K]. "
            "For maps of scores use Region(mask, k), for anything else a callable"
        )
    if not -values.shape[1] <= k < values.shape[1]:
        raise TargetError(f"no {what} {k}: the model has {values.shape[1]} outputs, 0 to {values.shape[1] - 1}")
    return values[:, k]


def _class_name(k: int, label: Label) -> str:
    name = label(k)
    return f"class {k}" if name is None else name


@dataclass(frozen=True)
class Logit(Target):
    """The score of class ``k`` before softmax or sigmoid: what every method explains unless told otherwise."""

    k: int

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        return _column(output.logits, self.k, "class")

    def describe(self, label: Label = _unnamed) -> str:
        """The target in words."""
        return _class_name(self.k, label)


@dataclass(frozen=True)
class Probability(Target):
    """The probability of class ``k``: its gradient also says what lowers the other classes."""

    k: int

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        return _column(output.probabilities, self.k, "class")

    def describe(self, label: Label = _unnamed) -> str:
        """The target in words."""
        return f"P({_class_name(self.k, label)})"


@dataclass(frozen=True)
class Centred(Target):
    """Logit minus the mean logit: immune to a shift that all logits share."""

    k: int

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        return _column(output.logits, self.k, "class") - output.logits.mean(1)

    def describe(self, label: Label = _unnamed) -> str:
        """The target in words."""
        return f"{_class_name(self.k, label)} − mean"


@dataclass(frozen=True)
class Margin(Target):
    """Logit of ``a`` minus logit of ``b``: "why a and not b"."""

    a: int
    b: int

    @property
    def index(self) -> int | None:
        """The class."""
        return self.a

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        return _column(output.logits, self.a, "class") - _column(output.logits, self.b, "class")

    def describe(self, label: Label = _unnamed) -> str:
        """The target in words."""
        return f"{_class_name(self.a, label)} − {_class_name(self.b, label)}"


@dataclass(frozen=True)
class Output(Target):
    """Output number ``i`` as the model gives it (regression): no softmax is looked through."""

    i: int = 0

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        values = output.main
        return _column(values[:, None] if values.ndim == 1 else values, self.i, "output")

    def describe(self, label: Label = _unnamed) -> str:
        """The target in words."""
        return f"output {self.i}"


@dataclass(frozen=True)
class Neuron(Target):
    """One unit of ``layer``: ``channel``, at ``position`` (grid indices), or its mean over positions."""

    layer: str
    channel: int
    position: tuple[int, ...] | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers whose activations the target reads."""
        return (self.layer,)

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        activation = output.activation(self.layer)
        if not -activation.shape[1] <= self.channel < activation.shape[1]:
            raise TargetError(f"no channel {self.channel}: layer {self.layer!r} has {activation.shape[1]}")
        unit = activation[:, self.channel]
        if self.position is None:
            return unit.flatten(1).mean(1) if unit.ndim > 1 else unit
        grid = tuple(unit.shape[1:])
        if len(self.position) != len(grid) or any(not -n <= p < n for p, n in zip(self.position, grid, strict=True)):
            raise TargetError(f"no position {self.position}: layer {self.layer!r} has a grid of {grid}")
        for p in self.position:
            unit = unit[:, p]
        return unit

    def describe(self, label: Label = _unnamed) -> str:
        """The target in words."""
        at = "" if self.position is None else f" at {','.join(map(str, self.position))}"
        return f"{self.layer}[{self.channel}]{at}"


@dataclass(frozen=True)
class LayerMean(Target):
    """Mean of everything that ``layer`` puts out; of its squares with ``power=2`` (what DeepDream makes larger)."""

    layer: str
    power: int = 1

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers whose activations the target reads."""
        return (self.layer,)

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        return output.everything(self.layer).pow(self.power).mean(1)

    def describe(self, label: Label = _unnamed) -> str:
        """The target in words."""
        return f"mean of {self.layer}" if self.power == 1 else f"mean of {self.layer} to the power {self.power}"


@dataclass(frozen=True, eq=False)
class Region(Target):
    """Mean score of class ``k`` over a ``mask`` [H, W] (segmentation output [B, K, H, W]).

    The mask is boolean or a weight per pixel; it is averaged down to the output's size.
    """

    mask: Any
    k: int

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        values = output.main
        if values.ndim != 4:
            raise TargetError(f"Region needs an output [B, K, H, W]; this model gives {tuple(values.shape)}")
        if not -values.shape[1] <= self.k < values.shape[1]:
            raise TargetError(f"no class {self.k}: the output has {values.shape[1]}")
        given = self.mask if isinstance(self.mask, Tensor) else torch.from_numpy(np.array(self.mask, dtype=np.float32))
        if given.ndim != 2:
            raise TargetError(f"Region takes a mask [H, W]; got {tuple(given.shape)}")
        mask = torch.nn.functional.interpolate(given.to(values)[None, None], values.shape[2:], mode="area")[0, 0]
        if not bool(mask.sum() > 0):
            raise TargetError("Region with an empty mask: no pixel of it is inside")
        return (values[:, self.k] * mask).sum((1, 2)) / mask.sum()

    def describe(self, label: Label = _unnamed) -> str:
        """The target in words."""
        return f"{_class_name(self.k, label)} in region"


@dataclass(frozen=True, eq=False)
class Similarity(Target):
    """Cosine similarity of the model's output vector with ``embedding`` [D]."""

    embedding: Any

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        values = output.main.flatten(1)
        reference = torch.as_tensor(self.embedding).to(values).flatten()
        if reference.numel() != values.shape[1]:
            raise TargetError(f"embedding of length {reference.numel()}; the model gives {values.shape[1]}")
        return torch.nn.functional.cosine_similarity(values, reference[None], dim=1)

    def describe(self, label: Label = _unnamed) -> str:
        """The target in words."""
        return "similarity"


@dataclass(frozen=True)
class Custom(Target):
    """Any callable from the model's own output to one scalar per sample, shape [B]."""

    function: Callable[[Any], Tensor]

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        values = self.function(output.raw)
        if not isinstance(values, Tensor) or values.shape != (output.batch,):
            found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise TargetError(f"a target callable gives one scalar per sample, shape ({output.batch},); got {found}")
        return values

    def describe(self, label: Label = _unnamed) -> str:
        """The target in words."""
        return getattr(self.function, "__name__", "custom target").replace("<lambda>", "custom target")


@dataclass(frozen=True)
class Combination(Target):
    """A weighted sum of targets; made by arithmetic on them."""

    terms: tuple[tuple[float, Target], ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers whose activations the target reads."""
        return tuple(dict.fromkeys(name for _, target in self.terms for name in target.layers))

    @property
    def index(self) -> int | None:
        """The class."""
        return next((target.index for weight, target in self.terms if weight > 0 and target.index is not None), None)

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        (weight, first), *rest = self.terms
        total = weight * first(output)
        for weight, target in rest:
            total = total + weight * target(output)
        return total

    def describe(self, label: Label = _unnamed) -> str:
        """The target in words."""
        words = ""
        for weight, target in self.terms:
            sign = " − " if weight < 0 else " + " if words else ""
            factor = "" if abs(weight) == 1 else f"{abs(weight):g}·"
            words += f"{sign}{factor}{target.describe(label)}"
        return words.strip()


def scores(output: Forward, targets: Sequence[Target]) -> Tensor:
    """Every sample's own target, shape [B]; samples that share a target share its evaluation."""
    unique = dict.fromkeys(targets)
    if len(unique) == 1:
        values = targets[0](output)
    else:
        columns = {target: target(output) for target in unique}
        values = torch.stack([columns[target][sample] for sample, target in enumerate(targets)])
    if not values.is_floating_point():
        raise TargetError(f"a target gives floating-point scores; got {values.dtype}")
    return values
