"""Composites: takes a name and numbers, gives which relevance rule goes to which linear layer; never runs one.

=========================  ========================  =============================  ====================================
name                       layers at the input       convolutions                   linear layers
=========================  ========================  =============================  ====================================
epsilon                    epsilon                   epsilon                        epsilon
epsilon-plus               z+                        z+                             epsilon
epsilon-plus-flat          flat                      z+                             epsilon
epsilon-alpha2-beta1       alpha 2, beta 1           alpha 2, beta 1                epsilon
epsilon-alpha2-beta1-flat  flat                      alpha 2, beta 1                epsilon
epsilon-gamma-box          z-box (a linear: epsilon) gamma                          epsilon
by-depth                   z-box                     lower third gamma, middle third epsilon of .25 rms, top epsilon
attn-lrp, cp-lrp           gamma                     gamma                          epsilon, or a gamma of their own
=========================  ========================  =============================  ====================================

The last two have rules for attention and layer norms besides (`seewhy.core.relevance.attention`), which the others
refuse: in attn-lrp the weights of attention take relevance as the values do, in cp-lrp they are constants.

A layer is at the input where what it reads is the input's values, moved, put together, averaged, scaled or clipped.
Flat, which needs no range of them, also goes to any other layer that has none between the input and it; where z-box
would, and the range is not known, the layer has the rule of its kind, and a note says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from seewhy.core.relevance.redistribution import STABILISER
from seewhy.core.relevance.rules import AlphaBeta, Epsilon, Excitation, Flat, Gamma, Rule, WSquare, ZBox, ZPlus
from seewhy.errors import UnknownName, UsageError

__all__ = ["COMPOSITES", "Composite", "LinearCall", "excitation", "find_composite"]

COMPOSITES = (
    "epsilon",
    "epsilon-plus",
    "epsilon-plus-flat",
    "epsilon-alpha2-beta1",
    "epsilon-alpha2-beta1-flat",
    "epsilon-gamma-box",
    "by-depth",
    "attn-lrp",
    "cp-lrp",
)
#: those with rules for attention
_ATTENTIVE = ("attn-lrp", "cp-lrp")
#: the words that a user's own composite may give instead of a rule
_WORDS: dict[str, Callable[[], Rule]] = {
    "zplus": ZPlus,
    "alpha-beta": AlphaBeta,
    "flat": Flat,
    "w-square": WSquare,
}
#: what has rules for attention, in words
_INSTEAD = 'composite="attn-lrp" has rules for attention, layer norm and products of two signals'
#: share of the rms output that the middle layers' epsilon is (Montavon et al. 2019, their VGG-16 example)
_MIDDLE = 0.25


@dataclass(frozen=True)
class LinearCall:
    """One call of a linear layer in a forward, as a composite sees it.

    ``kind`` is ``"convolution"`` or ``"linear"``; ``index`` counts such calls from 0 in the order of the forward,
    ``count`` is how many there were. ``lowest`` says that no other one is between the input and it, ``first`` that what
    it reads is known to be the input besides: its values moved, put together, averaged, scaled or clipped, so that
    their range is known.
    """

    kind: str
    index: int
    count: int
    first: bool
    lowest: bool = False

    @property
    def last(self) -> bool:
        """Whether no linear layer runs after it."""
        return self.index == self.count - 1


@dataclass(frozen=True, eq=False)
class Composite:
    """``choose`` gives each linear layer its rule; sums and pooling share in proportion, of positive values only where
    ``positive``.

    ``epsilon`` is that of sums, pooling and attention. ``attentive``: there are rules for attention, layer norms and
    products of signals; ``held``: the weights of attention are constants in them. ``instead`` is what to ask for where
    a function has no rule.
    """

    name: str
    choose: Callable[[LinearCall], Rule]
    positive: bool = False
    attentive: bool = False
    held: bool = False
    epsilon: float = STABILISER
    instead: str = ""

    @property
    def pooling(self) -> Rule:
        """The rule of averages, sums over positions and interpolation."""
        return Excitation() if self.positive else Epsilon(self.epsilon)


def find_composite(
    asked: str | Callable[[LinearCall], Any],
    *,
    epsilon: float = 1e-6,
    gamma: float = 0.25,
    linear_gamma: float = 0.0,
    bounds: tuple[Tensor, Tensor] | None = None,
) -> Composite:
    """The composite called ``asked``, or the user's own: a callable from `LinearCall` to a rule or its word.

    ``epsilon`` is absolute, as everywhere in this family; ``linear_gamma`` is the gamma of linear layers where
    attention has rules, 0 for epsilon; ``bounds`` are the smallest and largest values of the input, for z-box. Raises
    `UnknownName` for a name that does not exist, `UsageError` for invalid numbers.
    """
    for name, value in (("epsilon", epsilon), ("gamma", gamma), ("linear_gamma", linear_gamma)):
        if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
            raise UsageError(f"{name}={value!r}: a number not below 0")
    if linear_gamma and asked not in _ATTENTIVE:
        raise UsageError(
            f"linear_gamma={linear_gamma:g} is about the composites {' and '.join(_ATTENTIVE)}; give one of them, or "
            "leave it out"
        )
    rules = _Rules(epsilon, gamma, linear_gamma, bounds)
    if callable(asked):
        own = getattr(asked, "__name__", "own")
        return Composite(own, lambda call: rules.word(asked(call)), instead=_INSTEAD)
    if asked not in COMPOSITES:
        raise UnknownName("composite", str(asked), COMPOSITES, f"one of {', '.join(COMPOSITES)}, or a callable")
    if asked in _ATTENTIVE:
        return Composite(asked, rules.of_transformers, attentive=True, held=asked == "cp-lrp", epsilon=epsilon)
    return Composite(asked, _ChooseBy(asked, rules), instead=_INSTEAD)


def excitation(*, contrast: bool = False) -> Composite:
    """Excitation backpropagation everywhere; ``contrast`` turns the weights of the last linear layer over."""
    return Composite(
        "contrast" if contrast else "excitation", lambda call: Excitation(contrast and call.last), positive=True
    )


@dataclass(frozen=True, eq=False)
class _Rules:
    """The rules with the numbers of this call."""

    epsilon: float
    gamma: float
    linear_gamma: float
    bounds: tuple[Tensor, Tensor] | None

    def of_transformers(self, call: LinearCall) -> Rule:
        """The rule of a linear layer where attention has rules: what cuts the image into tokens may be either kind."""
        gamma = self.gamma if call.kind == "convolution" or call.lowest else self.linear_gamma
        return Gamma(gamma) if gamma else Epsilon(self.epsilon)

    def word(self, word: Any) -> Rule:
        """The rule that a user's composite means by ``word``: a rule is itself."""
        if callable(word):
            return word  # type: ignore[no-any-return]
        if word == "epsilon":
            return Epsilon(self.epsilon)
        if word == "gamma":
            return Gamma(self.gamma)
        if word == "z-box":
            return self.box()
        if word in _WORDS:
            return _WORDS[word]()
        known = (*_WORDS, "epsilon", "gamma", "z-box")
        raise UnknownName("rule", str(word), known, f"one of {', '.join(sorted(known))}, or a rule object")

    def box(self) -> Rule:
        """z-box between the input's bounds."""
        if self.bounds is None:
            raise UsageError("z-box needs the smallest and largest values of the input; give bounds=(low, high)")
        return ZBox(*self.bounds)


@dataclass(frozen=True, eq=False)
class _ChooseBy:
    """The named composites."""

    name: str
    rules: _Rules

    def __call__(self, call: LinearCall) -> Rule:
        """The rule of one linear layer."""
        if self.name == "by-depth":
            return self._by_depth(call)
        if (call.first or call.lowest) and self.name.endswith("-flat"):
            return Flat()
        if call.kind == "linear" or self.name == "epsilon":
            return Epsilon(self.rules.epsilon)
        if self.name.startswith("epsilon-plus"):
            return ZPlus()
        if self.name.startswith("epsilon-alpha2-beta1"):
            return AlphaBeta(2.0, 1.0)
        return self.rules.box() if call.first else Gamma(self.rules.gamma)

    def _by_depth(self, call: LinearCall) -> Rule:
        if call.first:
            return self.rules.box()
        third = 3 * call.index // call.count
        if third == 0:
            return Gamma(self.rules.gamma)
        return Epsilon(_MIDDLE, relative=True) if third == 1 else Epsilon(self.rules.epsilon)
