"""Relevance rules: takes one linear map and the relevance at its output, gives the relevance at its input; never a
network.

A linear map is z = W x + b: a convolution, a linear layer, pooling. A rule says which products x_i w_ij count. It is
written as *parts*, each an input x', weights w' and a bias b' with a sign; with z' = sum of (w' x' + b') over the parts

    R_i = sum over parts of x'_i sum_j w'_ij R_j / (z'_j + stabiliser),    stabiliser = eps sign(z'_j), sign(0) = 1

What a bias or the stabiliser takes out of the flow is measured, not assumed.

==============  ================================================  ==============================================
rule            parts                                             paper
==============  ================================================  ==============================================
`Epsilon`       (x, w, b)                                         Bach et al. 2015, eq. 58
`ZPlus`         (x+, w+, b+), (x-, w-, 0)                         Montavon et al. 2017, eq. 18, for any sign of x
`AlphaBeta`     alpha times that, less beta times its opposite    Bach et al. 2015, eq. 60
`Gamma`         w + gamma w+ where z > 0, w + gamma w- where z<0  Montavon et al. 2019, table 1, for any sign
`ZBox`          (x, w, b) - (low, w+, b+) - (high, w-, b-)        Montavon et al. 2017, eq. 20
`WSquare`       (1, w^2, b^2)                                     Montavon et al. 2017, eq. 12
`Flat`          (1, 1, 0)                                         Lapuschkin et al. 2019, supplementary note
`Excitation`    (x+, w+, 0), (x-, w-, 0); 0 / 0 = 0               Zhang et al. 2016, eq. 5
==============  ================================================  ==============================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.core.relevance.redistribution import STABILISER, LinearMap, Part, Shares, share
from seewhy.errors import UsageError

__all__ = ["AlphaBeta", "Epsilon", "Excitation", "Flat", "Gamma", "Rule", "WSquare", "ZBox", "ZPlus"]

Rule = Callable[[LinearMap, Tensor], Shares]


def _up(values: Tensor) -> Tensor:
    return values.clamp(min=0)


def _down(values: Tensor) -> Tensor:
    return values.clamp(max=0)


def _needed(weight: Tensor | None, rule: object) -> Tensor:
    if weight is None:
        raise UsageError(f"the rule {type(rule).__name__} is about weights; pooling has none: use Epsilon there")
    return weight


def _like_signs(linear: LinearMap, weight: Tensor, bias: Tensor | None, gamma: float | None = None) -> list[Part]:
    """The products that are positive: x+ with w+ and x- with w-; ``gamma`` keeps the others and favours these."""
    up, down = _up(weight), _down(weight)
    more = None if bias is None else _up(bias)
    if gamma is not None:
        up, down = weight + gamma * up, weight + gamma * down
        more = None if bias is None or more is None else bias + gamma * more
    return [Part(_up(linear.x), up, more), Part(_down(linear.x), down, None)]


def _unlike_signs(linear: LinearMap, weight: Tensor, bias: Tensor | None, gamma: float | None = None) -> list[Part]:
    """The products that are negative: x+ with w- and x- with w+; ``gamma`` as above."""
    up, down = _up(weight), _down(weight)
    less = None if bias is None else _down(bias)
    if gamma is not None:
        up, down = weight + gamma * up, weight + gamma * down
        less = None if bias is None or less is None else bias + gamma * less
    return [Part(_up(linear.x), down, less), Part(_down(linear.x), up, None)]


@dataclass(frozen=True)
class Epsilon:
    """Every product counts as it is; ``epsilon`` damps, where ``relative`` in units of each image's rms output."""

    epsilon: float = STABILISER
    relative: bool = False

    def __call__(self, linear: LinearMap, relevance: Tensor) -> Shares:
        """The relevance at the input."""
        part = Part(linear.x, linear.weight, linear.bias)
        absolute, relative = (0.0, self.epsilon) if self.relative else (self.epsilon, 0.0)
        return share(linear, [part], relevance, absolute, relative)


@dataclass(frozen=True)
class ZPlus:
    """Only positive products count, and positive biases."""

    def __call__(self, linear: LinearMap, relevance: Tensor) -> Shares:
        """The relevance at the input."""
        return share(linear, _like_signs(linear, _needed(linear.weight, self), linear.bias), relevance, STABILISER)


@dataclass(frozen=True)
class AlphaBeta:
    """``alpha`` times the positive products' shares less ``beta`` times the negative ones'; alpha - beta = 1."""

    alpha: float = 2.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        if self.alpha < 1 or self.beta < 0 or abs(self.alpha - self.beta - 1) > 1e-9:
            raise UsageError(f"alpha={self.alpha:g}, beta={self.beta:g}: alpha - beta is 1, beta not below 0 (2 and 1)")

    def __call__(self, linear: LinearMap, relevance: Tensor) -> Shares:
        """The relevance at the input."""
        weight = _needed(linear.weight, self)
        gains = share(linear, _like_signs(linear, weight, linear.bias), relevance, STABILISER)
        losses = share(linear, _unlike_signs(linear, weight, linear.bias), relevance, STABILISER)
        return gains.scaled(self.alpha) + losses.scaled(-self.beta)


@dataclass(frozen=True)
class Gamma:
    """Every product counts; those of the output's own sign ``1 + gamma`` times."""

    gamma: float = 0.25

    def __call__(self, linear: LinearMap, relevance: Tensor) -> Shares:
        """The relevance at the input."""
        weight, bias = _needed(linear.weight, self), linear.bias
        with torch.no_grad():
            z = linear.run(linear.x, weight)
            z = z if bias is None else z + bias
        above, below = relevance * (z > 0), relevance * (z < 0)
        shares = share(linear, _like_signs(linear, weight, bias, self.gamma), above, STABILISER)
        if bool(below.any()):  # after a ReLU nothing arrives there
            shares = shares + share(linear, _unlike_signs(linear, weight, bias, self.gamma), below, STABILISER)
        return shares


@dataclass(frozen=True, eq=False)
class ZBox:
    """For a layer that reads the input, whose values lie from ``low`` to ``high``, [B, C, 1, 1] or [B, C, H, W]."""

    low: Tensor
    high: Tensor

    def __call__(self, linear: LinearMap, relevance: Tensor) -> Shares:
        """The relevance at the input."""
        if linear.from_input is None:
            raise UsageError("the z-box rule knows the range of the input only; use it where LinearCall.first is True")
        low, high = linear.from_input(self.low, self.high)
        weight, bias = _needed(linear.weight, self), linear.bias
        parts = [
            Part(linear.x, weight, bias),
            Part(low, _up(weight), None if bias is None else _up(bias), -1.0),
            Part(high, _down(weight), None if bias is None else _down(bias), -1.0),
        ]
        return share(linear, parts, relevance, STABILISER)


@dataclass(frozen=True)
class WSquare:
    """Shares go by squared weights, whatever the input."""

    def __call__(self, linear: LinearMap, relevance: Tensor) -> Shares:
        """The relevance at the input."""
        bias = None if linear.bias is None else linear.bias.square()
        part = Part(linear.ones(), _needed(linear.weight, self).square(), bias)
        return share(linear, [part], relevance, STABILISER)


@dataclass(frozen=True)
class Flat:
    """Every input gets the same share, whatever its value and weight."""

    def __call__(self, linear: LinearMap, relevance: Tensor) -> Shares:
        """The relevance at the input."""
        weight = torch.ones_like(_needed(linear.weight, self))
        return share(linear, [Part(linear.ones(), weight, None)], relevance, STABILISER)


@dataclass(frozen=True)
class Excitation:
    """Shares go by positive products, without biases; ``negated`` turns the weights over (contrast)."""

    negated: bool = False

    def __call__(self, linear: LinearMap, relevance: Tensor) -> Shares:
        """The relevance at the input."""
        if linear.weight is None:
            return share(linear, [Part(_up(linear.x), None, None)], relevance, 0.0)
        weight = -linear.weight if self.negated else linear.weight
        return share(linear, _like_signs(linear, weight, None), relevance, 0.0)
