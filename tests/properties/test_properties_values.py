"""What the values must be whatever the network: finite, complete where proven, zero where nothing depends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from networks import CLASSES, image, make
from properties.asking import METHODS, close, every, explain, made, stacked
from seewhy.registry import Need, methods

#: what can be said of a map that is 0 everywhere
NOTHING = {"zero-gradient", "no-evidence", "no-positive-evidence"}
CODES = {"ok", "not-converged", *NOTHING}
#: maps of the activations alone
BLIND = {m.name for m in methods if not m.card.discriminative and not m.card.needs & {Need.GRADIENT, Need.ATTENTION}}


def _inputs() -> dict[str, Callable[[], Tensor]]:
    return {
        "zero": lambda: torch.zeros(2, 3, 8, 8, dtype=torch.float64),
        "constant": lambda: torch.full((2, 3, 8, 8), 0.7, dtype=torch.float64),
        "black": lambda: torch.full((2, 3, 8, 8), -2.1, dtype=torch.float64),
        "white": lambda: torch.full((2, 3, 8, 8), 2.6, dtype=torch.float64),
        "saturated": lambda: 1e3 * image(1),
        "faint": lambda: 1e-6 * image(1),
    }


@pytest.mark.parametrize(
    ("name", "network"),
    [
        (name, network)
        for name in METHODS
        for network in ("conv-bn-relu", "relu6-in-place", "silu", "bias-free")
        if name != "cam" or network != "relu6-in-place"  # a head that CAM refuses
    ],
)
def test_finite(name: str, network: str) -> None:
    """No NaN and no infinity on images without variation and beyond all range, in float32; and a status that fits."""
    case, given = made(name, network, 1, torch.float32), _inputs()
    kinds = [kind for kind in given for _ in range(2)]
    found = every(explain(case, torch.cat([make() for make in given.values()]).float(), name))
    for kind, each in zip(kinds, found, strict=True):
        assert np.isfinite(each.values).all(), kind
        assert each.status.code in CODES, kind
        if not each.values.any():
            assert each.status.code in NOTHING, kind
        else:
            assert each.status.code not in ("zero-gradient", "no-evidence"), kind


@pytest.mark.parametrize("name", METHODS)
def test_one_position(name: str) -> None:
    """A layer of a single position is explained like any other: finite, 1x1, and the same in a batch."""
    case, x = made(name, "one-position", 2), image(2)
    found = every(explain(case, x, name))
    for each in found:
        assert np.isfinite(each.values).all()
        if each.layer is not None and methods[name].card.family == "cam" and name != "guided-grad-cam":
            assert each.values.shape == (1, 1)


@pytest.mark.parametrize("name", METHODS)
def test_one_pixel_wide(name: str) -> None:
    """Inputs that are not square keep their orientation."""
    case = made(name, "conv-bn-relu", 3)
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
@pytest.mark.parametrize("name", [name for name in METHODS if name not in BLIND | {"finer-cam"}])
def test_zero_for_a_target_that_depends_on_nothing(name: str, kind: str) -> None:
    """The map is 0 everywhere, and the status says why."""
    for each in every(explain(made(name, "conv-bn-relu", 4), image(4), name, _no_dependence()[kind])):
        assert not each.values.any()
        assert each.status.code == "zero-gradient"
        assert each.status.cause


@pytest.mark.parametrize("name", METHODS)
def test_zero_for_a_network_whose_scores_are_constant(name: str) -> None:
    """With a head of weight 0, only methods that never look at the score, or only compare scores, show anything."""
    case = made(name, "conv-bn-relu", 5)
    with torch.no_grad():
        case.head.weight.zero_()
    for each in every(explain(case, image(5), name, 2)):
        bias = case.head.bias[2].item()
        if name == "full-grad":  # the head's own bias is the whole score, and belongs to no place
            np.testing.assert_allclose(each.values, bias / each.values.size)
        elif name == "recipro-cam":  # every position alone scores the bias
            np.testing.assert_allclose(each.values, bias)
        elif name in BLIND:
            assert each.values.any()
        else:
            assert not each.values.any()
            assert each.status.code == "zero-gradient"


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000), k=st.integers(0, CLASSES - 1), network=st.sampled_from(["conv-bn-relu", "residual"])
)
def test_completeness_of_cam(seed: int, k: int, network: str) -> None:
    """The map's mean is the score less the bias."""
    case, x = make(network, seed), image(seed)
    for each in every(explain(case, x, "cam", k)):
        assert each.values.mean() == pytest.approx(each.score - case.head.bias[k].item(), abs=1e-11)


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
    fine = every(explain(case, x, "integrated-gradients", baseline=start, rule="gauss-legendre", steps=200))
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
            weights, features = case.head.weight[1].detach(), case.net[: int(case.layer) + 1](x).detach()
            close(found, torch.einsum("c,bc,bchw->bhw", weights, features.mean((2, 3)), features).numpy(), 1e-11)
        else:
            close(found * positions, expected, 1e-11)
