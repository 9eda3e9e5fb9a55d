"""Relevance: nothing is lost unseen, and batch norm is taken into the layer before it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
import seewhy.methods
from networks import CLASSES, NETWORKS, image, make
from seewhy.core.relevance.composites import COMPOSITES
from unit.core.relevances import flow_of, lrp, noisy, same


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("network", [*NETWORKS, "bias-free", "one-position", "shared-relu"])
@pytest.mark.parametrize("name", [*COMPOSITES, "excitation", "contrast"])
def test_nothing_is_lost_unseen(name: str, network: str) -> None:
    """What arrives, what biases absorbed and what the stabiliser absorbed make up what set out: the score, or 1."""
    case, x = make(network, 1), image(1)
    flow = flow_of(case.net, x, name)
    with torch.no_grad():
        score = case.net(x.clone())[:, 1]
    start = torch.ones(2).double() if name in ("excitation", "contrast") else score
    assert torch.allclose(flow.start, start, atol=1e-12)
    arrived = flow.values.flatten(1).sum(1)
    assert float((arrived + flow.bias + flow.stabiliser - start).abs().max()) < 1e-10 * float(start.abs().max())
    if name in ("excitation", "contrast"):
        assert float(flow.bias.abs().max()) == 0
        # less only where a unit was excited by its bias alone
        assert float((arrived - 1).max()) < 1e-12
        assert float(flow.values.min()) >= 0


def _model(name: str) -> nn.Module:
    if name == "efficientnet_lite0":
        timm = pytest.importorskip("timm")
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            return noisy(timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=CLASSES))
    models = pytest.importorskip("torchvision.models")
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = getattr(models, name)(weights=None, num_classes=CLASSES)
        if name == "vgg11_bn":  # 120 million weights are no other test than a hundred thousand
            net.classifier = nn.Sequential(nn.Linear(512 * 49, 64), nn.ReLU(), nn.Linear(64, CLASSES))
        return noisy(net)


MODELS = ["vgg11_bn", "resnet18", "resnet50", "densenet121", "mobilenet_v2", "efficientnet_lite0", "mobilenet_v3_small"]


@pytest.mark.parametrize("name", MODELS)
def test_real_networks(name: str) -> None:
    """The identity holds to rounding, padding that a model does by itself and gates included; forwards are untouched.

    Differences are measured against the largest amount that went through: untrained networks cancel.
    """
    net, x = _model(name), image(2, batch=1, size=64)
    for composite in ("epsilon-plus-flat", "epsilon-gamma-box", "excitation"):
        flow = flow_of(net, x, composite)
        assert bool(flow.values.isfinite().all())
        scale = max(float(each.abs().max()) for each in (flow.start, flow.bias, flow.stabiliser))
        assert float(flow.elsewhere.abs().max()) < 1e-9 * scale, composite
    with torch.no_grad():
        expected = net(x.clone())[0, 1]
    assert seewhy.explain(net, x, method="lrp", target=1).score == float(expected)


def test_excitation_is_a_probability_at_every_layer() -> None:
    """On a network without biases, whose activations cannot be fed by anything else."""
    case, x = make("bias-free", 4), image(4)
    for layer in ("0", "1", "2", "3", "4", "5", "6"):
        found = seewhy.explain_all(case.net, x, method="excitation-backprop", target=2, layer=layer)
        for each in found:
            assert each.values.min() >= 0
            assert float(each.values.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_without_biases_epsilon_is_input_times_gradient(scale: float) -> None:
    """Exact at epsilon 0, and within epsilon of it otherwise; pooling and sums keep a stabiliser of 1e-6."""
    case, x = make("bias-free", 5), scale * image(5)
    case.net[5] = nn.AdaptiveMaxPool2d(1)
    expected = seewhy.explain_all(case.net, x, method="input-x-gradient", target=1, reduce="none")
    expected = np.stack([each.values for each in expected])
    same(lrp(case.net, x, "epsilon", epsilon=0.0), expected, 1e-12)
    near = lrp(case.net, x, "epsilon", epsilon=1e-9)
    same(near, expected, 1e-5)
    assert np.abs(near - expected).max() > 0


def _folded(layer: nn.Module, norm: nn.Module) -> nn.Module:
    scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
    one = copy.deepcopy(layer)
    shape = [-1] + [1] * (one.weight.ndim - 1)
    weight = one.weight.detach()
    if isinstance(one, nn.ConvTranspose2d):
        groups = weight.chunk(one.groups)
        parts = scale.chunk(one.groups)
        weight = torch.cat([g * s.reshape(1, -1, 1, 1) for g, s in zip(groups, parts, strict=True)])
    else:
        weight = weight * scale.reshape(shape)
    bias = torch.zeros_like(scale) if one.bias is None else one.bias.detach()
    one.weight = nn.Parameter(weight)
    one.bias = nn.Parameter((bias - norm.running_mean) * scale + norm.bias.detach())
    return one


LAYERS: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {
    "conv": lambda: (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
    "conv without bias": lambda: (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)),
    "grouped": lambda: (nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)),
    "transposed": lambda: (nn.ConvTranspose2d(3, 4, 3), nn.BatchNorm2d(4)),
    "transposed, grouped": lambda: (nn.ConvTranspose2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)),
    "linear": lambda: (nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), nn.BatchNorm1d(5)),
}


@pytest.mark.parametrize("composite", ["epsilon-gamma-box", "epsilon-plus", "epsilon-plus-flat", "by-depth"])
@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_batch_norm_is_taken_into_the_layer_before_it(kind: str, composite: str) -> None:
    """As if the two had been folded into one layer by hand."""
    x = image(6)
    layer, norm = LAYERS[kind]()
    tail = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.LazyLinear(CLASSES))
    with torch.no_grad():
        nn.Sequential(layer, norm, tail).eval()(x.float())
    net = noisy(nn.Sequential(layer, norm, tail), 3)
    inner = layer[1] if isinstance(layer, nn.Sequential) else layer
    folded = _folded(inner, norm)
    start = nn.Sequential(layer[0], folded) if isinstance(layer, nn.Sequential) else folded
    same(lrp(net, x, composite), lrp(nn.Sequential(start, tail).eval(), x, composite), 1e-9)


def test_a_layer_between_the_two_is_the_merged_one() -> None:
    """Relevance at the convolution is that at its batch norm, and asking for it changes nothing elsewhere."""
    case, x = make("conv-bn-relu", 7), image(7)
    alone = lrp(case.net, x, "epsilon-gamma-box")
    found = seewhy.explain_all(
        case.net, x, method="lrp", target=1, layer=["input", "0", "1"], composite="epsilon-gamma-box", reduce="none"
    )
    both = np.stack([each.values for each in found if each.layer is None])
    same(both, alone, 1e-12)
    one, two = ([each.values for each in found if each.layer == name] for name in ("0", "1"))
    same(np.stack(one), np.stack(two), 1e-12)


class _Shared(nn.Module):
    """A convolution whose output goes through a batch norm and past it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(8 * 36, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        z = self.conv(x)
        return self.head(torch.cat([self.norm(z).relu(), z.relu()], 1).flatten(1))


def test_batch_norm_that_is_not_alone_passes() -> None:
    """Merging would be wrong for what went past it: by hand, the convolution gets both parts under its own weights."""
    net, x = noisy(_Shared(), 1), image(8)
    found = lrp(net, x, "epsilon")
    with torch.no_grad():
        z = net.conv(x)
        scores = net.head(torch.cat([net.norm(z).relu(), z.relu()], 1).flatten(1))[:, 1:2]
        parts = torch.cat([net.norm(z).relu(), z.relu()], 1)
        sign = torch.where(scores >= 0, 1.0, -1.0)
        r = parts * net.head.weight[1].reshape(1, 8, 6, 6) * (scores / (scores + 1e-6 * sign))[:, :, None, None]
        r = r[:, :4] + r[:, 4:]
        ratio = r / (z + 1e-6 * torch.where(z >= 0, 1.0, -1.0))
        expected = x * F.conv_transpose2d(ratio, net.conv.weight)
    same(found, expected, 1e-10)


@pytest.mark.parametrize("inplace", [False, True])
def test_batch_norm_after_an_activation_is_not_the_layers_own(inplace: bool) -> None:
    """Though the tensor it reads is the very one that the convolution put out, when the ReLU works in place."""
    x = image(8)
    net = noisy(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, CLASSES)),
        2,
    )
    found = seewhy.explain_all(net, x, method="lrp", target=1, layer="1", composite="epsilon", reduce="none")
    activation = np.stack([each.values for each in found])
    with torch.no_grad():
        z = net[0](x)
        ratio = torch.from_numpy(activation) / (z + 1e-6 * torch.where(z >= 0, 1.0, -1.0))
        expected = x * F.conv_transpose2d(ratio, net[0].weight)
    same(lrp(net, x, "epsilon"), expected, 1e-10)
