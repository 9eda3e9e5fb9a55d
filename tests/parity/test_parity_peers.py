"""What benchmarks race: every library of `seewhy.api.bench.peers` gives our map, where it computes the same thing."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from networks import image, make
from seewhy.api.bench import peers
from seewhy.api.bench.entering import StandIn, ours, prepared
from seewhy.api.bench.measures import Measure
from seewhy.api.bench.peers import Asked, contestants
from seewhy.api.bench.racing import Contestant, race

pytestmark = pytest.mark.filterwarnings("ignore")

METHODS = {
    "grad-cam": {"captum", "pytorch-grad-cam", "torchcam"},
    "grad-cam-elementwise": {"pytorch-grad-cam"},
    "hires-cam": {"pytorch-grad-cam"},
    "layer-cam": {"pytorch-grad-cam", "torchcam"},
    "xgrad-cam": {"pytorch-grad-cam", "torchcam"},
    "ablation-cam": {"pytorch-grad-cam"},
    "saliency": {"captum", "zennit"},
    "input-x-gradient": {"captum"},
    "guided-backprop": {"captum", "pytorch-grad-cam", "zennit"},
    "deconvnet": {"captum"},
    "integrated-gradients": {"captum"},
    "occlusion": {"captum"},
    "score-cam": {"pytorch-grad-cam", "torchcam"},
}
SETTINGS = {
    "integrated-gradients": {"rule": "riemann-middle", "steps": 5, "baseline": 0.25},
    "occlusion": {"window": [3, 2], "stride": [2, 1], "fill": 0.5},
}


@pytest.fixture(autouse=True)
def _all_installed() -> None:
    for name in ("captum", "pytorch_grad_cam", "torchcam", "zennit"):
        pytest.importorskip(name)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [1, 2])
def test_every_setting_gives_our_map(method: str, batch: int) -> None:
    """To 1e-4, as floats add up there, with everybody in turn on one copy of the network, twice, so that nobody leaves
    anything in it; the copy's weights and layers are what they were."""
    case, x = make("conv-bn-relu", 3), image(3, batch=batch)
    with torch.no_grad():  # away from a score of 0, by which Ablation-CAM divides there
        case.net[-1].bias += 4.0
    target = [n % 3 for n in range(batch)]
    # masks as large as the image: elsewhere conventions part
    layer = case.early if method == "score-cam" else case.layer if method.endswith("cam") or "cam-" in method else None
    model, settings = seewhy.wrap(case.net), SETTINGS.get(method, {})
    rival = copy.deepcopy(case.net)
    parts = list(rival.modules())
    there, missing = contestants(Asked(rival, x, method, target, layer, settings))
    assert missing == {}
    assert {each.name for each in there} == METHODS[method]
    mine = Contestant("seewhy", lambda: _ours(model, x, method, target, layer, settings))
    for each in there:
        if each.probe is not None:
            each.probe()
    for lap in race([mine, *there], Measure("max", 1e-4), rounds=2):
        assert (lap.failure, lap.agrees) == ("", True), lap
    assert list(rival.modules()) == parts
    assert "forward" not in vars(rival)
    for (name, value), other in zip(case.net.state_dict().items(), rival.state_dict().values(), strict=True):
        assert torch.equal(value, other), name


@pytest.mark.parametrize("method", [each for each in METHODS if each not in ("guided-backprop", "deconvnet")])
def test_every_library_gives_our_map_on_our_prepared_model(method: str) -> None:
    """It has hooks, gradients and layers that can be replaced, though it is no module with weights."""
    case, x = make("conv-bn-relu", 3), image(3, batch=2)
    with torch.no_grad():
        case.net[-1].bias += 4.0
    layer = case.early if method == "score-cam" else case.layer if method.endswith("cam") or "cam-" in method else None
    _agree_prepared(seewhy.wrap(case.net), x, method, layer, METHODS[method])


@pytest.mark.parametrize("method", ["grad-cam", "saliency"])
def test_every_library_gives_our_map_on_our_prepared_resnet(method: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = torchvision.models.resnet18(weights=None).eval()
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    _agree_prepared(seewhy.wrap(net), x, method, None if method == "saliency" else "layer4", METHODS[method])


def _agree_prepared(model: seewhy.Model, x: torch.Tensor, method: str, layer: str | None, names: set[str]) -> None:
    """Ours on the eager model is the reference, to 1e-3: folding moves the last digits."""
    settings = SETTINGS.get(method, {})
    ready = prepared(model, x, layer)
    assert (ready.why, isinstance(ready.module, StandIn)) == ("", True)
    there, missing = contestants(Asked(ready.module, x, method, [0, 1], layer, settings), "prepared")
    assert missing == {}
    assert {(each.name, each.on) for each in there} == {(name, "prepared") for name in names}
    parts = list(ready.module.modules())
    for each in there:
        if each.probe is not None:
            each.probe()
    mine = Contestant("seewhy", lambda: _ours(model, x, method, [0, 1], layer, settings))
    for lap in race([mine, *there], Measure("l2", 1e-3), rounds=1):
        assert (lap.failure, lap.agrees) == ("", True), lap
    assert list(ready.module.modules()) == parts


def _ours(model: seewhy.Model, x: torch.Tensor, method: str, target: list[int], layer: str | None, settings: dict):
    return np.stack([each.values for each in ours(model, x, method, target, layer, settings)])


def test_other_rules_and_methods_have_no_counterpart() -> None:
    net, x = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.rand(1, 3, 2, 2)
    for method, settings in (("integrated-gradients", {"rule": "adaptive"}), ("rise", {"n": 8})):
        assert contestants(Asked(net, x, method, [0], None, settings)) == ([], {})
    assert len(peers.LIBRARIES) == 4
