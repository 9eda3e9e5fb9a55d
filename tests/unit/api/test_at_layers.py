"""Layers, neurons and functions as places and targets: identities between methods, and what cannot be."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from networks import image, make
from seewhy.core.targets import OfLayer
from seewhy.errors import SeewhyError


@pytest.mark.parametrize("prepare", [False, True])
def test_what_flows_through_all_units_of_a_layer_is_all(prepare: Any) -> None:
    """Neuron conductance summed over a layer that everything crosses is integrated gradients, node by node; summed over
    the image it is what the layer's unit has by the chain rule."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)).double().eval()
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    asked: dict[str, Any] = {"target": 1, "baseline": 0.3, "steps": 5, "reduce": "none", "prepare": prepare}
    whole = seewhy.explain(net, x, method="integrated-gradients", rule="gauss-legendre", **asked).values
    units = itertools.product(range(2), range(2), range(2))
    parts = [seewhy.explain(net, x, method="neuron-conductance", layer="1", unit=unit, **asked) for unit in units]
    np.testing.assert_allclose(sum(part.values for part in parts), whole, rtol=1e-9, atol=1e-12)
    assert any("by way of 1[1] at 0,1" in part.notes for part in parts)


@pytest.mark.parametrize(
    ("method", "layer"),
    [
        ("integrated-gradients", None),
        ("deep-lift", None),
        ("deep-lift", "1"),
        ("deep-shap", "1"),
        ("layer-integrated-gradients", "1"),
        ("neuron-conductance", "1"),
    ],
)
def test_without_the_factor_a_map_is_a_slope(method: str, layer: str | None) -> None:
    """Values are slopes times the difference from the baseline, which is all that multiply_by_inputs changes."""
    case, x = make("gelu", 3), image(3, batch=1)
    start = torch.full_like(x, 0.2)
    given: dict[str, Any] = {"references": start} if method == "deep-shap" else {"baseline": start}
    given |= {"target": 1, "layer": layer, "reduce": "none"}
    shares = seewhy.explain(case.net, x, method=method, **given)
    slopes = seewhy.explain(case.net, x, method=method, multiply_by_inputs=False, **given)
    at = {"method": "layer-activation", "layer": layer}
    of_input = layer is None or method == "neuron-conductance"
    here, there = (x[0].numpy(), start[0].numpy()) if of_input else (
        seewhy.explain(case.net, one, **at).values for one in (x, start)
    )  # fmt: skip
    np.testing.assert_allclose(slopes.values * (here - there), shares.values, rtol=1e-6, atol=1e-9)
    assert shares.map_unit == "logit"
    assert slopes.map_unit == f"logit per unit of the {'layer' if layer else 'input'}"
    assert slopes.error is None


def test_a_function_of_a_layer_is_explained() -> None:
    case, x = make("silu", 2), image(2)
    units = OfLayer(case.early, lambda a: a[:, 1, 2:4].sum((1, 2)) - a[:, 0].mean((1, 2)))
    found = seewhy.explain_all(case.net, x, method="saliency", target=units, reduce="none")
    kept: list[Tensor] = []
    handle = case.net.get_submodule(case.early).register_forward_hook(lambda m, args, out: kept.append(out))
    leaf = x.clone().requires_grad_()
    case.net(leaf)
    handle.remove()
    number = kept[0][:, 1, 2:4].sum((1, 2)) - kept[0][:, 0].mean((1, 2))
    (gradient,) = torch.autograd.grad(number.sum(), leaf)
    for n, one in enumerate(found):
        np.testing.assert_allclose(one.values, gradient[n], rtol=1e-9)
        assert one.score == pytest.approx(number[n].item())
        assert one.unit == "activation"


def test_a_function_that_calls_a_network_has_its_layers() -> None:
    """The network that a function names is lent like any other: its mode and buffers are as they were."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}

    def scores(x: Tensor) -> Tensor:
        return 3 * net(x)

    x = torch.randn(2, 3, 8, 8)
    with pytest.warns(UserWarning, match="train mode"):
        found = seewhy.explain_all(
            seewhy.wrap(scores, differentiable=True), x, method=["grad-cam", "saliency"], layer="net.2", target=1
        )
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    net.eval()
    alone = seewhy.explain_all(net, x, method=["grad-cam", "saliency"], layer="2", target=1)
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_allclose(one.values, 3 * other.values, rtol=1e-4, atol=1e-6)


def test_an_edited_layer_has_a_gradient() -> None:
    """Gradients of a layer that was changed are those at what it was changed to, also where nothing before it is
    recorded and where an in-place function follows."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 2)).double().eval()
    x = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    found = seewhy.explain(
        net, x, method="layer-integrated-gradients", layer="0", target=1, steps=200, reduce="none", baseline=0.0
    )
    assert found.values.sum() == pytest.approx((net(x) - net(torch.zeros_like(x)))[0, 1].item(), rel=2e-2)


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "unit": ({"method": "neuron-conductance", "layer": "1", "unit": (9, 0, 0)}, r"so one is \(3, 5, 5\), the last"),
    "unit without a place": ({"method": "neuron-conductance", "layer": "1", "unit": 1}, r"the layer has units \(4, 6, 6\)"),
    "groups": ({"method": "unit-ablation", "layer": "1", "units": "rows"}, r"no group of units 'rows'"),
    "groups of another shape": ({"method": "unit-ablation", "layer": "1", "units": [[1]]}, r"units of shape \(1, 1\)"),
    "an odd number": ({"method": "layer-expected-gradients", "layer": "1", "n": 3}, r"n is even"),
    "no references": ({"method": "deep-shap", "n": 0}, r"at least one reference"),
    "a function of the wrong shape": (
        {"method": "saliency", "target": OfLayer("1", lambda a: a)}, r"gives one number per sample, shape \(1,\); got",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_is_said_in_a_line(case: str) -> None:
    asked, message = CASES[case]
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    with pytest.raises(SeewhyError, match=message) as raised:
        seewhy.explain(net, torch.rand(1, 3, 8, 8), **asked)
    assert "\n" not in str(raised.value)
