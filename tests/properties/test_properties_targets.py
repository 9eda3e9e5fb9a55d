"""Arithmetic on targets: sums, differences, multiples and negatives are those of the numbers, and maps follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from networks import CLASSES, image, make
from properties.asking import METHODS, close, every, explain, made, stacked
from seewhy import targets as t
from seewhy.registry import methods


class _Numbers:
    """Targets as expressions, with the number that each must give."""

    @staticmethod
    def leaf(k: int) -> tuple[t.Target, Callable[[np.ndarray], float]]:
        return t.Logit(k), lambda row: float(row[k])

    @staticmethod
    def margin(a: int, b: int) -> tuple[t.Target, Callable[[np.ndarray], float]]:
        return t.Margin(a, b), lambda row: float(row[a] - row[b])

    @staticmethod
    def centred(k: int) -> tuple[t.Target, Callable[[np.ndarray], float]]:
        return t.Centred(k), lambda row: float(row[k] - row.mean())


_INDEX, _FACTOR = st.integers(0, CLASSES - 1), st.floats(-3, 3, width=16)
_LEAVES = st.one_of(
    st.builds(_Numbers.leaf, _INDEX), st.builds(_Numbers.margin, _INDEX, _INDEX), st.builds(_Numbers.centred, _INDEX)
)


def _grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda a, b: (a[0] + b[0], lambda r: a[1](r) + b[1](r)), inner, inner),
        st.builds(lambda a, b: (a[0] - b[0], lambda r: a[1](r) - b[1](r)), inner, inner),
        st.builds(lambda f, a: (f * a[0], lambda r: f * a[1](r)), _FACTOR, inner),
        st.builds(lambda f, a: (a[0] * f, lambda r: f * a[1](r)), _FACTOR, inner),
        st.builds(lambda a: (-a[0], lambda r: -a[1](r)), inner),
    )


@settings(max_examples=120, deadline=None, derandomize=True)
@given(expression=st.recursive(_LEAVES, _grow, max_leaves=6))
def test_arithmetic_on_targets(expression: tuple[t.Target, Callable[[np.ndarray], float]]) -> None:
    """The score of any sum, difference, multiple or negative is that of the numbers; and the gradient follows."""
    target, number = expression
    case, x = make("silu", 7), image(7, batch=1)
    with torch.no_grad():
        logits = case.net(x)[0].numpy()
    (found,) = every(explain(case, x, "saliency", target))
    assert found.score == pytest.approx(number(logits), abs=1e-9)
    jacobian = _jacobian()
    # every target here is linear in the logits: its weights are its values on unit rows
    weights = [number(unit) for unit in np.eye(CLASSES)]
    expected = sum(w * j for w, j in zip(weights, jacobian, strict=True))
    assert np.abs(found.values - expected).max() <= 1e-11 * (1 + np.abs(jacobian).max() * np.abs(weights).sum())


_KEPT: list[np.ndarray] = []


def _jacobian() -> np.ndarray:
    if not _KEPT:
        case, x = make("silu", 7), image(7, batch=1)
        leaf = x.clone().requires_grad_()
        out = case.net(leaf)
        _KEPT.append(
            np.stack([torch.autograd.grad(out[0, k], leaf, retain_graph=True)[0][0].numpy() for k in range(CLASSES)])
        )
    return _KEPT[0]


def test_difference_is_not_minus_both() -> None:
    """``a - b`` subtracts b once: the sum a + b, the negative of both and the reverse are all different."""
    case, x = make("gelu", 8), image(8, batch=1)
    a, b = t.Logit(0), t.Logit(1)
    names = {"a - b": a - b, "b - a": b - a, "a + b": a + b, "-(a + b)": -(a + b), "2 a - b": 2 * a - b}
    scores = {name: every(explain(case, x, "saliency", target))[0].score for name, target in names.items()}
    with torch.no_grad():
        one, two = case.net(x)[0, :2].tolist()
    expected = [one - two, two - one, one + two, -one - two, 2 * one - two]
    assert list(scores.values()) == pytest.approx(expected)


_LINEAR = [
    "saliency", "grad-cam", "hires-cam", "cam", "ablation-cam", "input-x-gradient",
    "occlusion", "feature-ablation", "rise", "d-rise", "shapley-sampling", "lime", "kernel-shap",
]  # fmt: skip


@pytest.mark.parametrize("name", _LINEAR)
def test_signed_methods_follow_the_sign_of_the_target(name: str) -> None:
    """Methods that are linear in the score turn over with it, and scale with it."""
    case, x = made(name, "conv-bn-relu", 9), image(9)
    plus = stacked(explain(case, x, name, t.Logit(1)))
    close(stacked(explain(case, x, name, -t.Logit(1))), -plus, 1e-12)
    close(stacked(explain(case, x, name, 2.5 * t.Logit(1))), 2.5 * plus, 1e-12)


@pytest.mark.parametrize("name", ["sobol", "hsic"])
def test_methods_without_units_are_blind_to_scale_and_sign(name: str) -> None:
    """Shares of variance and dependences are those of the score, however it is measured."""
    case, x = made(name, "conv-bn-relu", 9), image(9)
    plus = stacked(explain(case, x, name, t.Logit(1)))
    close(stacked(explain(case, x, name, -2.5 * t.Logit(1))), plus, 1e-9)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "finer-cam"])
def test_an_index_a_target_and_a_callable_are_the_same(name: str) -> None:
    case, x = made(name, "conv-bn-relu", 10), image(10)
    expected = stacked(explain(case, x, name, 2))
    close(stacked(explain(case, x, name, t.Logit(2))), expected, 1e-12)
    close(stacked(explain(case, x, name, lambda out: out[:, 2])), expected, 1e-12)
    close(stacked(explain(case, x, name, 2 - CLASSES)), expected, 1e-12)


#: what looks where the target's own gradient, or what was found for it, leads
_OWN_VARIANTS = {"extremal-perturbation", "guided-ig", "le-grad", "meaningful-perturbation"}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.usefixtures("no_spot_checks")
def test_several_targets_share_every_forward(name: str) -> None:
    """Two targets of an image run no more forwards than one, and each gets the map that it would get alone."""
    case, x = made(name, "silu"), image(3, batch=1)
    explain(case, x, name, 1)  # pictures say once what a layer's grid is
    passed: list[int] = []
    case.net.register_forward_pre_hook(lambda module, inputs: passed.append(len(inputs[0])))
    # nothing stops early: where one does, the other may go on
    given = {"tolerance": 0.0} if {"seed", "tolerance"} <= set(methods[name].parameters) else {}
    alone = every(explain(case, x, name, 1, **given))[0]
    one = sum(passed)
    both = every(explain(case, x, name, [1, 0], **given))
    if name not in _OWN_VARIANTS:
        # and one pass for all that are 0 everywhere, to see why
        looks = (not all(each.values.any() for each in both)) - (not alone.values.any())
        assert sum(passed) - one == one + looks
    close(both[0].values, alone.values, 1e-9)
