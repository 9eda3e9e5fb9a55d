"""Targets of other outputs: take what a model puts out, give a number of a regression, a similarity, or the caller's
own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from seewhy.core.network.places import elements
from seewhy.core.targets.base import Label, Target, column, unnamed
from seewhy.errors import TargetError, reason

if TYPE_CHECKING:
    from seewhy.core.network.outputs import Outputs

__all__ = ["Custom", "Everything", "Output", "ReadOut", "Similarity", "embedding"]


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
    """Cosine similarity of the model's own vector with another: y · e / (|y| |e|), from -1 to 1.

    ``other`` is that vector, an embedding [D] (of another picture, or of a text: a tensor, an array or a list), or a
    picture (a path, a PIL image, a uint8 array, or a float input [C, *size] as the model takes it), which the model is
    run on once, when it is asked. The model's vector y [B, D] is its output; ``element`` names one of several tensors
    that it gives (``"pooler_output"``; left out: the scores, or the only row of numbers among them), ``layer`` a
    layer's output instead, averaged over its positions where it has some, so that D is its channels. ``name`` is what
    titles call the other one.

    Raises `TargetError` for a vector of another length, and for one that is 0 everywhere or not finite: it has no
    direction.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> like = seewhy.targets.Similarity([1.0, 0.0, 0.0, 0.0])
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="saliency", target=like).unit
    'cosine similarity'
    """

    other: Any
    layer: str = ""
    element: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if self.layer and self.element:
            raise TargetError(
                f"Similarity of layer {self.layer!r} and of the output's {self.element!r}: one of them; one of several "
                f"tensors of a layer is called layer='{self.layer}[{self.element}]'"
            )
        if not self.pictured:
            object.__setattr__(self, "other", _direction(self.other))

    @property
    def pictured(self) -> bool:
        """Whether the other one is a picture, which has to go through the model first."""
        if isinstance(self.other, Tensor | np.ndarray):
            return self.other.ndim > 2 or (self.other.ndim == 2 and len(self.other) > 1)
        return not isinstance(self.other, Sequence) or isinstance(self.other, str)

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers whose activations the target reads."""
        return (self.layer,) if self.layer else ()

    @property
    def free(self) -> bool:
        """Whether it may read another tensor than the scores."""
        return True

    def vector(self, output: Outputs) -> Tensor:
        """The model's own vector of every sample, [B, D]."""
        if not self.layer:
            return embedding(output, self.element)
        activation = output.activation(self.layer)
        return activation.flatten(2).mean(2) if activation.ndim > 2 else activation

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        if self.pictured:
            raise TargetError("Similarity with a picture: it has not gone through the model; give its embedding [D]")
        values = self.vector(output)
        if len(self.other) != values.shape[1]:
            where = f"layer {self.layer!r}" if self.layer else f"output {self.element!r}" if self.element else "model"
            raise TargetError(
                f"embedding of length {len(self.other)}; the {where} gives {values.shape[1]} numbers for each image"
            )
        sizes = torch.linalg.vector_norm(values, dim=1)
        some = sizes > 0  # a vector of zeros, as of a picture that is all hidden, is similar to nothing
        cosine: Tensor = some * (values @ self.other.to(values)) / sizes.where(some, 1)
        return cosine

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return "cosine similarity"

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        what = f"similarity to {self.name}" if self.name else "similarity"
        where = self.layer or self.element
        return f"{what} in {where}" if where else what


def _direction(other: Any) -> Tensor:
    """An embedding as a vector of length one, float64 [D]."""
    try:
        given = other if isinstance(other, Tensor) else torch.from_numpy(np.array(other, dtype=np.float64))
        vector = given.detach().double().flatten()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TargetError(
            f"Similarity takes an embedding [D], a row of numbers, or a picture: {reason(error)}"
        ) from error
    size = torch.linalg.vector_norm(vector)
    if not len(vector) or not bool(size > 0) or not bool(size.isfinite()):
        what = "not finite" if len(vector) and not bool(size.isfinite()) else "0 everywhere" if len(vector) else "empty"
        raise TargetError(f"the embedding that Similarity is given is {what}: it has no direction to be similar to")
    direction: Tensor = vector / size
    return direction


def embedding(output: Outputs, element: str = "") -> Tensor:
    """The row of numbers that a network gives for each image, [B, D]: its scores, or the only row among what it
    returns; the tensor called ``element``, flattened, if one is named.

    Raises `TargetError` where there is none, or several.
    """
    named = dict(elements(output.raw))
    known = ", ".join(repr(name) for name, tensor in named.items() if name and tensor.shape[:1] == (output.batch,))
    if element:
        if element not in named or named[element].shape[:1] != (output.batch,):
            raise TargetError(
                f"the output has no tensor {element!r} with a row for each image; it has {known or 'one'}"
            )
        return named[element].flatten(1)
    rows = _rows(output)
    try:
        return output.main.flatten(1)
    except TargetError as error:
        if len(rows) == 1:
            return rows[0]
        way = f"name one of its tensors, element=: {known}" if known else "name a layer, layer="
        raise TargetError(f"which row of the output is the embedding? {way}. In full: {error}") from error


def _rows(output: Outputs) -> list[Tensor]:
    """What a network returns of rows of numbers, [B, D] each."""
    return [tensor for _, tensor in elements(output.raw) if tensor.ndim == 2 and len(tensor) == output.batch]


@dataclass(frozen=True)
class Custom(Target):
    """Any callable from the model's own output to one scalar per sample, shape [B]."""

    function: Callable[[Any], Tensor]

    @property
    def free(self) -> bool:
        """Whether it may read another tensor than the scores."""
        return True

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

    @property
    def free(self) -> bool:
        """Whether it may read another tensor than the scores."""
        return True

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        tensors = _each(output)
        return torch.stack([tensor.flatten(1).sum(1) if tensor.ndim > 1 else tensor for tensor in tensors]).sum(0)

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return "the whole output (no class is looked at)"


@dataclass(frozen=True)
class ReadOut(Target):
    """A number that depends on the tokens from which a network's answer is read: a sum of the rows of numbers that it
    gives for each image, its scores before a final softmax or its features, each number with a weight of its own (a
    normalised row sums to nothing); of all that it puts out where there is no row."""

    @property
    def free(self) -> bool:
        """Whether it may read another tensor than the scores."""
        return True

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        rows = _rows(output)
        with suppress(TargetError):  # it may not say which of its tensors are scores
            rows = [output.logits] if output.logits.ndim == 2 else rows
        return torch.stack([_weighed(tensor) for tensor in rows or _each(output)]).sum(0)

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return "what the output is read from"


def _each(output: Outputs) -> list[Tensor]:
    """Every tensor that a network gives with a row for each image."""
    tensors = [
        tensor for tensor in _tensors(output.raw) if tensor.is_floating_point() and tensor.shape[:1] == (output.batch,)
    ]
    if not tensors:
        raise TargetError(f"the model returns {type(output.raw).__name__}, in which there is no row for each image")
    return tensors


def _weighed(tensor: Tensor) -> Tensor:
    """A number of each sample, [B], in which every number has a part, and none the same."""
    rows = tensor.reshape(len(tensor), -1)
    return rows @ torch.linspace(1, 2, rows.shape[1]).to(rows)


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
