"""Where formulas go wrong elsewhere: aliasing, shared layers, nonlinear targets, tiny activations, negative scores,
and mistakes found in other libraries; against the references and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
import seewhy.methods
from networks import CLASSES, NETWORKS, image, make
from reference.layerwise import walk
from reference.probing import Probe
from reference.table import REFERENCES
from seewhy import targets as t
from seewhy.errors import CapabilityError

EDITS = ("ablation-cam", "recipro-cam")
STREAMED = {"smooth-grad-cam-pp": {"n": 2}, "ss-cam": {"n": 2}, "is-cam": {"n": 2}}


def _equal(found: Any, expected: Any, relative: float = 1e-9) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= relative * max(np.abs(expected).max(), 1e-30)


@pytest.mark.parametrize("network", sorted(NETWORKS))
@pytest.mark.parametrize("rule", ["none", "guided", "deconvnet"])
def test_backward_by_hand(network: str, rule: str) -> None:
    """The hand-written backward agrees with autograd for the plain rule, and with ours under every rule, also at a
    layer."""
    case, x = make(network, 7), image(7, batch=1)
    found = walk(case.net, x, 2, rule)
    if rule == "none":
        _equal(found.input[0], Probe(case.net, x, 2).input_gradient())
    for layer, expected in ((None, found.input), (case.early, found.outputs[case.early])):
        ours = seewhy.explain(case.net, x, method="saliency", target=2, layer=layer, reduce="none", backward_rule=rule)
        _equal(ours.values, expected[0])


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam", "grad-cam-pp", "smooth-grad-cam-pp", "score-cam", "fem"])
@pytest.mark.parametrize("layer", ["relu", "relu#1", "relu#2", "relu#3", "two", "one"])
def test_one_relu_called_three_times(method: str, layer: str) -> None:
    """``name`` is the last call, ``name#k`` the k-th, also where only the side effect of the call is used."""
    case, x, parameters = make("shared-relu", 3), image(3, batch=1), STREAMED.get(method, {})
    expected = REFERENCES[method](Probe(case.net, x, 1, layer, parameters))
    assert np.abs(expected).max() > 1e-3
    _equal(seewhy.explain(case.net, x, method=method, layer=layer, target=1, **parameters).values, expected)


@pytest.mark.parametrize("method", EDITS)
@pytest.mark.parametrize(
    "layer",
    [
        "relu",
        "relu#1",
        "relu#2",
        "relu#3",
        "two",
        "one",
    ],
)
def test_edits_reach_one_call(method: str, layer: str) -> None:
    """Methods that change a layer change the call that is explained, and what others see of its output."""
    case, x = make("shared-relu", 3), image(3, batch=1)
    expected = REFERENCES[method](Probe(case.net, x, 1, layer))
    _equal(seewhy.explain(case.net, x, method=method, layer=layer, target=1).values, expected)


@pytest.mark.parametrize("network", ["conv-bn-relu", "residual"])
def test_ablation_of_a_probability(network: str) -> None:
    """A probability is no linear function of a channel's mean: the closed form must not stand in for the drop."""
    case, x = make(network, 3), image(3, batch=1)
    squashed = nn.Sequential(*case.net, nn.Softmax(1)).eval()
    expected = REFERENCES["ablation-cam"](Probe(squashed, x, 1, case.layer))
    found = seewhy.explain(case.net, x, method="ablation-cam", target=t.Probability(1), layer=case.layer)
    _equal(found.values, expected)


def test_ablation_of_a_unit_of_the_layer_itself() -> None:
    """Without channel 0 its own mean drops to nothing; no other channel matters to it."""
    case, x = make("conv-bn-relu", 3), image(3, batch=1)
    found = seewhy.explain(case.net, x, method="ablation-cam", target=t.Neuron(case.layer, 0), layer=case.layer)
    activation, _ = Probe(case.net, x, 0, case.layer).at_layer()
    _equal(found.values, activation[0].mean() * activation[0])


def test_recipro_of_a_unit_of_the_layer_itself() -> None:
    case, x = make("conv-bn-relu", 3), image(3, batch=1)
    found = seewhy.explain(
        case.net, x, method="recipro-cam", target=t.Neuron(case.layer, 0), layer=case.layer, gaussian=False
    )
    activation, _ = Probe(case.net, x, 0, case.layer).at_layer()
    _equal(found.values, activation[0] / activation[0].size)


def test_layers_as_large_as_the_picture() -> None:
    """Nothing as large as its positions squared: Recipro-CAM sees them through a window, KPCA-CAM says what it would
    take."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    x = torch.rand(1, 3, 300, 400)
    found = seewhy.explain(net.eval(), x, method="recipro-cam", layer="1", target=1)
    with torch.no_grad():
        activation = net[:2](x)
        window = torch.outer(*2 * [torch.tensor([0.25, 0.5, 0.25])])
        for row, column in ((0, 0), (17, 399), (150, 201)):
            seen = torch.zeros(302, 402)
            seen[row : row + 3, column : column + 3] = window
            score = net[2:](activation * seen[1:-1, 1:-1])[0, 1]
            assert found.values[row, column] == pytest.approx(float(score), abs=1e-6)
    with pytest.raises(CapabilityError, match=r"kpca-cam.*120000.*at most 8192.*eigen-cam"):
        seewhy.explain(net, x, method="kpca-cam", layer="1", target=1)


@pytest.mark.parametrize("kernel", ["sigmoid", "rbf", "linear"])
def test_kernel_components_of_many_positions(kernel: str) -> None:
    """1,296 positions, whose first component is searched for by itself: that of all components."""
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    x = torch.rand(1, 3, 36, 36, dtype=torch.float64)
    found = seewhy.explain(net.double().eval(), x, method="kpca-cam", layer="1", target=1, kernel=kernel).values
    with torch.no_grad():
        vectors = net[:2](x)[0].flatten(1).T.numpy()
    vectors = vectors - vectors.mean(0)
    inner = vectors @ vectors.T
    square = np.diag(inner)
    gram = {
        "sigmoid": np.tanh(inner / 4 + 1),
        "rbf": np.exp(-(square[:, None] + square - 2 * inner) / 4),
        "linear": inner,
    }[kernel]
    centred = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
    values, components = np.linalg.eigh(centred)
    expected = (components[:, -1] * values[-1] ** 0.5).reshape(36, 36)
    _equal(np.abs(found), np.abs(expected), 1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_max_pooling_is_not_mean_pooling(scale: float) -> None:
    """A head that only looks like CAM's is refused at any scale of its activations."""
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES)
    )
    with pytest.raises(CapabilityError, match="average pooling"):
        seewhy.explain(net.double().eval(), scale * image(1, batch=1), method="cam", layer="1", target=1)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("network", ["conv-bn-relu", "relu6-in-place"])
def test_ablation_keeps_its_sign_on_negative_scores(network: str, relative: bool) -> None:
    """A channel whose loss lowers the score counts for the class, whether the score is above or below 0.

    Dividing by the signed score, as is done elsewhere, turns the map over where it is negative.
    """
    case, x = make(network, 2), image(2, batch=1)
    head = case.net[-1]
    with torch.no_grad():
        head.bias[1] -= case.net(x.clone())[0, 1] + 2.0
    before = seewhy.explain(case.net, x, method="ablation-cam", target=1, layer=case.layer, relative=relative)
    assert before.score == pytest.approx(-2.0)
    with torch.no_grad():
        head.bias[1] += 4.0
    after = seewhy.explain(case.net, x, method="ablation-cam", target=1, layer=case.layer, relative=relative)
    assert after.score == pytest.approx(2.0)
    _equal(before.values, after.values)


class _Toy(nn.Module):
    """Scores with a gradient at the activation that is known: w . A, elementwise."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.act = nn.Identity()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 1 + 1]: the weighted sum, and nothing."""
        score = (self.act(x) * self.weight).flatten(1).sum(1)
        return torch.stack([score, 0 * score], 1)


def test_grad_cam_pp_divides() -> None:
    """By hand: one channel of two positions, A = (1, 3), g = (0.5, -1), mass 4.

    alpha_1 = .25 / (.5 + .125 * 4) = .25, weight = .25 * .5 = .125. Without the division, which one library makes on
    a copy, it would be .25 * .5 with alpha = g^2: .125 as well at g = .5, so a second gradient of 2 is tried:
    alpha = 4 / (8 + 8 * 4) = .1, weight .2, against 8 undivided.
    """
    for first, weight in ((0.5, 0.125), (2.0, 0.2)):
        net = _Toy(torch.tensor([[[[first, -1.0]]]], dtype=torch.float64)).eval()
        x = torch.tensor([[[[1.0, 3.0]]]], dtype=torch.float64)
        found = seewhy.explain(net, x, method="grad-cam-pp", layer="act", target=0)
        _equal(found.values, weight * np.array([[1.0, 3.0]]))


def test_denominators_of_zero() -> None:
    """A channel of no gradient, one whose activations cancel, and one where 2 g^2 + g^3 sum A is 0: weight 0 each."""
    weight = torch.tensor([[[[0.0, 0.0]], [[1.0, 2.0]], [[-1.0, -1.0]]]], dtype=torch.float64)
    x = torch.tensor([[[[1.0, 3.0]], [[1.0, -1.0]], [[0.5, 1.5]]]], dtype=torch.float64)
    net = _Toy(weight).eval()
    found = {m: seewhy.explain(net, x, method=m, layer="act", target=0).values for m in ("grad-cam-pp", "xgrad-cam")}
    # second channel: mass 0, alpha 1/2, weight 1.5; third: 2 - 1 * 2 = 0
    _equal(found["grad-cam-pp"], 1.5 * np.array([[1.0, -1.0]]))
    # third: (-.5 - 1.5) / 2 = -1
    _equal(found["xgrad-cam"], -np.array([[0.5, 1.5]]))


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_full_grad_is_complete(network: str) -> None:
    """Input and every implicit bias make up the score; by hand and ours."""
    case, x = make(network, 11), image(11, batch=1)
    found = walk(case.net, x, 3)
    score = Probe(case.net, x, 3).score()
    parts = float((x * found.input).sum()) + sum(float(b.sum()) for b in found.biases)
    assert parts == pytest.approx(score, rel=1e-10)
    ours = seewhy.explain(case.net, x, method="full-grad", target=3)
    assert float(ours.values.sum()) == pytest.approx(score, rel=1e-10)
    assert ours.error == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("kernel", ["sigmoid", "rbf", "linear"])
def test_kpca_equals_scikit_learn(kernel: str) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    case, x = make("silu", 6), image(6, batch=1)
    activation, _ = Probe(case.net, x, 0, case.layer).at_layer()
    rows = activation.reshape(len(activation), -1).T
    rows = rows - rows.mean(0)
    expected = decomposition.KernelPCA(1, kernel=kernel).fit_transform(rows)[:, 0].reshape(activation.shape[1:])
    found = seewhy.explain(case.net, x, method="kpca-cam", layer=case.layer, target=0, kernel=kernel).values
    _equal(found * np.sign((found * expected).sum()), expected, 1e-7)


RECTIFIERS = {
    "softplus": (nn.Softplus(), lambda z: np.log1p(np.exp(z)), lambda z: 1 / (1 + np.exp(-z))),
    "leaky": (nn.LeakyReLU(0.1), lambda z: np.where(z > 0, z, 0.1 * z), lambda z: np.where(z > 0, 1.0, 0.1)),
    "elu": (nn.ELU(), lambda z: np.where(z > 0, z, np.expm1(z)), lambda z: np.where(z > 0, 1.0, np.exp(z))),
    "hardtanh": (nn.Hardtanh(-1, 2), lambda z: np.clip(z, -1, 2), lambda z: ((z > -1) & (z < 2)).astype(float)),
    "hardswish": (
        nn.Hardswish(),
        lambda z: z * np.clip(z + 3, 0, 6) / 6,
        lambda z: np.where(z >= 3, 1.0, np.where(z <= -3, 0.0, (2 * z + 3) / 6)),
    ),
}


@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_rules_by_formula(kind: str) -> None:
    """f'(z) max(g, 0) [f(z) > 0] and max(g, 0) on one rectifier: Softplus is positive where its input is not."""
    module, value, slope = RECTIFIERS[kind]
    z = np.array([-3.5, -1.7, -0.4, 0.3, 1.1, 2.6, -2.2, 0.9, 3.7])
    g = np.array([1.0, 0.5, 2.0, -1.0, 3.0, 1.5, -0.5, 0.25, 2.0])
    net = nn.Sequential(module, _Toy(torch.from_numpy(g).reshape(1, 1, 3, 3))).eval()
    x = torch.from_numpy(z).reshape(1, 1, 3, 3)
    forward = np.maximum(g, 0)
    expected = {"guided": slope(z) * forward * (value(z) > 0), "deconvnet": forward, "none": slope(z) * g}
    for rule, values in expected.items():
        found = seewhy.explain(net, x, method="saliency", target=0, reduce="none", backward_rule=rule).values
        _equal(found.flatten(), values)
