"""Sharing relevance out: takes a linear map's parts and the relevance at its output, gives the relevance at its input
and what the bias and the stabiliser took; knows no rules (see `seewhy.core.relevance.rules`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "STABILISER",
    "LinearMap",
    "Part",
    "Shares",
    "share",
    "share_normalised",
    "share_product",
    "share_shifted",
    "share_softmax",
    "share_sum",
    "stable_ratio",
]

#: what keeps denominators away from 0 where a rule has no epsilon of its own
STABILISER = 1e-6


@dataclass(frozen=True)
class LinearMap:
    """z = ``run(x, weight)`` + ``bias``; ``weight`` None where it has none (pooling).

    ``bias`` broadcasts against the output. ``inside`` [1 or more, ...] is 0 where ``x`` is padding; ``from_input``
    carries the smallest and largest values of the input to where ``x`` is, for layers that read the input directly.
    """

    run: Callable[[Tensor, Tensor | None], Tensor]
    x: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None
    inside: Tensor | None = None
    from_input: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None

    def ones(self) -> Tensor:
        """1 at every input, 0 at padding."""
        ones = torch.ones_like(self.x)
        return ones if self.inside is None else ones * self.inside


@dataclass(frozen=True)
class Shares:
    """Relevance at the input, and what the bias and the stabiliser took, [rows] each."""

    values: Tensor
    bias: Tensor
    stabiliser: Tensor

    def __add__(self, other: Shares) -> Shares:
        return Shares(self.values + other.values, self.bias + other.bias, self.stabiliser + other.stabiliser)

    def scaled(self, factor: float) -> Shares:
        """``factor`` times these."""
        return Shares(factor * self.values, factor * self.bias, factor * self.stabiliser)


class Part(NamedTuple):
    """One of the maps that a rule adds up: input, weight, bias, and the sign it counts with."""

    x: Tensor
    weight: Tensor | None
    bias: Tensor | None
    sign: float = 1.0


def stable_ratio(relevance: Tensor, z: Tensor, epsilon: float | Tensor) -> Tensor:
    """relevance / (z + epsilon sign(z)) with sign(0) = 1; 0 where that denominator is 0.

    >>> stable_ratio(torch.tensor([1.0, 1.0, 1.0]), torch.tensor([2.0, -2.0, 0.0]), 0.0)
    tensor([ 0.5000, -0.5000,  0.0000])
    """
    denominator = z + epsilon * torch.where(z >= 0, 1.0, -1.0).to(z)  # numbers alone would make it float32
    zero = denominator == 0
    return (relevance / denominator.masked_fill(zero, 1.0)).masked_fill(zero, 0.0)


def share(linear: LinearMap, parts: Sequence[Part], relevance: Tensor, epsilon: float, relative: float = 0) -> Shares:
    """x' times what its weights pull back of R / (z + stabiliser), summed over the parts.

    Differentiable again where a graph of the backward pass is being made.
    """
    graph = torch.is_grad_enabled()
    # a part that is 0 everywhere has nothing to receive: after a ReLU that halves the cost
    parts = [part for part in parts if part.x is linear.x or bool(part.x.any())]
    ins = [part.x if graph and part.x.requires_grad else part.x.detach().requires_grad_() for part in parts]
    with torch.enable_grad():
        outs = [linear.run(x, part.weight) for x, part in zip(ins, parts, strict=True)]
    z, bias = torch.zeros_like(relevance), torch.zeros_like(relevance)
    for out, part in zip(outs, parts, strict=True):
        z = z + part.sign * (out if graph else out.detach())
        if part.bias is not None:
            bias = bias + part.sign * part.bias
    z = z + bias
    damping: float | Tensor = epsilon
    if relative:
        damping = relative * z.flatten(1).square().mean(1).sqrt().reshape(-1, *(1 for _ in z.shape[1:]))
    ratio = stable_ratio(relevance, z, damping)
    values = torch.zeros_like(linear.x)
    for out, x, part in zip(outs, ins, parts, strict=True):
        (pulled,) = torch.autograd.grad(out, x, ratio, retain_graph=graph, create_graph=graph)
        values = values + part.sign * (x if graph else x.detach()) * pulled
    with torch.no_grad():
        return Shares(values, _rows(ratio * bias), _rows(relevance - ratio * z))


def _rows(values: Tensor) -> Tensor:
    return values.detach().flatten(1).sum(1)


def share_sum(
    terms: Sequence[Tensor], relevance: Tensor, epsilon: float, *, positive: bool
) -> tuple[list[Tensor], Tensor]:
    """A sum of activations: each term's share in proportion to its value, and what the stabiliser took, [rows].

    ``positive`` counts the terms' positive values only, and gives 0 for 0 / 0.
    """
    values = [term.clamp(min=0) for term in terms] if positive else list(terms)
    z = values[0]
    for value in values[1:]:
        z = z + value
    ratio = stable_ratio(relevance, z, 0.0 if positive else epsilon)
    shares = [(value * ratio).sum_to_size(term.shape) for value, term in zip(values, terms, strict=True)]
    return shares, _rows(relevance - ratio * z)


def share_shifted(term: Tensor, z: Tensor, relevance: Tensor, epsilon: float) -> Shares:
    """z = ``term`` + a constant: the term's share, [*relevance's shape]; the constant's is the bias'. Where a mask made
    z infinite, there is nothing to share."""
    z = z.masked_fill(~z.isfinite(), 0.0)
    ratio = stable_ratio(relevance, z, epsilon)
    return Shares(term * ratio, _rows((z - term) * ratio), _rows(relevance - ratio * z))


def share_product(
    factors: tuple[Tensor, Tensor], relevance: Tensor, epsilon: float, takes: tuple[bool, bool] = (True, True)
) -> tuple[list[Tensor | None], Tensor]:
    """A product of two matrices, z = a b: what each factor gets, and what the stabiliser took, [rows].

    With n factors that take, a gets a times what b pulls back of R / (n z + stabiliser): for two, half each
    (Achtibat et al. 2024, proposition 3.3); for one, the epsilon rule with the other held constant.
    """
    a, b = factors
    z = sum(takes) * (a @ b)
    ratio = stable_ratio(relevance, z, epsilon)
    shares: list[Tensor | None] = [None, None]
    if takes[0]:
        shares[0] = a * (ratio @ b.mT).sum_to_size(a.shape)
    if takes[1]:
        shares[1] = b * (a.mT @ ratio).sum_to_size(b.shape)
    return shares, _rows(relevance - ratio * z)


def share_softmax(x: Tensor, relevance: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """s = softmax(x): x_i (R_i - s_i sum_j R_j) (Achtibat et al. 2024, proposition 3.1), and what the constant of that
    expansion took, [rows]. What a mask hides, x = -inf, gets nothing."""
    values = x.masked_fill(x.isneginf(), 0.0) * (relevance - x.softmax(dim) * relevance.sum(dim, keepdim=True))
    return values, _rows(relevance - values)


def share_normalised(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, variance: float, relevance: Tensor, epsilon: float
) -> Shares:
    """y = (x - mean) / sigma * weight + bias over the last axis, ``variance`` what sigma^2 has added: the epsilon rule
    of that as a linear map, 1 / sigma held constant (Achtibat et al. 2024, proposition 3.4)."""
    centred = x - x.mean(-1, keepdim=True)
    scale = (centred.square().mean(-1, keepdim=True) + variance).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = torch.zeros_like(x) if bias is None else bias
    y = centred * scale + shift
    ratio = stable_ratio(relevance, y, epsilon)
    pulled = ratio * scale
    values = x * (pulled - pulled.mean(-1, keepdim=True))
    return Shares(values, _rows(ratio * shift), _rows(relevance - ratio * y))
