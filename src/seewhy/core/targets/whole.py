"""Targets of other outputs: take what a model puts out, give a number of a regression, a similarity, or the caller's
own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seewhy.core.targets.base import Label, Target, column, unnamed
from seewhy.errors import TargetError

if TYPE_CHECKING:
    from seewhy.core.network.outputs import Outputs

__all__ = ["Custom", "Everything", "Output", "Similarity"]


@dataclass(frozen=True)
class Output(Target):
    """Output number ``i`` as the model gives it (regression): no softmax is looked through."""

    i: int = 0

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        values = output.main
        return column(values[:, None] if values.ndim == 1 else values, self.i, "output")

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return output.output_unit

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return f"output {self.i}"


@dataclass(frozen=True, eq=False)
class Similarity(Target):
    """Cosine similarity of the model's output vector with ``embedding`` [D]."""

    embedding: Any

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        values = output.main.flatten(1)
        reference = torch.as_tensor(self.embedding).to(values).flatten()
        if reference.numel() != values.shape[1]:
            raise TargetError(f"embedding of length {reference.numel()}; the model gives {values.shape[1]}")
        return torch.nn.functional.cosine_similarity(values, reference[None], dim=1)

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return "cosine similarity"

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return "similarity"


@dataclass(frozen=True)
class Custom(Target):
    """Any callable from the model's own output to one scalar per sample, shape [B]."""

    function: Callable[[Any], Tensor]

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        values = self.function(output.raw)
        if not isinstance(values, Tensor) or values.shape != (output.batch,):
            got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise TargetError(f"a target callable gives one scalar per sample, shape ({output.batch},); got {got}")
        return values

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return getattr(self.function, "__name__", "custom target").replace("<lambda>", "custom target")


@dataclass(frozen=True)
class Everything(Target):
    """The sum of all that the model puts out: what stands in for a class where a method looks at none."""

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        tensors = [
            tensor
            for tensor in _tensors(output.raw)
            if tensor.is_floating_point() and tensor.shape[:1] == (output.batch,)
        ]
        if not tensors:
            raise TargetError(f"the model returns {type(output.raw).__name__}, in which there is no row for each image")
        return torch.stack([tensor.flatten(1).sum(1) if tensor.ndim > 1 else tensor for tensor in tensors]).sum(0)

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return "the whole output (no class is looked at)"


def _tensors(raw: Any) -> Iterator[Tensor]:
    """Every tensor in what a model returned."""
    if isinstance(raw, Tensor):
        yield raw
    elif is_dataclass(raw) and not isinstance(raw, type):
        yield from _tensors([getattr(raw, field.name) for field in fields(raw)])
    elif isinstance(raw, Mapping):
        yield from _tensors(list(raw.values()))
    elif isinstance(raw, Sequence) and not isinstance(raw, str):
        for part in raw:
            yield from _tensors(part)
