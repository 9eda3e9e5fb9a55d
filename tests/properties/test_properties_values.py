"""What the values must be whatever the network: finite, complete where the paper proves it, zero where nothing depends,
linear where targets are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import CLASSES, image, make
from properties.asking import METHODS, close, every, explain, stacked
from seewhy import targets as t
from seewhy.registry import Need, methods
from torch import Tensor

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")

CODES = {"ok", "zero-gradient", "no-positive-evidence", "not-converged"}
#: maps of the activations alone
BLIND = {m.name for m in methods if not m.card.discriminative and Need.GRADIENT not in m.card.needs}
#: weights from a softmax over channels: a score that never changes weighs all channels alike
SOFTMAX = {"score-cam", "ss-cam", "is-cam"}


def _inputs() -> dict[str, Callable[[], Tensor]]:
    return {
        "zero": lambda: torch.zeros(2, 3, 8, 8, dtype=torch.float64),
        "constant": lambda: torch.full((2, 3, 8, 8), 0.7, dtype=torch.float64),
        "black": lambda: torch.full((2, 3, 8, 8), -2.1, dtype=torch.float64),
        "white": lambda: torch.full((2, 3, 8, 8), 2.6, dtype=torch.float64),
        "saturated": lambda: 1e3 * image(1),
        "faint": lambda: 1e-6 * image(1),
    }


@pytest.mark.parametrize("what", sorted(_inputs()))
@pytest.mark.parametrize("network", ["conv-bn-relu", "relu6-in-place", "silu", "bias-free"])
@pytest.mark.parametrize("name", METHODS)
def test_finite(name: str, network: str, what: str) -> None:
    """No NaN and no infinity on images without variation and beyond all range, in float32; and a status that fits."""
    case = make(network, 1, torch.float32)
    if name == "cam" and not case.pooled:
        pytest.skip("no class activation mapping with this head")
    for each in every(explain(case, _inputs()[what]().float(), name)):
        assert np.isfinite(each.values).all()
        assert each.status.code in CODES
        assert (each.status.code == "zero-gradient") == (not each.values.any())


@pytest.mark.parametrize("name", METHODS)
def test_one_position(name: str) -> None:
    """A layer of a single position is explained like any other: finite, 1x1, and the same in a batch."""
    case, x = make("one-position", 2), image(2)
    found = every(explain(case, x, name))
    for each in found:
        assert np.isfinite(each.values).all()
        if each.layer is not None and methods[name].card.family == "cam" and name != "guided-grad-cam":
            assert each.values.shape == (1, 1)


@pytest.mark.parametrize("name", METHODS)
def test_one_pixel_wide(name: str) -> None:
    """Inputs that are not square keep their orientation."""
    case = make("conv-bn-relu", 3)
    x = torch.randn(1, 3, 12, 6, generator=torch.Generator().manual_seed(0)).double()
    (each,) = every(explain(case, x, name))
    assert each.values.shape[-2:] in ((12, 6), (6, 3))
    assert each.map.shape == (12, 6)


def _no_dependence() -> dict[str, Callable[[Tensor], Tensor]]:
    return {
        "zeros": lambda out: torch.zeros(out.shape[0], dtype=out.dtype),
        "detached": lambda out: out.detach()[:, 0] * 0,
        "in the graph": lambda out: out[:, 0] * 0,
    }


@pytest.mark.parametrize("kind", sorted(_no_dependence()))
@pytest.mark.parametrize("name", [name for name in METHODS if name not in BLIND | SOFTMAX | {"finer-cam"}])
def test_zero_for_a_target_that_depends_on_nothing(name: str, kind: str) -> None:
    """The map is 0 everywhere, and the status says why."""
    for each in every(explain(make("conv-bn-relu", 4), image(4), name, _no_dependence()[kind])):
        assert not each.values.any()
        assert each.status.code == "zero-gradient"
        assert each.status.cause


@pytest.mark.parametrize("name", METHODS)
def test_zero_for_a_network_whose_scores_are_constant(name: str) -> None:
    """With a head of weight 0, only methods that never look at the score, or only compare scores, show anything."""
    case = make("conv-bn-relu", 5)
    with torch.no_grad():
        case.net[-1].weight.zero_()
    for each in every(explain(case, image(5), name, 2)):
        bias = case.net[-1].bias[2].item()
        if name == "full-grad":  # the head's own bias is the whole score, and belongs to no place
            np.testing.assert_allclose(each.values, bias / each.values.size)
        elif name == "recipro-cam":  # every position alone scores the bias
            np.testing.assert_allclose(each.values, bias)
        elif name in SOFTMAX | BLIND:
            assert each.values.any()
        else:
            assert not each.values.any()
            assert each.status.code == "zero-gradient"


@pytest.mark.parametrize("name", sorted(SOFTMAX))
def test_softmax_of_equal_scores_is_the_mean_activation(name: str) -> None:
    """As the papers define it: a score that no mask changes gives every channel the same weight."""
    case, x = make("conv-bn-relu", 4), image(4)
    found = stacked(explain(case, x, name, _no_dependence()["zeros"]))
    features = case.net[: int(case.layer) + 1](x).detach()
    close(found, features.mean(1).numpy(), 1e-12)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), k=st.integers(0, CLASSES - 1), network=st.sampled_from(["conv-bn-relu", "residual"]))
def test_completeness_of_cam(seed: int, k: int, network: str) -> None:
    """The map's mean is the score less the bias."""
    case, x = make(network, seed), image(seed)
    for each in every(explain(case, x, "cam", k)):
        assert each.values.mean() == pytest.approx(each.score - case.net[-1].bias[k].item(), abs=1e-11)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), k=st.integers(0, CLASSES - 1))
def test_completeness_without_biases(seed: int, k: int) -> None:
    """Input x gradient, FullGrad, and the gradient CAMs' sums equal the score of a bias-free ReLU network, anywhere."""
    case, x = make("bias-free", seed), image(seed)
    for name, layer in (
        ("input-x-gradient", None),
        ("input-x-gradient", case.early),
        ("full-grad", None),
        ("hires-cam", case.early),
        ("hires-cam", case.layer),
        ("xgrad-cam", case.layer),
    ):
        for each in every(explain(case, x, name, k, layer=layer)):
            assert float(each.values.sum()) == pytest.approx(each.score, abs=1e-11), (name, layer)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    network=st.sampled_from(["conv-bn-relu", "relu6-in-place", "silu", "gelu", "residual"]),
)
def test_completeness_of_full_grad(seed: int, network: str) -> None:
    """The sum is the score, with batch norm and with activations that are not linear on both sides of 0."""
    for each in every(explain(make(network, seed), image(seed), "full-grad", 0)):
        assert float(each.values.sum()) == pytest.approx(each.score, abs=1e-10)
        assert each.error == pytest.approx(0, abs=1e-10)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    network=st.sampled_from(["silu", "gelu"]),
    start=st.floats(-1, 1),
)
def test_completeness_of_paths(seed: int, network: str, start: float) -> None:
    """On smooth networks many nodes reach score minus baseline's score; the residual returned is the true one."""
    case, x = make(network, seed), image(seed)
    with torch.no_grad():
        rise = (case.net(x) - case.net(torch.full_like(x, start)))[:, 1].numpy()
    fine = every(
        explain(case, x, "integrated-gradients", baseline=start, rule="gauss-legendre", steps=200)
    )
    units = every(explain(case, x, "conductance", baseline=start, steps=400, layer=case.early))
    rough = every(explain(case, x, "conductance", baseline=start, steps=2, layer=case.early))
    for row in range(len(x)):
        assert float(fine[row].values.sum()) == pytest.approx(rise[row], abs=1e-4 * (1 + abs(rise[row])))
        assert float(units[row].values.sum()) == pytest.approx(rise[row], abs=1e-2 * (1 + abs(rise[row])))
        assert rough[row].error == pytest.approx(float(rough[row].values.sum()) - rise[row], abs=1e-10)


@pytest.mark.parametrize("network", ["conv-bn-relu", "relu6-in-place", "residual"])
@pytest.mark.parametrize("layer", ["early", "layer"])
def test_cam_family_agrees_at_a_pooled_head(network: str, layer: str) -> None:
    """Where the gradient is the same at every position, Grad-CAM, HiRes-CAM and XGrad-CAM are CAM / positions."""
    case, x = make(network, 6), image(6)
    if not case.pooled or layer == "early":
        maps = [stacked(explain(case, x, name, layer=getattr(case, layer))) for name in ("grad-cam", "hires-cam")]
        assert np.abs(maps[0] - maps[1]).max() > 1e-3 * np.abs(maps[1]).max()
        return
    expected = stacked(explain(case, x, "cam"))
    positions = expected[0].size
    for name in ("grad-cam", "hires-cam", "xgrad-cam", "ablation-cam", "shapley-cam"):
        factor = 1 if name != "ablation-cam" else None
        found = stacked(explain(case, x, name))
        if factor is None:  # W_c mean(A_c) instead of W_c
            weights, features = case.net[-1].weight[1].detach(), case.net[: int(case.layer) + 1](x).detach()
            close(found, torch.einsum("c,bc,bchw->bhw", weights, features.mean((2, 3)), features).numpy(), 1e-11)
        else:
            close(found * positions, expected, 1e-11)


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


@pytest.mark.parametrize("name", ["saliency", "grad-cam", "hires-cam", "cam", "ablation-cam", "input-x-gradient"])
def test_signed_methods_follow_the_sign_of_the_target(name: str) -> None:
    """Methods that are linear in the score turn over with it, and scale with it."""
    case, x = make("conv-bn-relu", 9), image(9)
    plus = stacked(explain(case, x, name, t.Logit(1)))
    close(stacked(explain(case, x, name, -t.Logit(1))), -plus, 1e-12)
    close(stacked(explain(case, x, name, 2.5 * t.Logit(1))), 2.5 * plus, 1e-12)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "finer-cam"])
def test_an_index_a_target_and_a_callable_are_the_same(name: str) -> None:
    case, x = make("conv-bn-relu", 10), image(10)
    expected = stacked(explain(case, x, name, 2))
    close(stacked(explain(case, x, name, t.Logit(2))), expected, 1e-12)
    close(stacked(explain(case, x, name, lambda out: out[:, 2])), expected, 1e-12)
    close(stacked(explain(case, x, name, 2 - CLASSES)), expected, 1e-12)

