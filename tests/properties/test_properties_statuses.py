"""A map's status is computed from what its method's card promises: through all cards, against numbers taken by hand."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seewhy
from networks import Case, image, make
from properties.asking import METHODS, every, explain
from seewhy.core.percentages import missed
from seewhy.explanation import Explanation
from seewhy.registry import methods

CUT = sorted(name for name in METHODS if methods[name].card.cuts)
SUMS = sorted(name for name in METHODS if methods[name].card.sums)
STEPS = [name for name in SUMS if {"steps", "max_steps"} & methods[name].parameters.keys()]
EXACT = [name for name in SUMS if name not in STEPS]


def _against() -> Case:
    """A network whose target 1 loses by every unit of its last layer, at every place."""
    case = make("conv-bn-relu", 7)
    with torch.no_grad():
        case.head.weight[1] = -case.head.weight[1].abs() - 0.1
    return case


def _slope(net: nn.Module, x: Tensor, target: int) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(net(leaf)[:, target].sum(), leaf)[0]


@pytest.mark.parametrize("name", [name for name in METHODS if methods[name].card.family != "attention"])
def test_evidence_against_is_no_zero_gradient(name: str) -> None:
    """The score does change with the input; a map of zeros says that the formula left out what there is."""
    case, x = _against(), image(7)
    assert _slope(case.net, x, 1).any()
    for each in every(explain(case, x, name)):
        assert each.status.code != "zero-gradient"
        if not each.values.any():
            assert each.status.code == ("no-positive-evidence" if methods[name].card.cuts else "no-evidence")
            assert methods[name].card.cuts in each.status.cause


@pytest.mark.parametrize("name", [name for name in CUT if methods[name].card.family in ("cam", "propagation")])
def test_what_is_cut_is_cut_to_nothing_here(name: str) -> None:
    """The test above is not an empty one."""
    assert not any(each.values.any() for each in every(explain(_against(), image(7), name)))


@pytest.mark.parametrize("name", [name for name in CUT if methods[name].card.family == "attention"])
def test_attention_that_only_speaks_against(name: str) -> None:
    """Of a target and its negative at most one has evidence in a block; both maps know which code they need."""
    case = make("tokens", 3)
    assert _slope(case.net, image(3), 1).any()
    for sign in (1.0, -1.0):
        for each in every(explain(case, image(3), name, sign * seewhy.targets.Logit(1))):
            assert each.status.code != "zero-gradient"


@pytest.mark.parametrize("name", ["guided-backprop", "deconvnet", "layer-cam", "saliency", "grad-cam"])
def test_a_gradient_that_is_zero_is_called_so(name: str) -> None:
    case = _against()
    with torch.no_grad():
        case.head.weight[1] = 0
    assert not _slope(case.net, image(7), 1).any()
    assert {each.status.code for each in every(explain(case, image(7), name))} == {"zero-gradient"}


def test_a_dead_layer_is_called_so() -> None:
    """The score would change with the layer, if only there were something in it."""
    case = _against()
    first = next(part for part in case.net.modules() if isinstance(part, nn.Conv2d))
    with torch.no_grad():
        for part in case.net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.zero_()
                part.bias.fill_(-1)
    assert first is not None
    for name in ("grad-cam", "layer-cam"):
        for each in every(explain(case, image(7), name, 2)):
            assert each.status.code == "zero-gradient"
            assert "so is the activation at layer" in each.status.cause


def _total(net: nn.Module, x: Tensor, name: str, baseline: float) -> Tensor:
    with torch.no_grad():
        score = net(x)[:, 1]
        return score if name == "full-grad" else score - net(torch.full_like(x, baseline))[:, 1]


def _asked(name: str) -> dict[str, Any]:
    if "references" in methods[name].requires and name in EXACT:
        return {"references": torch.full((1, 3, 8, 8), 0.2, dtype=torch.float64)}
    return {"baseline": 0.2} if "baseline" in methods[name].requires else {}


def _named(each: Explanation) -> float:
    """The percentage that the last note gives."""
    return float(re.findall(r"([0-9.]+)%", each.notes[-1])[-1]) / 100


class _Gated(nn.Module):
    """A signal times a gate that is made of it: a product that DeepLIFT and FullGrad do not see through."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3]."""
        x = self.conv(x)
        return self.head((x * (3 * self.gate(x)).sigmoid()).relu().mean((2, 3)))


def _gated() -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        return _Gated().eval().double()


@pytest.mark.parametrize("name", EXACT)
def test_a_sum_that_misses_is_said_to_miss(name: str) -> None:
    """By the share that it misses by, at the input."""
    net, x = _gated(), image(5)
    total = _total(net, x, name, 0.2)
    for row, each in enumerate(seewhy.explain_all(net, x, method=name, target=1, **_asked(name))):
        share = abs(each.values.sum() - float(total[row])) / abs(float(total[row]))
        assert share > 0.01
        assert each.status.code == "incomplete"
        assert _named(each) == pytest.approx(share, abs=6e-4)
        assert methods[name].card.sums in each.status.cause


@pytest.mark.parametrize("name", EXACT)
def test_a_sum_that_is_kept_needs_no_word(name: str) -> None:
    case, x = make("conv-bn-relu", 5), image(5)
    total = _total(case.net, x, name, 0.2)
    for row, each in enumerate(seewhy.explain_all(case.net, x, method=name, target=1, **_asked(name))):
        assert each.values.sum() == pytest.approx(float(total[row]), abs=1e-10)
        assert each.status.ok
        assert each.notes == ()


@pytest.mark.parametrize("name", STEPS)
def test_few_steps_are_said_to_be_few(name: str) -> None:
    """Two steps miss, and say by how much of the difference; many miss less than a hundredth of it, or say so."""
    case, x = make("silu", 6), image(6)
    few = {"max_steps": 2} if "max_steps" in methods[name].parameters else {"steps": 2}
    for each in every(explain(case, 3 * x, name, **_asked(name), reduce="sum", **few)):
        share = abs(each.error) / abs(each.values.sum() - each.error)
        if share > 0.01:
            assert _named(each) == pytest.approx(share, abs=6e-4)
            assert each.layer is not None or each.status.code == "not-converged"
    many = {"max_steps": 512} if "max_steps" in methods[name].parameters else {"steps": 512}
    for each in every(explain(case, x, name, **_asked(name), reduce="sum", **many)):
        assert abs(each.error) <= 0.01 * abs(each.values.sum() - each.error)
        assert each.status.ok


@pytest.mark.parametrize("name", [name for name in METHODS if methods[name].card.family != "attention"])
def test_a_residual_is_never_without_a_word(name: str) -> None:
    """Whoever returns one number as an error has promised a sum on the card, or accounts for it in a note."""
    for each in every(explain(make("conv-bn-relu", 2), image(2), name)):
        if isinstance(each.error, float):
            assert methods[name].card.sums or each.notes


@pytest.mark.parametrize("name", ["lime", "kernel-shap", "shapley-sampling"])
def test_one_piece_has_an_error_of_its_own_size(name: str) -> None:
    """A map that is the same everywhere has no range that an error could be a share of."""
    net, x = _gated(), image(5)[:1]
    one = torch.zeros(8, 8, dtype=torch.long)
    (each,) = every(seewhy.explain_all(net, x, method=[name], target=1, segments=one, n=64))
    assert each.values.min() == each.values.max()
    share = each.error.max() / abs(each.values.max())
    if share > 0:
        said = float(re.findall(r"standard error ([0-9.]+)%", each.notes[-1])[0]) / 100
        assert said == pytest.approx(share, abs=6e-4)


def test_rounding_is_no_miss() -> None:
    """A residual is held against the sizes that were added up and subtracted, in the precision they had."""
    values, score = torch.tensor([[1.0, -1.0, 1e-7]]), torch.tensor([0.5])
    total = torch.tensor([2e-7])
    assert missed(torch.tensor([1e-7]), total, values, score).item() == 0
    assert missed(torch.tensor([1e-3]), total, values, score).item() == pytest.approx(5000)
    assert missed(
        torch.tensor([1e-7]).double(), total.double(), values.double(), score.double()
    ).item() == pytest.approx(0.5)
    assert missed(torch.tensor([1e-3]), torch.zeros(1), values, score).item() == float("inf")
