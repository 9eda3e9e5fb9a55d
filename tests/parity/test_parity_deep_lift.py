"""Captum's DeepLift, where it computes the same thing: the rescale rule on modules that it knows. float64.

Captum (0.9) hooks the tensor between two modules twice where a ReLU comes right before max pooling, and the ReLU's hook
sees the gradient before the pooling's rule has changed it: the rule has no effect and its sum misses the score's
difference. `_apart` puts a module between the two that changes nothing, after which both agree.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from networks import CLASSES, image, make
from parity.comparing import agree, differ, ours, targets_for
from parity.seeds import SEEDS

attr = pytest.importorskip("captum.attr")

pytestmark = pytest.mark.filterwarnings("ignore")  # Captum warns of every hook that it sets

each_seed = pytest.mark.parametrize("seed", SEEDS)
ACTIVATIONS = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "leaky": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
}


def _apart(net: nn.Sequential) -> nn.Sequential:
    """The same function, with a tensor of its own between each activation function and what follows it."""
    parts = [[part, nn.AvgPool2d(1)] if isinstance(part, nn.ReLU) else [part] for part in net]
    return nn.Sequential(*(each for pair in parts for each in pair)).eval()


def _ours(net: nn.Module, x: Tensor, k: list[int], baseline: float, layer: str | None = None) -> object:
    return ours(net, x, "deep-lift", k, layer, baseline=baseline, reduce="none")


@each_seed
@pytest.mark.parametrize("network", ["conv-bn-relu", "bias-free", "one-position"])
def test_networks(network: str, seed: int) -> None:
    """To 1e-5, with max pooling of windows that do not overlap; at the input and at a layer."""
    case, x, start = make(network, seed), image(seed), 0.1 * (seed % 4)
    k = targets_for(x, seed)
    agree(_ours(case.net, x, k, start), attr.DeepLift(_apart(case.net)).attribute(x, start, k), 1e-5)
    layer = case.net.get_submodule(case.layer)
    expected = attr.LayerDeepLift(case.net, layer).attribute(x, start, k)
    agree(_ours(case.net, x, k, start, case.layer), expected, 1e-5)


@each_seed
@pytest.mark.parametrize("kind", sorted(ACTIVATIONS))
def test_activations(kind: str, seed: int) -> None:
    """To 1e-5, every activation function that Captum's rule covers."""
    draw = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        ACTIVATIONS[kind](),
        nn.Flatten(),
        nn.Linear(36, 6),
        ACTIVATIONS[kind](),
        nn.Linear(6, CLASSES),
    ).double()
    with torch.no_grad():
        for weights in net.parameters():
            weights.copy_(0.5 * torch.randn(weights.shape, generator=draw, dtype=torch.float64))
    x = image(seed)
    k = targets_for(x, seed)
    agree(_ours(net.eval(), x, k, 0.3), attr.DeepLift(net).attribute(x, 0.3, k), 1e-5)


@each_seed
@pytest.mark.parametrize("network", ["silu", "gelu", "relu6-in-place"])
def test_activations_that_captum_does_not_know(network: str, seed: int) -> None:
    """SiLU, GELU and ReLU6 keep their gradient there, so its sum misses the score's difference; ours does not."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    theirs, mine = attr.DeepLift(case.net).attribute(x.clone(), 0.0, k), _ours(case.net, x, k, 0.0)
    with torch.no_grad():
        rise = (case.net(x.clone()) - case.net(torch.zeros_like(x)))[range(len(k)), k]
    agree(torch.as_tensor(mine).flatten(1).sum(1), rise, 1e-9)
    if network != "relu6-in-place":
        differ(mine, theirs, 1e-4)


@each_seed
def test_a_relu_right_before_max_pooling(seed: int) -> None:
    """Captum on the network as it is: its sum misses the score's difference; ours is that difference."""
    case, x = make("bias-free", seed), image(seed)
    k = targets_for(x, seed)
    baseline = image(seed + 1)
    with torch.no_grad():
        rise = (case.net(x) - case.net(baseline))[range(len(k)), k]
    mine = ours(case.net, x, "deep-lift", k, baseline=baseline, reduce="none")
    agree(torch.as_tensor(mine).flatten(1).sum(1), rise, 1e-9)
    agree(mine, attr.DeepLift(_apart(case.net)).attribute(x, baseline, k), 1e-5)
    theirs = attr.DeepLift(case.net).attribute(x, baseline, k)
    assert float((theirs.flatten(1).sum(1) - rise).abs().max()) > 1e-4


@each_seed
def test_overlapping_windows(seed: int) -> None:
    """Where windows of max pooling overlap, Captum's unpooling overwrites one window's part by the next one's; ours
    adds up, and so does its sum."""
    case = make("bias-free", seed)
    case.net[2] = nn.MaxPool2d(3, stride=1)
    x = image(seed)
    k = targets_for(x, seed)
    mine = torch.as_tensor(_ours(case.net, x, k, 0.2))
    with torch.no_grad():
        rise = (case.net(x) - case.net(torch.full_like(x, 0.2)))[range(len(k)), k]
    agree(mine.flatten(1).sum(1), rise, 1e-9)
    theirs = attr.DeepLift(_apart(case.net)).attribute(x, 0.2, k)
    assert float((theirs.flatten(1).sum(1) - rise).abs().max()) > 1e-3
