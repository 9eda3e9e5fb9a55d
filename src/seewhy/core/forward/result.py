"""One forward with its graph kept open: takes what it put out and what was captured, gives activations and gradients.

Every backward is `torch.autograd.grad` on the tensors asked for: parameter gradients are never computed, and the pass
stops at the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from seewhy.core.forward.demand import Demand, Use
from seewhy.core.intercept.attention import AttentionWatch
from seewhy.core.intercept.backward_rules import RuleWatch, unseen
from seewhy.core.intercept.biases import BiasTerm
from seewhy.core.intercept.head import Linear
from seewhy.core.network.capture import Tape
from seewhy.core.network.layouts import Layout, Reshape, claims, find_layout
from seewhy.core.network.outputs import Outputs
from seewhy.core.network.places import INPUT
from seewhy.core.targets import Target, scores
from seewhy.errors import CapabilityError, TargetError

__all__ = ["Forward", "whole"]


def whole(output: Tensor) -> Tensor:
    """One number that depends on every number of ``output``, on none as on another."""
    return (output * torch.linspace(1, 2, output.numel()).to(output).view_as(output)).sum()


@dataclass
class Forward:
    """A forward that has run: its output, and the tensors that gradients can be taken of."""

    outputs: Outputs
    size: tuple[int, ...]
    demand: Demand
    tape: Tape
    leaf: Tensor
    rule: RuleWatch
    linears: list[Linear]
    biases: list[BiasTerm]
    attention: AttentionWatch
    channels_last: bool = False
    #: forwards that it took, and samples of them that another forward was compared with
    runs: int = 1
    checks: int = 0
    #: what the prepared program that gave it is used for; None where the model itself ran
    use: Use | None = None
    #: layouts that pictures have proved, by input size and place
    layouts: Mapping[tuple[tuple[int, ...], str], Layout] = field(default_factory=dict)
    #: has pictures say how a layer is to be read in inputs of a size, unless they have
    ask: Callable[[tuple[int, ...], str, Sequence[int]], None] | None = None

    def layout(self, place: str) -> Layout:
        """Where channels and positions are in the activation of ``place``."""
        if place == INPUT:
            return Layout(1, self.size)
        shape = self.tape.activations[place].shape
        known = self.layouts.get((self.size, place))
        if known is not None and self.demand.reshape is None and known.fits(shape):
            return known
        if self.demand.reshape is None and (not shape or shape[0] != self.outputs.batch):
            layouts = claims(shape, self.size, self.outputs.batch, self.channels_last)
            if frames := next((layout for layout in layouts if layout.frames), None):
                return frames
            raise CapabilityError(
                f"layer {place!r} gives {tuple(shape)}, whose first axis is not the batch of {self.outputs.batch}; "
                "say how to read it with reshape=, a function to [B, C, H, W], or choose another layer"
            )
        return self.layout_of(shape, self.demand.reshape)

    def layout_of(self, shape: Sequence[int], reshape: Reshape | None = None) -> Layout:
        """Where channels and positions are in something of ``shape`` that this network made."""
        return find_layout(shape, self.size, reshape, self.channels_last)

    def raw(self, place: str) -> Tensor:
        """The activation at ``place``, in the layer's own layout."""
        return self.leaf if place == INPUT else self.tape.activations[place]

    def source(self, place: str) -> Tensor | GradientEdge:
        """What gradients at ``place`` are taken of: the tensor, or its place in the graph where others hold it too."""
        return self.tape.edges.get(place, self.raw(place))

    def activation(self, place: str) -> Tensor:
        """The activation at ``place``, canonical."""
        return self.layout(place).canonical(self.raw(place))

    def read(self, place: str) -> Tensor:
        """The activation at ``place``, canonical, as targets read it: what its channels are is not left to its
        shape."""
        if self.ask is not None and self.demand.reshape is None and place in self.tape.activations:
            self.ask(self.size, place, tuple(self.raw(place).shape))
        return self.activation(place)

    def rows(self, place: str) -> Tensor:
        """Everything that ``place`` puts out, prefix tokens and all, a row for each image: [B, n].

        The windows that shifted-window attention works on belong to the images in order.
        """
        raw, batch = self.raw(place), self.outputs.batch
        if self.demand.reshape is not None:
            return self.demand.reshape(raw).flatten(1)
        windows = raw.ndim > 1 and raw.shape[0] % batch == 0 and raw.shape[1] != batch
        if batch > 1 and raw.shape[:1] != (batch,) and not windows:
            self.layout(place)  # says what is wrong with its first axis
        return raw.reshape(batch, -1)

    @property
    def recorded(self) -> bool:
        """Whether the model's output has a graph behind it; a model can switch recording off for itself."""
        try:
            return self.demand.graph == "none" or self.outputs.main.requires_grad
        except TargetError:
            return True

    def scores(self, targets: Sequence[Target]) -> Tensor:
        """The targets' values, [B], in the graph."""
        return scores(self.outputs, targets)

    def gradients(
        self,
        score: Tensor,
        tensors: Sequence[Tensor | GradientEdge],
        rule: str = "none",
        *,
        graph: bool = False,
        last: bool = False,
    ) -> list[Tensor | None]:
        """d (sum of scores) / d each tensor under ``rule``; None where the score does not depend on it.

        Samples do not mix in a network in eval mode, so one backward serves the whole batch. The ``last`` one lets go
        of the graph as it goes, whose memory it can then use. Raises `CapabilityError` if the rule met no rectifier in
        the forward, or not all of them.
        """
        if rule != "none" and self.rule.seen == 0:
            raise CapabilityError(
                f"the {rule!r} rule matched no activation function in this forward: the model has no ReLU-like "
                "function that can be seen (TorchScript hides them); use a method without a backward rule"
            )
        if rule != "none" and (hidden := unseen(score)):
            raise CapabilityError(
                f"the {rule!r} rule cannot reach every activation function: {hidden} ran unseen, as in parts that "
                "TorchScript runs; use the original module, or a method without a backward rule such as saliency"
            )
        reachable = [tensor for tensor in tensors if _differentiable(tensor)]
        if not score.requires_grad or not reachable:
            return [None] * len(tensors)
        self.rule.active = rule
        try:
            grads = iter(
                torch.autograd.grad(
                    score.sum(),
                    reachable,  # type: ignore[arg-type]
                    retain_graph=graph or not last,
                    allow_unused=True,
                    create_graph=graph,
                )
            )
        finally:
            self.rule.active = "none"
        return [next(grads) if _differentiable(tensor) else None for tensor in tensors]


def _differentiable(source: Tensor | GradientEdge) -> bool:
    return isinstance(source, GradientEdge) or source.requires_grad
