"""Captum, where it computes the same thing: gradients, rules, paths, and Grad-CAM before upsampling. float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from networks import Case, image, make
from parity.comparing import agree, differ, ours, targets_for
from parity.seeds import SEEDS

attr = pytest.importorskip("captum.attr")

pytestmark = pytest.mark.filterwarnings("ignore")  # Captum warns of every hook that it sets

NETWORKS = ["conv-bn-relu", "bias-free", "relu6-in-place", "silu", "gelu", "residual"]
#: ReLU modules, each used once: the networks on which Captum's rules see every rectifier
RECTIFIED = ["conv-bn-relu", "bias-free", "residual"]
SMOOTH = ["silu", "gelu"]

each_seed = pytest.mark.parametrize("seed", SEEDS)


@each_seed
@pytest.mark.parametrize("network", NETWORKS)
def test_gradients(network: str, seed: int) -> None:
    """To 1e-6. Captum's Saliency takes absolute values by default: abs=False."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    agree(ours(case.net, x, "saliency", k, reduce="none"), attr.Saliency(case.net).attribute(x, k, abs=False), 1e-6)
    expected = attr.InputXGradient(case.net).attribute(x, k)
    agree(ours(case.net, x, "input-x-gradient", k, reduce="none"), expected, 1e-6)


@each_seed
@pytest.mark.parametrize("network", RECTIFIED)
def test_rules(network: str, seed: int) -> None:
    """To 1e-6, on networks whose only activation is ReLU; Captum knows no other."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    guided = attr.GuidedBackprop(case.net).attribute(x, k)
    agree(ours(case.net, x, "guided-backprop", k, reduce="none"), guided, 1e-6)
    mirrored = attr.Deconvolution(case.net).attribute(x, k)
    agree(ours(case.net, x, "deconvnet", k, reduce="none"), mirrored, 1e-6)


@each_seed
@pytest.mark.parametrize("network", ["relu6-in-place", "silu"])
def test_rules_beyond_relu(network: str, seed: int) -> None:
    """On ReLU6 and SiLU Captum's guided backpropagation is the plain gradient in disguise; ours is not."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    captum = attr.GuidedBackprop(case.net).attribute(x, k)
    agree(captum, attr.Saliency(case.net).attribute(x, k, abs=False), 1e-12)
    differ(ours(case.net, x, "guided-backprop", k, reduce="none"), captum, 1e-3)


@each_seed
@pytest.mark.parametrize("network", NETWORKS)
def test_grad_cam(network: str, seed: int) -> None:
    """To 1e-6, signed, at the layer's own size: Captum's upsampling to the image (nearest) is left out."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    for layer in (case.early, case.layer):
        expected = attr.LayerGradCam(case.net, case.net.get_submodule(layer)).attribute(x, k)[:, 0]
        agree(ours(case.net, x, "grad-cam", k, layer), expected, 1e-6)


@each_seed
def test_guided_grad_cam(seed: int) -> None:
    """To 1e-6: our bilinear composition from Captum's parts; and Captum's own, which upsamples to the nearest cell,
    at a layer as large as the image, where upsampling does nothing."""
    case, x = make("conv-bn-relu", seed), image(seed)
    k = targets_for(x, seed)
    guided = attr.GuidedBackprop(case.net).attribute(x, k)
    coarse = attr.LayerGradCam(case.net, case.net[int(case.layer)]).attribute(x, k).clamp(min=0)
    large = F.interpolate(coarse, x.shape[2:], mode="bilinear", align_corners=False)
    agree(ours(case.net, x, "guided-grad-cam", k, case.layer, reduce="none"), guided * large, 1e-6)
    nearest = attr.GuidedGradCam(case.net, case.net[int(case.early)]).attribute(x, k)
    agree(ours(case.net, x, "guided-grad-cam", k, case.early, reduce="none"), nearest, 1e-6)


RULES = {
    "gauss-legendre": "gausslegendre",
    "riemann-left": "riemann_left",
    "riemann-middle": "riemann_middle",
    "riemann-right": "riemann_right",
}


@each_seed
@pytest.mark.parametrize("rule", sorted(RULES))
def test_integrated_gradients(rule: str, seed: int) -> None:
    """To 1e-5 at the same rule, number of nodes and baseline."""
    network = NETWORKS[seed % len(NETWORKS)]
    case, x, start = make(network, seed), image(seed), 0.1 * (seed % 5)
    k = targets_for(x, seed)
    expected = attr.IntegratedGradients(case.net).attribute(x, start, k, n_steps=9, method=RULES[rule])
    found = ours(case.net, x, "integrated-gradients", k, baseline=start, rule=rule, steps=9, reduce="none")
    agree(found, expected, 1e-5)


@each_seed
def test_integrated_gradients_by_trapezoids(seed: int) -> None:
    """To 1e-5, with a convention apart: Captum's n trapezoid nodes have weights that sum to (n - 1) / n, so that even a
    constant gradient integrates short. Ours are n - 1 intervals whose weights sum to 1."""
    case, x = make("gelu", seed), image(seed)
    k = targets_for(x, seed)
    expected = attr.IntegratedGradients(case.net).attribute(x, 0, k, n_steps=9, method="riemann_trapezoid")
    found = ours(case.net, x, "integrated-gradients", k, baseline=0.0, rule="trapezoid", steps=8, reduce="none")
    agree(found, expected * 9 / 8, 1e-5)


@each_seed
@pytest.mark.parametrize("network", ["conv-bn-relu", "silu", "residual"])
def test_internal_influence(network: str, seed: int) -> None:
    """To 1e-5 at the same rule, number of nodes and baseline."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    layer = case.net.get_submodule(case.early)
    expected = attr.InternalInfluence(case.net, layer).attribute(x, 0.2, k, n_steps=7)
    found = ours(case.net, x, "internal-influence", k, case.early, baseline=0.2, steps=7, reduce="none")
    agree(found, expected, 1e-5)


@each_seed
@pytest.mark.parametrize("network", SMOOTH)
def test_conductance(network: str, seed: int) -> None:
    """To 1e-2 on smooth networks in the limit of many nodes.

    Captum multiplies an activation's change by the gradient before it, ours by the mean of both ends: the integrals
    are the same, the sums are not. Captum's error falls with the step, so two of its runs extrapolate to the limit.
    """
    case, x = make(network, seed), image(seed, batch=1)
    k = targets_for(x, seed)
    layer = case.net.get_submodule(case.early)
    found = ours(case.net, x, "conductance", k, case.early, baseline=0.1, steps=400, reduce="none")
    coarse, fine = (
        attr.LayerConductance(case.net, layer)
        .attribute(x, 0.1, k, n_steps=n, method="riemann_trapezoid")
        .detach()
        .numpy()
        for n in (100, 400)
    )
    scale = np.abs(found).max()
    assert np.abs(found - (fine + (fine - coarse) / 3)).max() <= 1e-2 * scale
    assert np.abs(found - fine).max() < 0.5 * np.abs(found - coarse).max()


def _torchvision(name: str, seed: int) -> Case:
    """An untrained network with batch norm statistics of its own, in float64 and eval mode."""
    models = pytest.importorskip("torchvision.models")
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = getattr(models, name)(weights=None, num_classes=4)
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.running_mean, std=0.2)
                nn.init.uniform_(part.running_var, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.2)
    layer, early = {"resnet18": ("layer4", "layer2"), "mobilenet_v2": ("features.18", "features.3")}[name]
    return Case(net.double().eval(), layer, early, pooled=True)


@pytest.mark.parametrize("seed", SEEDS[:2])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_torchvision(name: str, seed: int) -> None:
    """ResNet-18 reuses its in-place ReLUs, MobileNetV2 has ReLU6: gradients and Grad-CAM to 1e-6; the rules to 1e-6 on
    the former, and apart on the latter, where Captum's rule sees nothing."""
    case, x = _torchvision(name, seed), image(seed, batch=1, size=64)
    agree(ours(case.net, x, "saliency", 1, reduce="none"), attr.Saliency(case.net).attribute(x, 1, abs=False), 1e-6)
    expected = attr.LayerGradCam(case.net, case.net.get_submodule(case.layer)).attribute(x, 1)[:, 0]
    agree(ours(case.net, x, "grad-cam", 1, case.layer), expected, 1e-6)
    guided = attr.GuidedBackprop(case.net).attribute(x, 1)
    found = ours(case.net, x, "guided-backprop", 1, reduce="none")
    if name == "resnet18":
        agree(found, guided, 1e-6)
        agree(ours(case.net, x, "deconvnet", 1, reduce="none"), attr.Deconvolution(case.net).attribute(x, 1), 1e-6)
    else:
        agree(guided, attr.Saliency(case.net).attribute(x, 1, abs=False), 1e-6)
        differ(found, guided, 1e-3)


@each_seed
@pytest.mark.parametrize("network", ["conv-bn-relu", "gelu"])
def test_integrated_gradients_at_a_layer(network: str, seed: int) -> None:
    """To 1e-5 at the same rule, number of nodes and baseline; with and without the factor."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    for multiply in (True, False):
        theirs = attr.LayerIntegratedGradients(
            case.net, case.net.get_submodule(case.early), multiply_by_inputs=multiply
        )
        expected = theirs.attribute(x, 0.2, k, n_steps=7)
        found = ours(
            case.net, x, "layer-integrated-gradients", k, case.early, baseline=0.2, steps=7, reduce="none",
            multiply_by_inputs=multiply,
        )  # fmt: skip
        agree(found, expected, 1e-5)


@each_seed
@pytest.mark.parametrize("network", ["conv-bn-relu", "silu"])
def test_neuron_conductance(network: str, seed: int) -> None:
    """To 1e-5 at the same rule, number of nodes and baseline."""
    case, x, unit = make(network, seed), image(seed), (seed % 3, 1, 2)
    k = targets_for(x, seed)
    expected = attr.NeuronConductance(case.net, case.net.get_submodule(case.early)).attribute(
        x, unit, 0.1, k, n_steps=6, method="gausslegendre"
    )
    found = ours(
        case.net, x, "neuron-conductance", k, case.early, baseline=0.1, steps=6, unit=unit, reduce="none"
    )  # fmt: skip
    agree(found, expected, 1e-5)


@each_seed
def test_ablation_of_units(seed: int) -> None:
    """To 1e-6: single units, and channels as groups."""
    case, x = make("conv-bn-relu", seed), image(seed)
    k = targets_for(x, seed)
    theirs = attr.LayerFeatureAblation(case.net, case.net.get_submodule(case.layer))
    shape = ours(case.net, x, "layer-activation", k, case.layer).shape[1:]
    agree(ours(case.net, x, "unit-ablation", k, case.layer, units="units"), theirs.attribute(x, 0, k), 1e-6)
    groups = torch.arange(shape[0]).reshape(1, -1, 1, 1).expand(1, *shape)
    agree(ours(case.net, x, "unit-ablation", k, case.layer), theirs.attribute(x, 0, k, layer_mask=groups), 1e-6)


@each_seed
@pytest.mark.parametrize("multiply", [True, False])
def test_deep_shap(multiply: bool, seed: int) -> None:
    """To 1e-6 on ReLU without pooling, where both have the rescale rule."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    x, others = image(seed), image(seed + 50, batch=5)
    k = targets_for(x, seed)
    expected = attr.DeepLiftShap(net.double().eval(), multiply_by_inputs=multiply).attribute(x, others, k)
    found = ours(net, x, "deep-shap", k, references=others, reduce="none", multiply_by_inputs=multiply)
    agree(found, expected, 1e-6)
