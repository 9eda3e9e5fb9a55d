"""Asking for relevance: takes a network and a composite, gives what arrives and what was lost; comparing, and small networks
with weights that matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import seewhy
import seewhy.methods
from networks import CLASSES
from seewhy import targets as t
from seewhy.core.asks import Relevance
from seewhy.core.forward.propagation import Flow, Propagation
from seewhy.core.forward.session import Session
from seewhy.core.network.borrowed import Network
from seewhy.core.network.places import INPUT
from seewhy.core.relevance.composites import excitation, find_composite

__all__ = ["Toy", "flow_of", "lrp", "noisy", "same", "toy"]


def flow_of(net: nn.Module, x: Tensor, name: str, place: str = INPUT, k: int = 1) -> Flow:
    """What arrives at ``place`` from class ``k``, with everything that was lost on the way."""
    bounds = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    excited = name in ("excitation", "contrast")
    chosen = excitation(contrast=name == "contrast") if excited else find_composite(name, bounds=bounds)
    network = Network(net)
    with network.borrowed() as call:
        asked = Relevance(chosen, "one" if excited else "score")
        flow, _ = Propagation(Session(network, call, x)).flow(asked, place, (t.Logit(k),) * len(x), "lrp")
    return flow


def lrp(net: nn.Module, x: Tensor, composite: Any = "epsilon-plus-flat", **given: Any) -> np.ndarray:
    found = seewhy.explain_all(net.eval(), x, method="lrp", target=1, composite=composite, reduce="none", **given)
    return np.stack([each.values for each in found])


def same(found: Any, expected: Any, relative: float = 1e-11) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 1e-6, "nothing to compare"
    assert np.abs(found - expected).max() <= relative * np.abs(expected).max()


def noisy(net: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norm statistics and biases that matter, float64, eval mode."""
    draw = torch.Generator().manual_seed(seed)

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=draw)

    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.running_mean.copy_(0.2 * normal(part.running_mean))
                part.running_var.copy_(0.5 + normal(part.running_var).abs())
                part.weight.copy_(1 + 0.2 * normal(part.weight))
                part.bias.copy_(0.2 * normal(part.bias))
            elif isinstance(part, nn.modules.conv._ConvNd | nn.Linear):
                part.weight.copy_(normal(part.weight) * (2 / part.weight[0].numel()) ** 0.5)
                if part.bias is not None:
                    part.bias.copy_(0.2 * normal(part.bias))
    return net.double().eval()


class Toy(nn.Module):
    def __init__(self, body: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.body = body
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.gate, self.norm = nn.Linear(4, 4), nn.LayerNorm(8)
        self.head = nn.Linear(4, CLASSES, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self, x).mean((2, 3)))


def toy(body: Callable[[Any, Tensor], Tensor]) -> nn.Module:
    return noisy(Toy(body), 4)
