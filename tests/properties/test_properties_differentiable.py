"""``differentiable=True``: the graph leads to the parameters, whole, for every method, or the method says that it cannot."""

from __future__ import annotations

import pytest
import torch

from networks import image
from properties.asking import METHODS, every, explain, made
from seewhy.errors import CapabilityError
from seewhy.registry import methods

#: smooth networks: finite differences need a second derivative that exists
NETWORKS = ("silu", "gelu")


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", METHODS)
def test_the_graph_agrees_with_finite_differences(name: str, network: str) -> None:
    case, x = made(name, network, 12), image(12, batch=1)
    if not methods[name].card.differentiable:
        with pytest.raises(CapabilityError, match="differentiable"):
            explain(case, x, name, differentiable=True)
        return
    if name == "cam" and not case.pooled:
        pytest.skip("CAM needs a pooled head")
    weights = [p for p in case.net.parameters() if p.ndim > 1][1]
    probe = torch.randn(weights.shape, generator=torch.Generator().manual_seed(0), dtype=weights.dtype)

    def total() -> torch.Tensor:
        (found,) = every(explain(case, x, name, differentiable=True))
        mixed = torch.sin(torch.arange(found.tensor.numel(), dtype=found.tensor.dtype)).reshape(found.tensor.shape)
        return (found.tensor * mixed).sum()

    value = total()
    assert value.requires_grad
    (gradient,) = torch.autograd.grad(value, weights, allow_unused=True)
    gradient = torch.zeros_like(weights) if gradient is None else gradient
    expected = float((gradient * probe).sum())
    step = 1e-6
    with torch.no_grad():
        weights += step * probe
    after = float(total().detach())
    with torch.no_grad():
        weights -= 2 * step * probe
    before = float(total().detach())
    assert (after - before) / (2 * step) == pytest.approx(expected, rel=2e-4, abs=1e-6)
    assert all(p.grad is None for p in case.net.parameters())
