"""What has no rule is refused by name, invalid words get one line, and targets set out where they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
import seewhy.methods
from networks import image, make
from seewhy import targets as t
from seewhy.core.relevance.composites import LinearCall
from seewhy.core.relevance.rules import AlphaBeta, Flat
from seewhy.errors import CapabilityError, UnknownName, UsageError
from unit.core.relevances import lrp, same, toy


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return 2 * grads[0]


REFUSED: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "softmax": lambda s, x: s.a(x).softmax(1),
    "native_layer_norm": lambda s, x: s.norm(s.a(x)),
    "mul": lambda s, x: s.a(x) * s.b(x),
    "div": lambda s, x: s.a(x) / (1 + s.b(x).relu()),
    "bmm": lambda s, x: s.a(x) @ s.b(x),
    "exp": lambda s, x: s.a(x).exp(),
    "pow": lambda s, x: s.a(x) ** 2,
    "reciprocal": lambda s, x: 1 / s.a(x),
    "convolution": lambda s, x: F.conv2d(s.a(x)[:1].movedim(0, 0), s.b(x)[:1], padding=3)[:, :1].expand(2, 4, -1, -1),
    "__doubled": lambda s, x: _Doubled.apply(s.a(x)),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_has_no_rule_is_refused_by_name(name: str) -> None:
    """Never a plain gradient in disguise; the same place behind it is fine."""
    net, x = toy(REFUSED[name]), image(14)
    with pytest.raises(CapabilityError, match=f"lrp has no rule for .*{name.strip('_')}") as raised:
        seewhy.explain_all(net, x, method="lrp", target=1)
    assert "deep-lift" in str(raised.value)
    assert "\n" not in str(raised.value)
    behind = seewhy.explain_all(net, x, method="lrp", target=1, layer="head")
    assert all(np.isfinite(each.values).all() for each in behind)


def test_what_lies_beside_the_way_does_not_matter() -> None:
    """A softmax after the scores, and one in a branch that the class does not read."""
    case, x = make("conv-bn-relu", 15), image(15)
    same(lrp(nn.Sequential(*case.net, nn.Softmax(1)), x), lrp(case.net, x), 1e-12)


def test_words_and_numbers() -> None:
    case, x = make("conv-bn-relu", 16), image(16, batch=1)

    def ask(**given: Any) -> Any:
        return seewhy.explain(case.net, x, method="lrp", target=1, **given)

    with pytest.raises(UnknownName, match="no composite 'epsilon-gama-box'; nearest: 'epsilon-gamma-box'"):
        ask(composite="epsilon-gama-box")
    with pytest.raises(UnknownName, match="no rule 'zpluss'; nearest: 'zplus'"):
        ask(composite=lambda call: "zpluss")
    with pytest.raises(UsageError, match="z-box rule knows the range of the input only"):
        ask(composite=lambda call: "z-box")
    with pytest.raises(UsageError, match="gamma=-1: a number not below 0"):
        ask(gamma=-1)
    with pytest.raises(UsageError, match="epsilon=nan"):
        ask(epsilon=float("nan"))
    with pytest.raises(UsageError, match="backward_rule='guided' has no meaning"):
        ask(backward_rule="guided")
    with pytest.raises(UsageError, match="alpha - beta is 1"):
        AlphaBeta(2, 2)


def test_a_composite_of_ones_own() -> None:
    """It is asked once a layer and sees where each one is; words and rules are both answers."""
    case, x = make("conv-bn-relu", 17), image(17, batch=1)
    seen: list[LinearCall] = []

    def own(call: LinearCall) -> Any:
        seen.append(call)
        return Flat() if call.first else "zplus" if call.kind == "convolution" else "epsilon"

    same(lrp(case.net, x, own), lrp(case.net, x, "epsilon-plus-flat"), 1e-12)
    assert [(call.kind, call.index, call.count, call.first, call.last) for call in seen] == [
        ("linear", 2, 3, False, True),
        ("convolution", 1, 3, False, False),
        ("convolution", 0, 3, True, False),
    ]


def test_targets_share_one_forward() -> None:
    case, x = make("conv-bn-relu", 18), image(18, batch=1)
    found = seewhy.explain_all(case.net, x, method=["lrp", "excitation-backprop"], target=[0, 1, 2], layer=case.layer)
    assert (found.cost.forwards, found.cost.backwards) == (2, 6)


def test_a_margin_is_the_difference_of_its_classes() -> None:
    """Relevance under one composite is linear in what sets out."""
    case, x = make("residual", 19), image(19, batch=1)
    one, two, both = (
        seewhy.explain(case.net, x, method="lrp", target=target, reduce="none").values
        for target in (t.Logit(1), t.Logit(2), t.Margin(1, 2))
    )
    same(both, one - two, 1e-9)


def test_a_unit_as_target_sets_out_from_its_layer() -> None:
    case, x = make("conv-bn-relu", 20), image(20, batch=1)
    found = seewhy.explain(case.net, x, method="lrp", target=t.Neuron("2", 1), composite="epsilon", reduce="none")
    assert float(found.values.sum() - found.error) == pytest.approx(found.score, rel=1e-9)
    assert found.values.any()
    behind = seewhy.explain(case.net, x, method="lrp", target=t.Neuron("2", 1), layer="6")
    assert behind.status.code == "zero-gradient"


def test_a_target_that_does_not_read_the_scores_is_refused() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = make("conv-bn-relu", 21).net

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logits": self.net(x), "other": x.flatten(1)[:, :3] * 2}

    with pytest.raises(CapabilityError, match="this target does not read"):
        seewhy.explain_all(Two().eval(), image(21), method="lrp", target=lambda out: out["other"][:, 0])
