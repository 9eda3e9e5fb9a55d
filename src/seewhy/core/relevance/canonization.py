"""What follows a linear layer and belongs to it: takes a layer's output and the constants that meet it, gives the scale
and shift of every channel that they amount to; carries no relevance itself.

A bias that is added after the convolution, and a batch norm, whether one call or a chain of sums and products, are
taken into the layer before a rule sees it. Whether they were alone in reading the layer is known when relevance
arrives: then what arrives at the layer is what they passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

__all__ = ["Reader", "Step", "Tails"]

#: scale and shift of every channel, [channels] each
Affine = Callable[[], tuple[Tensor, Tensor]]


@dataclass(eq=False)
class Step:
    """One step after a layer: its own scale and shift, the step before it, the order of the layer's axes where it reads
    them (None: as they are), and the relevance that it passed on."""

    own: Affine
    before: Step | None = None
    axes: tuple[int, ...] | None = None
    passed: Tensor | None = None

    def affine(self) -> tuple[Tensor, Tensor]:
        """All steps up to this one as one."""
        scale, shift = self.own()
        if self.before is None:
            return scale, shift
        earlier_scale, earlier_shift = self.before.affine()
        return earlier_scale * scale, earlier_shift * scale + shift

    def arrived(self, relevance: Tensor, passed: Tensor) -> bool:
        """Whether what this step passed on is what arrived at the layer."""
        if self.axes is not None:
            passed = passed.permute([self.axes.index(axis) for axis in range(passed.ndim)])
        return torch.equal(passed.to(relevance.dtype), relevance)  # some libraries compute means in another type


@dataclass(eq=False)
class Tails:
    """The steps that were met after one layer, in order; ``channel`` is the axis of its output's channels."""

    channel: int
    steps: list[Step] = field(default_factory=list)

    def affine(self, relevance: Tensor) -> tuple[Tensor, Tensor] | None:
        """The steps to be taken into a layer at which ``relevance`` arrives: those that were alone in reading it."""
        passed = [(step, step.passed) for step in self.steps]
        for step in self.steps:
            step.passed = None
        alone = (step for step, seen in reversed(passed) if seen is not None and step.arrived(relevance, seen))
        last = next(alone, None)
        if last is None:
            return None
        scale, shift = last.affine()
        return scale.to(relevance.dtype), shift.to(relevance.dtype)


@dataclass(frozen=True, eq=False)
class Reader:
    """A tensor that is a layer's output: its axes perhaps in another order, constants of each channel taken in."""

    tails: Tails
    tail: Step | None = None
    axes: tuple[int, ...] | None = None

    @property
    def channel(self) -> int:
        """The axis of the layer's channels."""
        return self.tails.channel if self.axes is None else self.axes.index(self.tails.channel)

    def permuted(self, axes: tuple[int, ...]) -> Reader:
        """The same with the axes in another order."""
        axes = tuple(axis % len(axes) for axis in axes)
        return replace(self, axes=axes if self.axes is None else tuple(self.axes[axis] for axis in axes))

    def follow(self, own: Affine) -> Reader:
        """The output of one more step."""
        step = Step(own, self.tail, self.axes)
        self.tails.steps.append(step)
        return replace(self, tail=step)

    def taking(self, name: str, constant: Any, like: Tensor, first: bool) -> Reader | None:
        """The output of a sum or product of ``like``, which is this, with ``constant``; None unless that is one number
        for each channel. ``first``: ``like`` is the first of the two."""
        channel = self.channel
        count = like.shape[channel]
        if not isinstance(constant, Tensor) or constant.ndim > like.ndim or constant.numel() != count:
            return None
        if (*(1 for _ in range(like.ndim - constant.ndim)), *constant.shape)[channel] != count:
            return None
        values = constant.reshape(-1).to(like.dtype)
        one, zero = torch.ones_like(values), torch.zeros_like(values)
        steps = {
            "add": (one, values),
            "sub": (one, -values) if first else (-one, values),
            "rsub": (-one, values) if first else (one, -values),
            "mul": (values, zero),
            "div": (1 / values, zero),
        }
        known = {"subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div"}.get(name, name)
        return self.follow(lambda: steps[known]) if known in steps else None
