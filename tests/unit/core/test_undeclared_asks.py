"""Formulas that ask for what their cards do not say: they get what one that says so gets, or a line that tells what is
missing; never zeros."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
import seewhy.methods
from networks import make
from seewhy.core import asks
from seewhy.core.forward.attention import AttentionMaps
from seewhy.core.forward.propagation import Flow
from seewhy.core.network.places import INPUT
from seewhy.core.perturb.folds import Gather
from seewhy.core.perturb.sources import StraightPath
from seewhy.core.relevance.composites import find_composite
from seewhy.errors import CapabilityError, UsageError
from seewhy.registry import Card, Need, method, methods

_BARE = Card(name="trial", family="gradient", paper="none", formula="none", cost="none", at="any")


@contextmanager
def _registered(card: Card, formula: Callable[..., Any]) -> Iterator[None]:
    method(card)(formula)
    try:
        yield
    finally:
        methods.remove(card.name)


def _map(value: Any) -> Tensor:
    """Some numbers of each image, whatever an ask was answered with."""
    if isinstance(value, list):  # bias terms
        value = sum(each.flatten(1).sum(1) for each in value if each.ndim > 1)
    elif isinstance(value, Flow):
        value = value.values
    elif isinstance(value, AttentionMaps):
        value = value.weights[-1] * value.gradients[-1]
    return value.reshape(len(value), -1)[:, :64]


#: what is asked, and the needs that a card would say
ASKS: dict[str, tuple[Any, frozenset[Need]]] = {
    "gradient": (asks.Gradient(), frozenset({Need.GRADIENT})),
    "gradient at the input": (asks.Gradient(INPUT), frozenset({Need.INPUT_GRADIENT, Need.GRADIENT})),
    "gradient elsewhere": (asks.Gradient("0"), frozenset({Need.GRADIENT, Need.INPUT_GRADIENT})),
    "guided gradient": (asks.Gradient(INPUT, rule="guided"), frozenset({Need.INPUT_GRADIENT, Need.GRADIENT, Need.RULE})),
    "activation": (asks.Activation(), frozenset({Need.ACTIVATION})),
    "activation elsewhere": (asks.Activation("0"), frozenset({Need.ACTIVATION})),
    "second derivatives": (asks.HessianProduct(), frozenset({Need.GRADIENT, Need.CURVATURE})),
    "head": (asks.HeadWeights(), frozenset({Need.HEAD})),
    "biases": (asks.BiasMaps(), frozenset({Need.BIASES})),
    "relevance": (asks.Relevance(find_composite("epsilon-plus")), frozenset({Need.RELEVANCE})),
    "stream": (
        asks.Stream(StraightPath(2, (0.5, 1.0)), (asks.Gradient(),), Gather(2, 2)),
        frozenset({Need.STREAM, Need.GRADIENT}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("kind", ASKS)
def test_what_no_card_declares_is_answered_all_the_same(kind: str, prepare: bool) -> None:
    ask, needs = ASKS[kind]
    case = make("conv-bn-relu", 0, torch.float32)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))

    def formula() -> Any:
        """A trial."""
        asked = replace(ask, fold=Gather(2, 2)) if kind == "stream" else ask
        value = yield asked
        return _map(value[0] if kind == "stream" else value)

    # of a score that is not linear in what the layer gives
    target, found = seewhy.targets.LogProbability(1) if kind == "second derivatives" else 1, []
    for card in (_BARE, replace(_BARE, needs=needs)):
        with _registered(card, formula):
            maps = seewhy.explain_all(case.net, x, method="trial", target=target, layer=case.layer, prepare=prepare)
        found.append(np.stack([each.values for each in maps]))
    assert np.abs(found[1]).max() > 0
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_attention_that_no_card_declares() -> None:
    case = make("tokens", 0, torch.float32)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))

    def formula() -> Any:
        """A trial."""
        maps = yield asks.Attention()
        return _map(maps)

    found = []
    for card in (_BARE, replace(_BARE, needs=frozenset({Need.ATTENTION}))):
        with _registered(card, formula):
            maps = seewhy.explain_all(case.net, x, method="trial", target=1)
        found.append(np.stack([each.values for each in maps]))
    assert np.abs(found[1]).max() > 0
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_a_gradient_that_no_card_declares_is_autograds() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    x = torch.randn(1, 3, 8, 8)
    leaf = x.clone().requires_grad_()
    (right,) = torch.autograd.grad(net(leaf)[:, 2].sum(), leaf)

    def formula() -> Any:
        """A trial."""
        return (yield asks.Gradient(INPUT))

    with _registered(replace(_BARE, at="input", reduce="none"), formula):
        found = seewhy.explain(net, x, method="trial", target=2)
    np.testing.assert_allclose(found.values, right[0].numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("ask", [asks.Supplied("fill"), asks.Multipliers()])
def test_what_nobody_prepared_is_refused_in_a_line(ask: Any) -> None:
    case = make("conv-bn-relu", 0, torch.float32)

    def formula(input: Tensor) -> Any:
        """A trial."""
        return (yield ask)

    with (
        _registered(_BARE, formula),
        pytest.raises(CapabilityError, match=r"^trial asks for '\w+', which its formula does not take: give it an arg"),
    ):
        seewhy.explain(case.net, torch.randn(1, 3, 8, 8), method="trial", target=1)


def test_an_argument_that_nothing_fills_is_refused_when_it_is_registered() -> None:
    def formula(weights: Tensor) -> Tensor:
        """A trial."""
        return weights

    with pytest.raises(
        UsageError, match=r"^method 'trial': nothing fills argument 'weights'; known: input, spread, activation"
    ):
        method(_BARE)(formula)
