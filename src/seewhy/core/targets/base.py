"""What a target is: takes nothing, gives the class that all of them extend, and sums of them; never runs a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seewhy.errors import TargetError

if TYPE_CHECKING:
    from seewhy.core.network.outputs import Outputs

__all__ = ["Combination", "Label", "Target", "class_name", "column", "scores", "unnamed"]

#: gives a class index its name, or None
Label = Callable[[int], "str | None"]


def unnamed(index: int) -> str | None:
    """No class has a name."""
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

    @property
    def free(self) -> bool:
        """Whether it may read any of several tensors that a network gives, where others read the scores alone."""
        return False

    @abstractmethod
    def __call__(self, output: Outputs) -> Tensor:
        """The score of every sample, shape [B]."""

    def settled(self, output: Outputs, row: int) -> Target:
        """The target as it is asked of changed versions of image ``row``: what it takes from the ``output`` for the
        image itself (the form of a detector's output, a predicted region) is in it.

        Raises `TargetError` where the output has not got what it is about.
        """
        return self

    def likeness(self) -> Target:
        """What D-RISE follows: of an object how alike to it the most similar proposal is; of anything else itself."""
        return self

    def slope(self, logits: Tensor) -> Tensor | None:
        """d score / d ``logits`` [B, K] of one sample, [K], where that is the same whatever the logits are; None where
        it is not, or is not known without a graph."""
        return None

    def unit(self, output: Outputs) -> str:
        """What the score is counted in: ``"logit"``, ``"probability"``, ``"activation"``...; ``"score"`` where nothing
        is known."""
        return "score"

    @abstractmethod
    def describe(self, label: Label = unnamed) -> str:
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

    @property
    def free(self) -> bool:
        """Whether any of them may read another tensor than the scores."""
        return any(target.free for _, target in self.terms)

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        (weight, first), *rest = self.terms
        total = weight * first(output)
        for weight, target in rest:
            total = total + weight * target(output)
        return total

    def settled(self, output: Outputs, row: int) -> Target:
        """Each of them settled."""
        return Combination(tuple((weight, target.settled(output, row)) for weight, target in self.terms))

    def slope(self, logits: Tensor) -> Tensor | None:
        """The same sum of slopes."""
        slopes = [target.slope(logits) for _, target in self.terms]
        known = [slope for slope in slopes if slope is not None]
        if len(known) < len(slopes):
            return None
        return torch.stack([weight * slope for (weight, _), slope in zip(self.terms, known, strict=True)]).sum(0)

    def likeness(self) -> Target:
        """The same sum of likenesses."""
        return Combination(tuple((weight, target.likeness()) for weight, target in self.terms))

    def unit(self, output: Outputs) -> str:
        """What all terms are counted in; ``"score"`` where they differ."""
        units = {target.unit(output) for _, target in self.terms}
        return units.pop() if len(units) == 1 else "score"

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        words = ""
        for weight, target in self.terms:
            sign = " − " if weight < 0 else " + " if words else ""
            factor = "" if abs(weight) == 1 else f"{abs(weight):g}·"
            words += f"{sign}{factor}{target.describe(label)}"
        return words.strip()


def column(values: Tensor, k: int, what: str) -> Tensor:
    """Column ``k`` of rows of scores [B, K]; ``what`` is what the error calls it."""
    if values.ndim != 2:
        raise TargetError(
            f"{what} {k} asked of an output of shape {tuple(values.shape)}; classes need [B, K]. "
            "For maps of scores use Region(mask, k), for anything else a callable"
        )
    if not -values.shape[1] <= k < values.shape[1]:
        raise TargetError(f"no {what} {k}: the model has {values.shape[1]} outputs, 0 to {values.shape[1] - 1}")
    return values[:, k]


def class_name(k: int, label: Label) -> str:
    """What class ``k`` is called."""
    name = label(k)
    return f"class {k}" if name is None else name


def scores(output: Outputs, targets: Sequence[Target]) -> Tensor:
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
