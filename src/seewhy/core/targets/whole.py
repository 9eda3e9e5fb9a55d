"""Targets of other outputs: take what a model puts out, give a number of a regression, a similarity, or the caller's
own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seewhy.core.targets.base import Label, Target, column, unnamed
from seewhy.errors import TargetError

if TYPE_CHECKING:
    from seewhy.core.outputs import Forward

__all__ = ["Custom", "Output", "Similarity"]


@dataclass(frozen=True)
class Output(Target):
    """Output number ``i`` as the model gives it (regression): no softmax is looked through."""

    i: int = 0

    def __call__(self, output: Forward) -> Tensor:
        """Every sample's score, [B]."""
        values = output.main
        return column(values[:, None] if values.ndim == 1 else values, self.i, "output")

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return f"output {self.i}"


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

    def describe(self, label: Label = unnamed) -> str:
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

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return getattr(self.function, "__name__", "custom target").replace("<lambda>", "custom target")
