"""Networks that cut their own graph, or hide their functions: what is said of them is true, and says what to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import seewhy
from seewhy.errors import CapabilityError


class _Frozen(nn.Module):
    """A backbone that ``cut`` runs, a pool and a linear layer."""

    def __init__(self, cut: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.first, self.last = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
            self.pool, self.end = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 4)
        self._cut = cut
        self.eval()

    def features(self, x: Tensor) -> Tensor:
        return F.relu(self.last(F.relu(self.first(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.pool(self._cut(self, x)).flatten(1))


def _without_grad(net: _Frozen, x: Tensor) -> Tensor:
    with torch.no_grad():
        return net.features(x)


CUTS: dict[str, Callable[[_Frozen, Tensor], Tensor]] = {
    "no_grad": _without_grad,
    "detach": lambda net, x: net.features(x).detach(),
    "numpy": lambda net, x: torch.from_numpy(net.features(x).detach().numpy()),
}


def _x() -> Tensor:
    return torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", ["grad-cam", "score-cam", "eigen-cam"])
@pytest.mark.parametrize("cut", CUTS)
def test_a_frozen_backbone_is_told_from_one_that_is_not_crossed(cut: str, method: str) -> None:
    net, x = _Frozen(CUTS[cut]), _x()
    target = None if method == "eigen-cam" else 1
    with pytest.raises(CapabilityError, match=r"^torch records no path from the input to the score .*detach") as caught:
        seewhy.explain(net, x, method=method, target=target)
    assert "every path" not in str(caught.value)
    assert "--layer: the last with positions are pool[in], last, last[in] (" in str(caught.value)
    assert "\n" not in str(caught.value)
    for layer in ("pool[in]", "last", "last[in]")[: 1 if method == "grad-cam" else 3]:
        assert seewhy.explain(net, x, method=method, target=target, layer=layer).status.code != "zero-gradient"


def test_a_frozen_network_without_positions_is_sent_to_perturbation() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.end = nn.Linear(3 * 16 * 24, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.end(x.flatten(1).detach())

    with pytest.raises(CapabilityError, match=r"no layer gives positions\. Use a perturbation method .*occlusion"):
        seewhy.explain(Flat().eval(), _x(), method="grad-cam", target=1)
    assert str(seewhy.explain(Flat().eval(), _x(), method="occlusion", target=1).status) == "ok"


def test_a_network_with_a_graph_is_told_that_nothing_is_crossed() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 24, 4)).eval()
    with pytest.raises(CapabilityError, match=r"^this model has no layer with spatial positions that every path"):
        seewhy.explain(net, _x(), method="grad-cam", target=1)


def test_the_doctor_says_that_no_path_is_recorded() -> None:
    found = seewhy.diagnose(_Frozen(_without_grad), _x(), methods=[])
    assert found.facts["layer for CAMs"].startswith("none: torch records no path from the input to the scores (no_grad")
    ends = seewhy.diagnose(_Ends(lambda scores: scores.detach()), _x(), methods=[])
    assert "every path" not in ends.facts["layer for CAMs"]
    whole = seewhy.diagnose(_Ends(lambda scores: scores), _x(), methods=[])
    assert "that every path crosses, its grid" in whole.facts["layer for CAMs"]


class _Ends(_Frozen):
    """Scores that ``end`` hands on."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__(lambda net, x: net.features(x))
        self._end = end

    def forward(self, x: Tensor) -> Tensor:
        return self._end(super().forward(x))


@pytest.mark.parametrize(
    "end",
    [
        lambda scores: scores.detach(),
        lambda scores: (scores > 0).float(),
        lambda scores: torch.from_numpy(scores.detach().numpy()),
        lambda scores: (1000 * scores).long().float(),
    ],
    ids=["detach", "comparison", "numpy", "whole numbers"],
)
def test_a_cut_at_the_scores_is_not_blamed_on_no_grad_alone(end: Callable[[Tensor], Tensor]) -> None:
    net = _Ends(end)
    said = seewhy.explain(net, _x(), method="saliency", target=1).status
    attacked = seewhy.attack(net, _x(), method="fgsm", epsilon=8, target=1, maps=None).status
    for status in (said, attacked):
        assert status.code == "zero-gradient"
        assert "the scores do not lead back to the input" in status.cause
        assert all(word in status.cause for word in ("no_grad", "detach", "comparison", "whole numbers", "numpy"))


def _body() -> nn.Sequential:
    """Convolution, batch norm, rectifier, pool and linear layer: DeepLIFT and FullGrad cover them all."""
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        norm = nn.BatchNorm2d(8)
        norm.running_mean.uniform_(-1, 1)
        made = nn.Sequential(
            nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
        )
    return made.eval()


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["deep-lift", "full-grad"])
@pytest.mark.parametrize("way", ["script", "trace", "part"])
def test_torchscript_hides_what_is_covered(way: str, method: str) -> None:
    net, x = _body(), _x()
    assert str(seewhy.explain(net, x, method=method, target=1).status) == "ok"
    if way == "part":
        hidden: nn.Module = nn.Sequential(torch.jit.script(net[:3]), net[3:]).eval()
    else:
        hidden = torch.jit.script(net) if way == "script" else torch.jit.trace(net, x)
    found = seewhy.explain(hidden, x, method=method, target=1)
    assert found.status.code == "incomplete"
    assert "TorchScript hides them; use the original module" in found.status.cause
    assert "attention" not in found.status.cause
    assert found.status.cause in found.notes


def test_a_function_that_is_not_covered_is_not_said_to_be_hidden() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = _body()

        def forward(self, x: Tensor) -> Tensor:
            scores = self.body(x)
            return scores * scores.roll(1, 1)

    found = seewhy.explain(Gated().eval(), _x(), method="deep-lift", target=1)
    assert found.status.code == "incomplete"
    assert "products of activations" in found.status.cause
    assert "TorchScript" not in found.status.cause
