"""Targets about classes: take a row of scores, give one of them, its probability, or what sets it apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seewhy.core.targets.base import Label, Target, class_name, column, unnamed

if TYPE_CHECKING:
    from seewhy.core.network.outputs import Outputs

__all__ = ["Centred", "LogProbability", "Logit", "Margin", "Probability"]


@dataclass(frozen=True)
class Logit(Target):
    """The score of class ``k`` before softmax or sigmoid: what every method explains unless told otherwise."""

    k: int

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        return column(output.logits, self.k, "class")

    def slope(self, logits: Tensor) -> Tensor:
        """1 at the class."""
        return _alone(logits, self.k)

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return output.score_unit

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return class_name(self.k, label)


@dataclass(frozen=True)
class Probability(Target):
    """The probability of class ``k``: its gradient also says what lowers the other classes."""

    k: int

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        return column(output.probabilities, self.k, "class")

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return "probability"

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return f"P({class_name(self.k, label)})"


@dataclass(frozen=True)
class LogProbability(Target):
    """The logarithm of the probability of class ``k``: minus the cross-entropy, which adversarial attacks climb."""

    k: int

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        logit = column(output.logits, self.k, "class")
        if output.score_unit == "probability":  # as the model gives it
            return logit.log()
        if (
            output.ends_in in ("sigmoid", "log_sigmoid") or output.logits.shape[1] == 1
        ):  # every class is a yes or no of its own
            return torch.nn.functional.logsigmoid(logit)
        return logit - output.logits.logsumexp(1)

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return "log-probability"

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return f"log P({class_name(self.k, label)})"


@dataclass(frozen=True)
class Centred(Target):
    """Logit minus the mean logit: immune to a shift that all logits share."""

    k: int

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        return column(output.logits, self.k, "class") - output.logits.mean(1)

    def slope(self, logits: Tensor) -> Tensor:
        """1 at the class, less its share at all."""
        return _alone(logits, self.k) - 1 / logits.shape[1]

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return output.score_unit

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return f"{class_name(self.k, label)} − mean"


@dataclass(frozen=True)
class Margin(Target):
    """Logit of ``a`` minus logit of ``b``: "why a and not b"."""

    a: int
    b: int

    @property
    def index(self) -> int | None:
        """The class."""
        return self.a

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        return column(output.logits, self.a, "class") - column(output.logits, self.b, "class")

    def slope(self, logits: Tensor) -> Tensor:
        """1 at one class, -1 at the other."""
        return _alone(logits, self.a) - _alone(logits, self.b)

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return output.score_unit

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return f"{class_name(self.a, label)} − {class_name(self.b, label)}"


def _alone(logits: Tensor, k: int) -> Tensor:
    """1 at class ``k`` of rows of ``logits`` [B, K], 0 elsewhere: [K]."""
    column(logits, k, "class")
    slope = torch.zeros_like(logits[0])
    slope[k] = 1
    return slope
