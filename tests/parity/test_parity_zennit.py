"""zennit, where it computes the same thing: its composites, with its own canonizers, on networks of modules. float64.

Both start from the logit: zennit starts from whatever it is given, and is given the logit at its class here. Its
canonizer (0.5.1) folds a batch norm into the weights before it and leaves one behind that still divides by
sqrt(1 + eps), 5e-6 each: `_folds_whole` makes that an identity, and one test shows the difference without.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks import Residual, image, make
from parity.comparing import agree, differ, ours, targets_for
from parity.seeds import SEEDS

composites = pytest.importorskip("zennit.composites")
attribution = pytest.importorskip("zennit.attribution")
canonizers = pytest.importorskip("zennit.canonizers")
layers = pytest.importorskip("zennit.layer")
torchvision_canonizers = pytest.importorskip("zennit.torchvision")

pytestmark = pytest.mark.filterwarnings("ignore")

NAMES = {
    "epsilon-plus": "EpsilonPlus",
    "epsilon-plus-flat": "EpsilonPlusFlat",
    "epsilon-alpha2-beta1": "EpsilonAlpha2Beta1",
    "epsilon-alpha2-beta1-flat": "EpsilonAlpha2Beta1Flat",
    "epsilon-gamma-box": "EpsilonGammaBox",
}
each_seed = pytest.mark.parametrize("seed", SEEDS)
each_composite = pytest.mark.parametrize("name", sorted(NAMES))


@contextmanager
def _folds_whole() -> Iterator[None]:
    kind = canonizers.MergeBatchNorm
    before = kind.__dict__["merge_batch_norm"]

    def merge(modules: Any, batch_norm: nn.Module) -> None:
        before.__func__(modules, batch_norm)
        batch_norm.eps = 0.0  # on a copy of the network

    kind.merge_batch_norm = staticmethod(merge)
    try:
        yield
    finally:
        kind.merge_batch_norm = before


def _theirs(
    net: nn.Module, x: Tensor, k: list[int], name: str, canonizer: Any = None, whole: bool = True, **given: Any
) -> Tensor:
    """zennit's relevance [B, C, H, W], on a copy of the network, image by image."""
    if whole:
        with _folds_whole():
            return _theirs(net, x, k, name, canonizer, whole=False, **given)
    canonizer = canonizers.SequentialMergeBatchNorm() if canonizer is None else canonizer
    rows = []
    for row, target in enumerate(k):
        single = x[row : row + 1]
        if name == "epsilon-gamma-box" and "low" not in given:
            low, high = (getattr(single.flatten(2), end)(2)[:, :, None, None] for end in ("amin", "amax"))
            ends = {"low": low.expand_as(single), "high": high.expand_as(single)}
        else:
            ends = {}
        composite = getattr(composites, NAMES[name])(canonizers=[canonizer], **given, **ends)

        def start(out: Tensor, target: int = target) -> Tensor:
            return out * torch.eye(out.shape[1], dtype=out.dtype)[[target]]

        with attribution.Gradient(copy.deepcopy(net), composite, attr_output=start) as attributor:
            rows.append(attributor(single.clone().requires_grad_())[1].detach())
    return torch.cat(rows)


def _ours(net: nn.Module, x: Tensor, k: list[int], name: str, **given: Any) -> Any:
    return ours(net, x, "lrp", k, composite=name, reduce="none", **given)


@pytest.mark.parametrize("seed", SEEDS[:4])
@each_composite
@pytest.mark.parametrize("network", ["conv-bn-relu", "bias-free", "relu6-in-place", "silu", "gelu", "one-position"])
def test_composites(network: str, name: str, seed: int) -> None:
    """To 1e-8 of the map's maximum: plain sequences, where zennit's batch norm canonizer sees every pair."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    agree(_ours(case.net, x, k, name), _theirs(case.net, x, k, name), 1e-8)


@each_seed
def test_numbers(seed: int) -> None:
    """To 1e-8 with another epsilon and gamma."""
    case, x = make("conv-bn-relu", seed), image(seed)
    k = targets_for(x, seed)
    expected = _theirs(case.net, x, k, "epsilon-gamma-box", epsilon=0.3, gamma=0.7)
    agree(_ours(case.net, x, k, "epsilon-gamma-box", epsilon=0.3, gamma=0.7), expected, 1e-8)
    differ(_ours(case.net, x, k, "epsilon-gamma-box"), expected, 1e-4)


@each_seed
def test_bounds_of_ones_own(seed: int) -> None:
    """To 1e-8: a number each, and one for each channel."""
    case, x = make("conv-bn-relu", seed), image(seed)
    k = targets_for(x, seed)
    for low, high in ((-7.0, 9.0), ((-6.0, -7.0, -8.0), (7.0, 6.5, 9.0))):
        ends = {
            name: torch.tensor(end).double().reshape(1, -1, 1, 1).expand(1, 3, 8, 8)
            for name, end in (("low", low), ("high", high))
        }
        expected = _theirs(case.net, x, k, "epsilon-gamma-box", **ends)
        agree(_ours(case.net, x, k, "epsilon-gamma-box", bounds=(low, high)), expected, 1e-8)
        differ(_ours(case.net, x, k, "epsilon-gamma-box"), expected, 1e-3)


@each_seed
def test_what_a_batch_norm_leaves_behind(seed: int) -> None:
    """Without making zennit's leftover batch norms identities: apart by about 5e-6 each, and by no more."""
    case, x = make("conv-bn-relu", seed), image(seed)
    k = targets_for(x, seed)
    mine, theirs = _ours(case.net, x, k, "epsilon-plus"), _theirs(case.net, x, k, "epsilon-plus", whole=False)
    agree(mine, theirs, 1e-4)
    differ(mine, theirs, 1e-6)


class _Summed(nn.Module):
    """`Residual` with its sum spelled as the module that zennit's canonizers put in."""

    def __init__(self, block: Residual) -> None:
        super().__init__()
        self.body, self.act, self.sum = block.body, nn.ReLU(), layers.Sum()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.sum(torch.stack([self.body(x), x], -1)))


@each_seed
@pytest.mark.parametrize("name", ["epsilon-plus", "epsilon-gamma-box"])
def test_a_sum(name: str, seed: int) -> None:
    """To 1e-8 where zennit is given the sum as a module; without one it takes the plain gradient there, and both
    branches get all of the relevance. Ours shares however the sum is spelled."""
    case, x = make("residual", seed), image(seed)
    k = targets_for(x, seed)
    spelled = nn.Sequential(*(_Summed(part) if isinstance(part, Residual) else part for part in case.net)).eval()
    mine = _ours(case.net, x, k, name)
    agree(mine, _theirs(spelled, x, k, name), 1e-8)
    differ(mine, _theirs(case.net, x, k, name), 1e-3)


def _torchvision(kind: str, seed: int) -> nn.Module:
    """An untrained network with batch norm statistics of its own, in float64 and eval mode."""
    models = pytest.importorskip("torchvision.models")
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = getattr(models, kind)(weights=None, num_classes=4)
        if isinstance(net, models.VGG):  # 120 million weights are no other test than a hundred thousand
            net.classifier = nn.Sequential(
                nn.Linear(512 * 49, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4)
            )
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.running_mean, std=0.2)
                nn.init.uniform_(part.running_var, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.2)
            elif isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
                nn.init.normal_(part.bias, std=0.05)
    return net.double().eval()


@pytest.mark.parametrize("seed", SEEDS[:1])
@each_composite
@pytest.mark.parametrize("kind", ["vgg16", "vgg11_bn", "resnet18"])
def test_torchvision(kind: str, name: str, seed: int) -> None:
    """To 1e-6, untrained, at 64 pixels: zennit folds batch norm into the weights and makes modules of ResNet's sums."""
    net, x = _torchvision(kind, seed), image(seed, batch=1, size=64)
    made = {
        "vgg16": torchvision_canonizers.VGGCanonizer,
        "vgg11_bn": torchvision_canonizers.VGGCanonizer,
        "resnet18": torchvision_canonizers.ResNetCanonizer,
    }[kind]()
    agree(_ours(net, x, [1], name), _theirs(net, x, [1], name, made), 1e-6)
